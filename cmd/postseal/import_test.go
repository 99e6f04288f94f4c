package main

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"io"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/postseal/postseal/config"
	"github.com/postseal/postseal/config/dataset"
	"github.com/postseal/postseal/config/opendkim"
	"github.com/postseal/postseal/keys"
	"github.com/postseal/postseal/milter"
	"github.com/postseal/postseal/milter/dkim"
	"github.com/postseal/postseal/milter/proof"
	"github.com/postseal/postseal/milter/resolver"
)

// importFiles are what the configurations of importSetups name in "@DIR@"; the
// keys rsa.private, ed.private and example.com/rsa.private are there, too.
var importFiles = map[string]string{
	"signing.refile": "u@example.com first:@example.com\n*@example.com second\n*@*.example.com each\n*@elsewhere.test each:sales@elsewhere.test\n",
	"signing.file":   "u@example.com first\nexample.com second\n.example.com each\n",
	"key.table": "first example.com:one:@DIR@/rsa.private\nsecond example.com:two:@DIR@/ed.private\n" +
		"each %:three:@DIR@/rsa.private\nown example.com:four:@DIR@/%/rsa.private\n",
	"relative.table": "first example.com:one:./rsa.private\nsecond example.com:two:../@NAME@/ed.private\neach %:three:./rsa.private\n",
	"broken.table":   "first example.com:one:@DIR@/rsa.private\nsecond example.com\neach %:three:@DIR@/missing.private\n",
	"trusted.hosts":  "# ours\n127.0.0.1\n::1\nlocalhost\n192.0.2.0/24\n!192.0.2.7\n.corp.test\n",
	"names":          "# one a line\nFrom\nSubject\nX-Ticket\n",
	"delta":          "*\n+X-Ticket\n-Sender\n-List-*\n",
	"macros":         "daemon_name ORIGINATING|LOCAL\nverified\n",
	"domains":        "example.com\nelsewhere.test\n",
	"recipients":     "list@lists.test\n",
	"replace.rules":  "example\\.com\texample.net\n",
	"records":        "s._domainkey.example.com v=DKIM1; p=\n",
	"more.conf":      "Mode s\nSubDomains yes\n",
}

// importSetups are lines of opendkim.conf. Each has a Socket and RequireSafeKeys
// no before it.
var importSetups = []struct{ name, conf string }{
	{"nothing", "Mode v"},
	{"Debian's", "Syslog yes\nSyslogSuccess yes\nCanonicalization relaxed/simple\nOversignHeaders From\nUserID opendkim\nUMask 007\n" +
		"Socket local:@DIR@/opendkim.sock\nPidFile @DIR@/opendkim.pid"},
	{"how-to with tables", tables + "Canonicalization relaxed/simple\nMode sv\nAutoRestart yes\nAutoRestartRate 5/1H\nSignatureAlgorithm rsa-sha256\n" +
		"UserID opendkim\nExternalIgnoreList @DIR@/trusted.hosts\nInternalHosts @DIR@/trusted.hosts\nSocket inet:8891@localhost"},
	{"how-to, signing only", tables + "Syslog yes\nUMask 002\nUserID opendkim\nExternalIgnoreList @DIR@/trusted.hosts\nInternalHosts @DIR@/trusted.hosts\n" +
		"Canonicalization relaxed/simple\nMode s\nSubDomains no\nAutoRestart yes\nAutoRestartRate 10/1M\nBackground yes\nDNSTimeout 5\n" +
		"SignatureAlgorithm rsa-sha256\nOversignHeaders From"},
	{"how-to with one key", oneDomain + "Canonicalization relaxed/relaxed\nMode sv\nSyslog yes\nLogWhy yes\nOversignHeaders From,To,Subject"},
	{"tables of type file", "KeyTable file:@DIR@/key.table\nSigningTable file:@DIR@/signing.file"},
	{"tables by path", "KeyTable @DIR@/key.table\nSigningTable @DIR@/signing.file"},
	{"tables in lists", "KeyTable csl:k1=example.com:s:@DIR@/rsa.private,k2=%:t:@DIR@/ed.private\nSigningTable example.com=k1,.example.com=k2"},
	{"key names with %", "KeyTable csl:example.com=example.com:s:@DIR@/rsa.private\nSigningTable *=%"},
	{"a key folder for each domain", "KeyTable @DIR@/key.table\nSigningTable *=own"},
	{"all rows", tables + "MultipleSignatures yes"},
	{"relative paths", "BaseDirectory @DIR@\nKeyTable file:relative.table\nSigningTable refile:./signing.refile\nInternalHosts file:trusted.hosts"},
	{"a relative key", "BaseDirectory @DIR@\nDomain example.com\nSelector s\nKeyFile example.com/rsa.private"},
	{"rows that cannot be used", "CheckSigningTable no\nKeyTable @DIR@/broken.table\nSigningTable refile:@DIR@/signing.refile"},
	{"checked tables", tables + "CheckSigningTable yes"},
	{"one key, all domains", "Domain *\nSelector s\nKeyFile @DIR@/ed.private"},
	{"one key, a file of domains", "Domain file:@DIR@/domains\nSelector s\nKeyFile @DIR@/rsa.private\nSubDomains yes"},
	{"one key beside tables", tables + oneDomain},
	{"include", oneDomain + "Mode v\nInclude @DIR@/more.conf\nSubDomains no"},
	{"simple canonicalization", oneDomain + "Canonicalization simple"},
	{"relaxed header only", oneDomain + "Canonicalization relaxed"},
	{"fields by name", oneDomain + "SignHeaders From, Subject, X-Ticket"},
	{"fields from a file", oneDomain + "SignHeaders @DIR@/names\nOversignHeaders file:@DIR@/names"},
	{"fields beside the default", oneDomain + "SignHeaders *,+X-Ticket,-Subject"},
	{"fields beside the default from a file", oneDomain + "SignHeaders file:@DIR@/delta\nOmitHeaders *,+X-Ticket"},
	{"fields never signed", oneDomain + "OmitHeaders Subject,X-*"},
	{"nothing is never signed", oneDomain + "OmitHeaders ."},
	{"fields that do not exist", oneDomain + "OversignHeaders X-Ticket,Message-ID"},
	{"senders", tables + "SenderHeaders Sender,List-Post,From"},
	{"senders beside the default", tables + "SenderHeaders *,+Sender"},
	{"sender by macro", tables + "SenderMacro {mail_addr}"},
	{"replaced text", oneDomain + "ReplaceRules @DIR@/replace.rules\nReplaceHeaders From,Subject"},
	{"times and sizes", oneDomain + "SignatureTTL 604800\nClockDrift 60\nDNSTimeout 010\nMaximumHeaders 0x20000\nMaximumSignaturesToVerify 0\nMinimumKeyBits 2048"},
	{"numbers for nothing", oneDomain + "SignatureTTL 0\nClockDrift 0\nDNSTimeout 0\nMaximumHeaders 0\nMinimumKeyBits 0"},
	{"l= on all", oneDomain + "MaximumSignedBytes 10"},
	{"l= on the whole body", oneDomain + "MaximumSignedBytes 0"},
	{"l= for some", oneDomain + "BodyLengthDB file:@DIR@/recipients"},
	{"switches of signing", oneDomain + "Diagnostics yes\nRequestReports true\nRemoveOldSignatures 1\nSoftwareHeader Yes\nFixCRLF yes"},
	{"X-Header", oneDomain + "X-Header yes"},
	{"switches of both", oneDomain + "RequiredHeaders yes\nStrictHeaders yes\nIgnoreMalformedMail yes\nWeakSyntaxChecks yes"},
	{"hosts", tables + "InternalHosts 192.0.2.0/24,!192.0.2.7,host.corp.test\nPeerList csl:198.51.100.0/24\nExternalIgnoreList 203.0.113.0/24"},
	{"hosts in a refile", tables + "InternalHosts refile:@DIR@/trusted.hosts"},
	{"IPv6 hosts", tables + "InternalHosts csl:2001:db8::/32,::1"},
	{"MTA", tables + "MTA ORIGINATING,LOCAL"},
	{"macros", tables + "MacroList daemon_name=ORIGINATING|LOCAL,verified"},
	{"macros of a file", tables + "MacroList file:@DIR@/macros"},
	{"exemptions", tables + "ExemptDomains elsewhere.test\nDontSignMailTo list@lists.test"},
	{"exemptions from files", tables + "ExemptDomains @DIR@/domains\nDontSignMailTo file:@DIR@/recipients"},
	{"verification", "Mode v\nAuthservID mx.example.com\nAuthservIDWithJobID yes\nAlwaysAddARHeader yes\nNoHeaderB yes\nRemoveARAll yes\n" +
		"RemoveARFrom mx.example.com,old.example.com\nTrustSignaturesFrom @DIR@/domains\nMustBeSigned Subject,To\nMinimum 80%"},
	{"results kept", "AuthservID HOSTNAME\nKeepAuthResults yes\nMinimum 500+\nMaximumSignaturesToVerify 20"},
	{"actions", "On-BadSignature reject\nOn-NoSignature discard\nOn-DNSError accept\nOn-KeyNotFound t\nOn-InternalError Q\nOn-Security r\nOn-SignatureError a\nCaptureUnknownErrors yes"},
	{"action by default", "On-Default tempfail\nOn-BadSignature accept"},
	{"action by default, quarantine", "On-Default quarantine\nOn-Security banana"},
	{"redirection", "RedirectFailuresTo postmaster@example.com"},
	{"DNS", "Nameservers 127.0.0.1,192.0.2.53\nDNSConnect yes"},
	{"DNS for tests", "TestPublicKeys @DIR@/records"},
	{"DNS data for tests", "TestDNSData file:@DIR@/records"},
	{"log", "Syslog yes\nSyslogFacility local3\nSyslogName dkim\nSyslogSuccess yes\nLogWhy yes\nLogResults yes\nStdoutLog no"},
	{"log on standard output", "StdoutLog yes"},
	{"process", "UserID root:root\nPidFile @DIR@/run/opendkim.pid\nChangeRootDirectory /\nUMask 22\nBackground no\nAutoRestartCount 5"},
	{"what has no effect", "TrustAnchorFile /usr/share/dns/root.key\nQueryCache yes\nSendReports yes\nReportAddress a@example.com\nSoftStart yes\nADSPAction continue"},
	{"strings that TOML escapes", `AuthservID a\t"b"'c`},
}

const (
	tables    = "KeyTable @DIR@/key.table\nSigningTable refile:@DIR@/signing.refile\n"
	oneDomain = "Domain example.com\nSelector s\nKeyFile @DIR@/rsa.private\n"
)

// Every setting that OpenDKIM has in common with us is in a setup, so that a new
// one cannot be forgotten.
func TestImportSetupsAreComplete(t *testing.T) {
	used := map[string]bool{}
	for _, s := range importSetups {
		for line := range strings.Lines(s.conf) {
			name, _, _ := strings.Cut(strings.TrimSpace(line), " ")
			used[strings.ToLower(name)] = true
		}
	}
	known := 0
	typed := reflect.TypeFor[config.Config]()
	for i := range typed.NumField() {
		name := opendkim.Parameter(typed.Field(i).Tag.Get("toml"))
		if name == "" || name == "RequireSafeKeys" {
			continue
		}
		known++
		if !used[strings.ToLower(name)] {
			t.Errorf("no setup has %s", name)
		}
	}
	if known < 60 {
		t.Errorf("only %d parameters are known", known)
	}
}

// An opendkim.conf and the postseal.toml that import makes of it decide and sign
// alike.
func TestImportMeansTheSame(t *testing.T) {
	dir := writeImportFiles(t)
	elsewhere := t.TempDir()
	for _, s := range importSetups {
		t.Run(s.name, func(t *testing.T) {
			conf := "Socket inet:8891@localhost\nRequireSafeKeys no\n" + strings.ReplaceAll(s.conf, "@DIR@", dir) + "\n"
			path := filepath.Join(dir, "opendkim.conf")
			writeText(t, path, conf)
			theirs, err := opendkim.LoadConfig(path, config.Environment{})
			if err != nil {
				t.Fatal(err)
			}
			i := imported{File: path}
			if err := i.read(); err != nil {
				t.Fatal(err)
			}
			file := filepath.Join(elsewhere, "postseal.toml")
			writeText(t, file, i.TOML)
			ours, err := config.Load(file)
			if err != nil {
				t.Fatalf("%v in:\n%s", err, i.TOML)
			}
			if diff := diffConfigs(theirs, ours); diff != "" {
				t.Errorf("(-opendkim.conf +postseal.toml)\n%s\n%s", diff, i.TOML)
			}
			a, b := snapshotOf(t, theirs), snapshotOf(t, ours)
			for _, f := range importMails() {
				f.Mode = theirs.Mode
				if diff := cmp.Diff(outcomeOf(t, a, theirs, f), outcomeOf(t, b, ours, f)); diff != "" {
					t.Errorf("%v: (-opendkim.conf +postseal.toml)\n%s\n%s", f, diff, i.TOML)
				}
			}
		})
	}
}

func writeText(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func writeImportFiles(t *testing.T) (dir string) {
	t.Helper()
	dir = t.TempDir()
	for name, text := range importFiles {
		writeText(t, filepath.Join(dir, name), strings.NewReplacer("@DIR@", dir, "@NAME@", filepath.Base(dir)).Replace(text))
	}
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	_, edKey, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for name, key := range map[string]any{"rsa.private": rsaKey, "example.com/rsa.private": rsaKey, "ed.private": edKey} {
		der, err := x509.MarshalPKCS8PrivateKey(key)
		if err != nil {
			t.Fatal(err)
		}
		writeText(t, filepath.Join(dir, name), string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})))
	}
	return dir
}

// diffConfigs compares all settings.
func diffConfigs(a, b *config.Config) string {
	return cmp.Diff(a, b,
		cmpopts.IgnoreUnexported(config.Config{}), cmpopts.IgnoreFields(config.Config{}, "Notices", "Nameless"), cmpopts.EquateEmpty(),
		cmp.Comparer(func(a, b dataset.Spec) bool {
			return a.IsSet() == b.IsSet() && a.Text == b.Text && slices.Equal(a.Items, b.Items)
		}))
}

func snapshotOf(t *testing.T, c *config.Config) *milter.Snapshot {
	t.Helper()
	log := slog.New(slog.NewTextHandler(io.Discard, nil))
	s, err := milter.Load(c, milter.Environment{Keys: keys.NewCache(100, proof.Prove, log), Log: log, Resolver: resolver.NewRecords(nil)})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// importMails are mails that the setups treat in different ways.
func importMails() []milter.Facts {
	var mails []milter.Facts
	for _, from := range []string{"u@example.com", "v@example.com", "w@sub.example.com", "x@elsewhere.test", "y@other.test"} {
		for _, client := range []struct{ host, addr, macros string }{
			{"localhost", "", ""},
			{"out.test", "192.0.2.1", ""},
			{"out.test", "192.0.2.7", "auth_type=PLAIN auth_authen=u"},
			{"host.corp.test", "203.0.113.5", ""},
			{"out.test", "2001:db8::5", ""},
			{"out.test", "198.51.100.9", "daemon_name=ORIGINATING"},
			{"out.test", "198.51.100.9", "verified=yes mail_addr=u@example.com"},
		} {
			f := milter.Facts{Host: client.host, MailFrom: from, Recipients: []string{"somebody@other.test"}}
			if client.addr != "" {
				f.Addr = netip.MustParseAddr(client.addr)
			} else {
				f.Recipients = append(f.Recipients, "list@lists.test")
			}
			macros := map[string]string{"i": "4F1", "mail_addr": ""}
			for m := range strings.FieldsSeq(client.macros) {
				name, value, _ := strings.Cut(m, "=")
				macros[name] = value
			}
			f.Macro = func(name string) (string, bool) { v, ok := macros[name]; return v, ok && v != "" }
			f.Fields = []dkim.Field{
				{Name: "Received", Value: " from a by b"}, {Name: "From", Value: " " + from}, {Name: "Sender", Value: " u@example.com"},
				{Name: "To", Value: " a@other.test"}, {Name: "Subject", Value: " of  example.com"}, {Name: "Date", Value: " Mon, 2 Nov 2026 10:00:00 +0000"},
				{Name: "X-Ticket", Value: " 5"}, {Name: "X-Other", Value: " 6"}, {Name: "Content-Type", Value: " text/plain"},
				{Name: "Message-ID", Value: " <1@example.com>"}, {Name: "List-Id", Value: " <x.example.com>"},
			}
			mails = append(mails, f)
		}
	}
	return mails
}

// outcome is what is done with a mail.
type outcome struct {
	Verdict    milter.Verdict
	Reasons    []milter.Reason
	Sender     string
	BodyLength bool
	Signatures []string // or why a key cannot sign
}

func outcomeOf(t *testing.T, s *milter.Snapshot, c *config.Config, f milter.Facts) outcome {
	t.Helper()
	d := s.Decide(f)
	o := outcome{Verdict: d.Verdict, Reasons: d.Reasons, Sender: d.Sender.String(), BodyLength: d.BodyLength}
	options, err := milter.SignOptions(c)
	if err != nil {
		t.Fatal(err)
	}
	options.Time = time.Unix(1_700_000_000, 0)
	if ttl := c.SignatureTTL.Std(); ttl > 0 {
		options.Expiration = options.Time.Add(ttl)
	}
	for _, r := range d.Requests {
		key, err := r.Signer()
		if err != nil {
			o.Signatures = append(o.Signatures, err.Error())
			continue
		}
		request := signRequest{name: r.KeyName, domain: r.Domain, selector: r.Selector, auid: r.AUID, key: key}
		made, err := signAll(d.Fields, strings.NewReader("Hello\r\n\r\nworld \r\n\r\n"), []signRequest{request}, options)
		if err != nil {
			t.Fatal(err)
		}
		o.Signatures = append(o.Signatures, made[0].Key+" "+made[0].Field)
	}
	return o
}

// Whatever opendkim.conf can be read becomes a postseal.toml that means the same.
func FuzzImport(f *testing.F) {
	for _, s := range importSetups {
		f.Add("Socket inet:8891@localhost\n" + s.conf)
	}
	f.Fuzz(func(t *testing.T, text string) {
		path := filepath.Join(t.TempDir(), "opendkim.conf")
		writeText(t, path, text)
		file, err := opendkim.Load(path, opendkim.Options{CheckOnly: true})
		if err != nil || len(file.Config.Socket) == 0 {
			return
		}
		i := imported{File: path}
		if err := i.read(); err != nil {
			if strings.Contains(err.Error(), "no UTF-8") || strings.Contains(err.Error(), "is a postseal.toml already") {
				return
			}
			t.Fatal(err)
		}
		ours, err := config.Parse([]byte(i.TOML), "")
		if err != nil {
			t.Fatalf("%v in:\n%s", err, i.TOML)
		}
		if diff := diffConfigs(file.Config, ours); diff != "" {
			t.Errorf("(-opendkim.conf +postseal.toml)\n%s\n%s", diff, i.TOML)
		}
	})
}
