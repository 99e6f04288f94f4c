package opendkim

import (
	"crypto"
	"encoding/base64"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/postseal/postseal/keys"
	"github.com/postseal/postseal/milter/resolver"
)

// toolKeys are keys that the tests of the tools share.
var toolKeys = sync.OnceValues(func() (map[string]crypto.Signer, error) {
	all := map[string]crypto.Signer{}
	for name, kind := range map[string]string{"rsa": "rsa", "other": "rsa", "ed": "ed25519"} {
		key, err := keys.Generate(kind, 1024)
		if err != nil {
			return nil, err
		}
		all[name] = key
	}
	return all, nil
})

// writeToolKeys writes the keys as NAME.private into dir.
func writeToolKeys(t *testing.T, dir string) map[string]crypto.Signer {
	t.Helper()
	all, err := toolKeys()
	if err != nil {
		t.Fatal(err)
	}
	for name, key := range all {
		if err := keys.WritePrivate(filepath.Join(dir, name+".private"), key); err != nil {
			t.Fatal(err)
		}
	}
	return all
}

// writeFiles writes texts, with @DIR@ for the folder itself.
func writeFiles(t *testing.T, dir string, files map[string]string) {
	t.Helper()
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(strings.ReplaceAll(text, "@DIR@", dir)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// signedZone is a nameserver for example.com, signed, which answers as a resolver
// does that has validated the zone; under failing.test the answer is SERVFAIL.
type signedZone struct {
	addr   string
	anchor string // the zone's DNSKEY
	sets   map[string][]dns.RR
}

// serveZone signs TXT records, by selector, and serves them at an address of the
// loopback.
func serveZone(t *testing.T, addr string, records map[string][]string) *signedZone {
	t.Helper()
	const origin = "example.com."
	key := &dns.DNSKEY{Hdr: dns.RR_Header{Name: origin, Rrtype: dns.TypeDNSKEY, Class: dns.ClassINET, Ttl: 60}, Flags: 257, Protocol: 3, Algorithm: dns.ECDSAP256SHA256}
	private, err := key.Generate(256)
	if err != nil {
		t.Fatal(err)
	}
	z := &signedZone{anchor: key.String(), sets: map[string][]dns.RR{}}
	add := func(set ...dns.RR) {
		sig := &dns.RRSIG{Algorithm: key.Algorithm, KeyTag: key.KeyTag(), SignerName: origin,
			Inception: uint32(time.Now().Add(-time.Hour).Unix()), Expiration: uint32(time.Now().Add(time.Hour).Unix())}
		if err := sig.Sign(private.(crypto.Signer), set); err != nil {
			t.Fatal(err)
		}
		z.sets[question(set[0].Header().Name, set[0].Header().Rrtype)] = append(set, sig)
	}
	add(key)
	add(&dns.SOA{Hdr: dns.RR_Header{Name: origin, Rrtype: dns.TypeSOA, Class: dns.ClassINET, Ttl: 60}, Ns: "ns." + origin, Mbox: "x." + origin, Serial: 1, Minttl: 60})
	for selector, values := range records {
		var set []dns.RR
		for _, value := range values {
			txt := &dns.TXT{Hdr: dns.RR_Header{Name: selector + "._domainkey." + origin, Rrtype: dns.TypeTXT, Class: dns.ClassINET, Ttl: 60}}
			for len(value) > 255 {
				txt.Txt, value = append(txt.Txt, value[:255]), value[255:]
			}
			txt.Txt = append(txt.Txt, value)
			set = append(set, txt)
		}
		add(set...)
	}
	packets, err := net.ListenPacket("udp", addr)
	if err != nil {
		t.Fatal(err)
	}
	z.addr = packets.LocalAddr().String()
	listener, err := net.Listen("tcp", z.addr)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range []*dns.Server{{PacketConn: packets, Handler: z}, {Listener: listener, Handler: z}} {
		started := make(chan struct{})
		s.NotifyStartedFunc = func() { close(started) }
		go func() { _ = s.ActivateAndServe() }()
		<-started
		t.Cleanup(func() { _ = s.Shutdown() })
	}
	return z
}

func question(name string, kind uint16) string { return strings.ToLower(name) + dns.TypeToString[kind] }

// ServeDNS answers one question.
func (z *signedZone) ServeDNS(w dns.ResponseWriter, asked *dns.Msg) {
	q := asked.Question[0]
	m := new(dns.Msg).SetReply(asked)
	m.RecursionAvailable = true
	m.SetEdns0(4096, true)
	switch {
	case dns.IsSubDomain("failing.test.", q.Name):
		m.Rcode = dns.RcodeServerFailure
	case z.sets[question(q.Name, q.Qtype)] != nil:
		m.Answer, m.AuthenticatedData = z.sets[question(q.Name, q.Qtype)], true
	default:
		m.Rcode = dns.RcodeNameError
		m.Ns = z.sets[question("example.com.", dns.TypeSOA)]
	}
	_ = w.WriteMsg(m)
}

// keyData is p= of a key's record.
func keyData(key crypto.Signer) string {
	_, data, _ := strings.Cut(keys.RecordText(key.Public()), "p=")
	return "p=" + data
}

// toolRecords are the records that the tests look at, by selector.
func toolRecords(t *testing.T) map[string][]string {
	t.Helper()
	all, err := toolKeys()
	if err != nil {
		t.Fatal(err)
	}
	p := func(name string) string { return keyData(all[name]) }
	good := "v=DKIM1; k=rsa; " + p("rsa")
	return map[string][]string{
		"default":  {good},
		"ed":       {"v=DKIM1; k=ed25519; " + p("ed")},
		"two":      {good, good + ";"},
		"revoked":  {"v=DKIM1; p="},
		"nokey":    {"v=DKIM1; k=rsa"},
		"novalue":  {"v=DKIM1; k"},
		"words":    {"hello world"},
		"empty":    {""},
		"version":  {"v=DKIM2; " + p("rsa")},
		"type":     {"v=DKIM1; k=foo; " + p("rsa")},
		"hash":     {"v=DKIM1; h=md5; " + p("rsa")},
		"hashes":   {"v=DKIM1; h=md5:sha256; " + p("rsa")},
		"sha1":     {"v=DKIM1; h=sha1; " + p("rsa")},
		"service":  {"v=DKIM1; s=tlsrpt; " + p("rsa")},
		"testing":  {"v=DKIM1; t=y; " + p("rsa")},
		"bare":     {p("rsa")},
		"nobase64": {"v=DKIM1; p=!!!!"},
		"cut":      {"v=DKIM1; " + p("rsa")[:60]},
		"control":  {`v=DKIM1; p=\001a`},
		"octet":    {`v=DKIM1; \200=x; ` + p("rsa")},
		"slash":    {`v=DKIM1\\; k=rsa\\; ` + p("rsa")},
		"quoted":   {`v=DKIM1; k=rsa; \"` + p("rsa") + `\"`},
		"semis":    {"v=DKIM1;; " + p("rsa")},
		"again":    {"v=DKIM1; " + p("rsa") + "; p="},
		"nosemi":   {"v=DKIM1; k=rsa " + p("rsa")},
	}
}

// prepareTestkey fills the folder of a run: keys, tables and configurations.
func prepareTestkey(z *signedZone) func(t *testing.T, dir string) {
	return func(t *testing.T, dir string) {
		t.Helper()
		all := writeToolKeys(t, dir)
		conf := "Nameservers " + strings.ReplaceAll(z.addr, ":", "@") + "\n"
		der := base64.StdEncoding.EncodeToString([]byte("no key"))
		writeFiles(t, dir, map[string]string{
			"anchor":      z.anchor + "\n",
			"secure.conf": conf + "TrustAnchorFile @DIR@/anchor\n",
			"conf":        conf,
			"one.conf":    conf + "Domain example.com\nSelector default\nKeyFile @DIR@/rsa.private\n",
			"half.conf":   conf + "Domain example.com\nSelector default\nMode nonsense\nCanonicalization nonsense\n",
			"domain.conf": conf + "Domain example.com\n",
			"bad.conf":    conf + "\nNonsense yes\n",
			"value.conf":  conf + "Syslog maybe\n",
			"table.conf":  conf + "KeyTable file:@DIR@/table\n",
			"both.conf":   conf + "KeyTable @DIR@/good\nDomain example.com\nSelector default\nKeyFile @DIR@/other.private\n",
			"good.conf":   conf + "KeyTable @DIR@/good\n",
			"refile.conf": conf + "KeyTable refile:@DIR@/good\n",
			"ed.conf":     conf + "KeyTable @DIR@/ed\n",
			"file.conf":   conf + "KeyTable @DIR@/file\n",
			"cut.conf":    conf + "KeyTable @DIR@/cut\n",
			"none.conf":   conf + "KeyTable @DIR@/none\n",
			"gone.conf":   conf + "KeyTable @DIR@/absent\n",
			"kind.conf":   conf + "KeyTable nonsense:@DIR@/good\n",
			"csl.conf":    conf + "KeyTable csl:k1=example.com:default:@DIR@/rsa.private,k2=example.com:absent:@DIR@/rsa.private\n",
			"table":       "k1 example.com:default:@DIR@/rsa.private\nk2 example.com:default:@DIR@/other.private\nk3 example.com:absent:@DIR@/rsa.private\nk4 example.com:revoked:@DIR@/rsa.private\n",
			"good":        "k1 example.com:default:@DIR@/rsa.private\n",
			"ed":          "k1 example.com:ed:@DIR@/ed.private\n",
			"file":        "k1 example.com:default:@DIR@/absent.private\nk2 example.com:default:@DIR@/rsa.private\n",
			"cut":         "k2 example.com:default:@DIR@/rsa.private\nk1 example.com\n",
			"own.conf":    conf + "KeyTable @DIR@/own\n",
			"own":         "k1 %:default:@DIR@/rsa.private\nk2 example.com:default:@DIR@/rsa.private\n",
			"none":        "# nothing\n",
			"inline.conf": conf + "KeyTable @DIR@/inline\n",
			"inline":      "k1 example.com:default:" + der + "\n",
			"junk":        "no key\n",
			"keys.conf":   conf + "TestPublicKeys @DIR@/records\n",
			"data.conf":   conf + "TestDNSData file:@DIR@/records\n",
			"records":     "file._domainkey.example.com v=DKIM1; k=rsa; " + keyData(all["rsa"]) + "\n",
		})
		if err := os.Chmod(filepath.Join(dir, "other.private"), 0o640); err != nil {
			t.Fatal(err)
		}
	}
}

// Debian's opendkim-testkey and ours, with the same nameserver.
func TestTestkeyAsOpenDKIM(t *testing.T) {
	t.Parallel()
	z := serveZone(t, "127.0.0.1:0", toolRecords(t))
	cases := []toolCase{
		{name: "how-to", args: "-d example.com -s default -vvv -x @DIR@/secure.conf"},
		{name: "silent", args: "-d example.com -s default -x @DIR@/conf"},
		{name: "verbose", args: "-d example.com -s default -v -x @DIR@/conf", why: "the nameserver has validated the answer, which Debian's takes from nobody", ours: outcomeOf{Err: "key secure\n"}},
		{name: "key", args: "-d example.com -s default -k @DIR@/rsa.private -vvv -x @DIR@/secure.conf"},
		{name: "key, -vv", args: "-d example.com -s default -k @DIR@/rsa.private -vv -x @DIR@/secure.conf"},
		{name: "key, -v", args: "-d example.com -s default -k @DIR@/rsa.private -v -x @DIR@/secure.conf"},
		{name: "another key", args: "-d example.com -s default -k @DIR@/other.private -x @DIR@/conf"},
		{name: "another key, verbose", args: "-d example.com -s default -k @DIR@/other.private -v -x @DIR@/secure.conf", why: "ours says more with -v", ours: outcomeOf{Exit: 65, Out: "opendkim-testkey: keys do not match\n", Err: "The record publishes another key"}},
		{name: "another kind of key", args: "-d example.com -s ed -k @DIR@/rsa.private -x @DIR@/conf"},
		{name: "Ed25519", args: "-d example.com -s ed -k @DIR@/ed.private -vvv -x @DIR@/secure.conf", why: "Debian's cannot compare Ed25519 keys", ours: outcomeOf{Out: "key OK"}},
		{name: "attached and combined", args: "-vvvdexample.com -sdefault -x@DIR@/secure.conf"},
		{name: "operands", args: "one -d example.com two -s default -x @DIR@/conf"},
		{name: "case", args: "-d EXAMPLE.com -s DEFAULT -vvv -x @DIR@/secure.conf"},
		{name: "absent", args: "-d example.com -s absent -vv -x @DIR@/conf"},
		{name: "SERVFAIL", args: "-d failing.test -s default -x @DIR@/conf", why: "the answer does not say that there is no record", ours: outcomeOf{Exit: 69, Err: "'default._domainkey.failing.test' query failed\n"}},
		{name: "SERVFAIL, verbose", args: "-d failing.test -s default -v -x @DIR@/conf", why: "ours says why", ours: outcomeOf{Exit: 69, Err: "'default._domainkey.failing.test' query failed\nopendkim-testkey: The record could not be looked up: "}},
		{name: "no domain name", args: "-d * -s default -vv -x @DIR@/conf", why: "ours says why", ours: outcomeOf{Exit: 69, Err: "opendkim-testkey: syntax error on input\nopendkim-testkey: domain: \"*\": '*' cannot stand in a domain name. Correct"}},
		{name: "no such key file", args: "-d example.com -s default -k @DIR@/absent -x @DIR@/conf"},
		{name: "a folder as key file", args: "-d example.com -s default -k @DIR@ -x @DIR@/conf"},
		{name: "no key in the file", args: "-d example.com -s default -k @DIR@/junk -x @DIR@/conf", why: "Debian's has words of OpenSSL", ours: outcomeOf{Exit: 69, Err: "@DIR@/junk: no private key: "}},
		{name: "nothing to test", args: "-x @DIR@/conf"},
		{name: "no selector", args: "-d example.com -x @DIR@/conf"},
		{name: "no domain", args: "-s default -x @DIR@/conf"},
		{name: "empty domain", args: "-d '' -s default -x @DIR@/conf"},
		{name: "unknown flag", args: "-q"},
		{name: "long flag", args: "--version"},
		{name: "value missing", args: "-x @DIR@/conf -d"},
		{name: "configuration: one key", args: "-vvv -x @DIR@/one.conf", why: "the nameserver has validated the answer", ours: outcomeOf{Err: "key loaded from @DIR@/rsa.private\n"}},
		{name: "configuration: another selector", args: "-s absent -x @DIR@/one.conf"},
		{name: "configuration: another key", args: "-k @DIR@/other.private -x @DIR@/one.conf"},
		{name: "configuration: of no use for a daemon", args: "-x @DIR@/half.conf"},
		{name: "configuration: no selector", args: "-x @DIR@/domain.conf"},
		{name: "configuration: unknown name", args: "-x @DIR@/bad.conf", why: "ours says what is wrong with the line", ours: outcomeOf{Exit: 78, Err: "opendkim-testkey: @DIR@/bad.conf: configuration error at line 3: unrecognized parameter"}},
		{name: "configuration: value", args: "-x @DIR@/value.conf", why: "ours says what is wrong with the line", ours: outcomeOf{Exit: 78, Err: "opendkim-testkey: @DIR@/value.conf: configuration error at line 2: illegal value"}},
		{name: "configuration: absent", args: "-x @DIR@/absent.conf", why: "ours says why", ours: outcomeOf{Exit: 78, Err: "opendkim-testkey: @DIR@/absent.conf: configuration error at line 0"}},
		{name: "configuration: TestPublicKeys", args: "-d example.com -s file -x @DIR@/keys.conf", why: "Debian's asks DNS all the same"},
		{name: "configuration: TestDNSData", args: "-d example.com -s file -x @DIR@/data.conf", why: "Debian's asks DNS all the same"},
		{name: "table", args: "-x @DIR@/table.conf", why: "that keys failed would not show in the exit status", ours: outcomeOf{Exit: 0, Err: "opendkim-testkey: 3 of 4 keys failed; the exit status is 0 nevertheless"}},
		{name: "table, good", args: "-x @DIR@/good.conf"},
		{name: "table, flags", args: "-x @DIR@/good.conf -d example.com"},
		{name: "table, no rows", args: "-x @DIR@/none.conf -v"},
		{name: "table and one key", args: "-x @DIR@/both.conf"},
		{name: "table and one key, domain", args: "-x @DIR@/both.conf -d example.com"},
		{name: "table, missing key file", args: "-v -x @DIR@/file.conf", why: "ours goes on with the other keys", ours: outcomeOf{Exit: 71, Out: "2 keys checked; 1 pass, 1 fail", Err: "opendkim-testkey: @DIR@/absent.private: stat(): No such file or directory\n"}},
		{name: "table, broken row", args: "-x @DIR@/cut.conf", why: "ours says what is wrong", ours: outcomeOf{Exit: 1, Err: "opendkim-testkey: dkimf_db_walk(1) failed\nopendkim-testkey: @DIR@/cut:2: "}},
		{name: "table, each sender's own domain", args: "-v -x @DIR@/own.conf", why: "Debian's calls it a syntax error", ours: outcomeOf{Out: "2 keys checked; 1 pass, 1 fail", Err: "key k1: it is for each sender's own domain"}},
		{name: "table, absent", args: "-x @DIR@/gone.conf", why: "ours says why", ours: outcomeOf{Exit: 1, Err: "opendkim-testkey: dkimf_db_open() failed\n"}},
		{name: "table, unknown type", args: "-x @DIR@/kind.conf", why: "ours says why", ours: outcomeOf{Exit: 1, Err: "opendkim-testkey: dkimf_db_open() failed\n"}},
		{name: "table, list", args: "-x @DIR@/csl.conf", why: "that keys failed would not show in the exit status", ours: outcomeOf{Err: "key k2: 'absent._domainkey.example.com' record not found"}},
		{name: "table, refile", args: "-vvv -x @DIR@/refile.conf", why: "Debian's cannot read it", ours: outcomeOf{Out: "key k1: OK"}},
		{name: "table, Ed25519", args: "-vvv -x @DIR@/ed.conf", why: "Debian's cannot compare Ed25519 keys", ours: outcomeOf{Out: "key k1: OK"}},
		{name: "table, no key in a row", args: "-x @DIR@/inline.conf", why: "Debian's has words of OpenSSL", ours: outcomeOf{Err: "key k1: no private key: "}},
	}
	differ := map[string]toolCase{
		"nobase64": {why: "Debian's does not look at the key", ours: outcomeOf{Exit: 69, Err: "p= is no base64"}},
		"cut":      {why: "Debian's does not look at the key", ours: outcomeOf{Exit: 69, Err: "The end of the key is missing"}},
		"sha1":     {why: "no signature that passes is allowed by this record", ours: outcomeOf{Exit: 69, Err: "does not allow sha256"}},
	}
	for selector := range toolRecords(t) {
		c := toolCase{name: "record: " + selector, args: "-d example.com -x @DIR@/conf -s " + selector, why: differ[selector].why, ours: differ[selector].ours}
		cases = append(cases, c)
	}
	compareTool(t, "opendkim-testkey", prepareTestkey(z), cases)
}

// A nameserver that is silent times out, one that refuses does not.
func TestTestkeyTimeout(t *testing.T) {
	t.Parallel()
	silent, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	for _, tt := range []struct{ name, server, want string }{
		{"silent", silent.LocalAddr().String(), "'s._domainkey.example.com' query timed out"},
		{"failing", serveZone(t, "127.0.0.1:0", nil).addr, "'s._domainkey.failing.test' query failed"},
	} {
		client, err := resolver.New(resolver.Options{Nameservers: []string{tt.server}, Timeout: 100 * time.Millisecond, CacheSize: -1})
		if err != nil {
			t.Fatal(err)
		}
		domain := strings.TrimPrefix(strings.Fields(tt.want)[0], "'s._domainkey.")
		test := keyTest{resolver: client}
		if got := test.check(strings.TrimSuffix(domain, "'"), "s", nil).trouble; got != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
}

// A record as OpenDKIM judges it: every text of its library.
func TestRecordTrouble(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ record, want string }{
		{"v=DKIM1; p=x", ""},
		{" p = x ", ""},
		{"a.b-c_1=; p=x;", ""},
		{"v=DKIM2; h=md5; k=foo; s=x", "invalid key version 'DKIM2'"},
		{"v=DKIM1; h=md5; k=foo; s=x", "unknown hash 'md5'"},
		{"k=foo; s=x; p=", "key type mismatch"},
		{"k=foo; p=", "unknown key type 'foo'"},
		{"k=; p=x", "unknown key type ''"},
		{"h=; p=x", "unknown hash ''"},
		{"h=md5:SHA256; k=RSA; s=x:Email; p=x", ""},
		{"v=DKIM1 k=rsa; p=x", "invalid key version 'DKIM1k=rsa'"},
		{"v=DKIM1; p=x; v=2", "invalid key version '2'"},
		{"v=DKIM1", "key missing"},
		{"   ", "key missing"},
		{"", "empty key record"},
		{"p=", "Revoked key"},
		{"p=x; k", "tag without value at end of key data"},
		{"p=x; k ", "tag without value at end of key data"},
		{"a;b=c", "syntax error in key data (ASCII 0x3b at offset 1)"},
		{"a b=c", "syntax error in key data (ASCII 0x62 at offset 2)"},
		{"-b=c", "syntax error in key data (ASCII 0x2d at offset 0)"},
		{"=c", "syntax error in key data (ASCII 0x3d at offset 0)"},
		{";", "syntax error in key data (ASCII 0x3b at offset 0)"},
		{"p=\x7f", "invalid character (ASCII 0x7f at offset 2) in key data"},
		{"p=é", "invalid character (ASCII 0xc3 at offset 2) in key data"},
	} {
		if got := recordTrouble(tt.record); got != tt.want {
			t.Errorf("%q: %q, want %q", tt.record, got, tt.want)
		}
	}
}

// FuzzRecordTrouble: what is printed of a record cannot steer a terminal, and a
// record that our own verifier reads has no trouble.
func FuzzRecordTrouble(f *testing.F) {
	for _, seed := range []string{"v=DKIM1; k=rsa; p=MIGf", "a b=c", ";", "v=\x1b[2J; p=x", "k=; p=x", " p = x ", "v=DKIM1; n=é; p="} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, record string) {
		trouble := recordTrouble(record)
		for _, c := range []byte(trouble) {
			if c < ' ' || c > '~' {
				t.Fatalf("%q has %#x", trouble, c)
			}
		}
		tags, wrong := recordTags(record)
		if wrong == "" && trouble == "" && tags["p"] == "" {
			t.Fatalf("%q has no key, and no trouble", record)
		}
		if wrong != "" && trouble != wrong && record != "" {
			t.Fatalf("%q: %q and %q", record, wrong, trouble)
		}
		for name, value := range tags {
			if name == "" || strings.ContainsAny(name+value, "; \t") {
				t.Fatalf("%q: tag %q=%q", record, name, value)
			}
		}
	})
}
