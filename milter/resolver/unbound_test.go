package resolver

import (
	"bytes"
	"crypto"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/miekg/dns"
	"github.com/postseal/postseal/testdata/peers"
)

// The answers of a real recursive nameserver that validates: over UDP and TCP,
// through aliases, with the AD bit for the signed zone alone, and SERVFAIL for a
// record whose signature is broken.
func TestUnbound(t *testing.T) {
	large := strings.Repeat("0123456789", 400)
	addr := startUnbound(t, map[string][]string{
		"plain.example": {
			`s._domainkey 60 IN TXT "v=DKIM1; p=" "AA" "BB"`,
			`large._domainkey 60 IN TXT ` + zoneStrings(large),
			`two._domainkey 60 IN TXT "one"`, `two._domainkey 60 IN TXT "two"`,
			`alias._domainkey 60 IN CNAME s._domainkey.plain.example.`,
			`across._domainkey 60 IN CNAME s._domainkey.signed.example.`,
			`astray._domainkey 60 IN CNAME nowhere.plain.example.`,
			`loop._domainkey 60 IN CNAME pool._domainkey.plain.example.`, `pool._domainkey 60 IN CNAME loop._domainkey.plain.example.`,
			`nodata._domainkey 60 IN A 192.0.2.1`,
			`moved 60 IN DNAME plain.example.`,
		},
		"signed.example": {
			`s._domainkey 60 IN TXT "v=DKIM1; p=CC"`,
			`across._domainkey 60 IN CNAME s._domainkey.plain.example.`,
			`broken._domainkey 60 IN TXT "v=DKIM1; p=DD"`,
		},
	})
	c := client(t, Options{Nameservers: []string{addr}})
	for _, tt := range []struct {
		name      string
		want      []string
		authentic bool
		err       string
	}{
		{name: "s._domainkey.plain.example", want: []string{"v=DKIM1; p=AABB"}},
		{name: "S._DomainKey.Plain.Example.", want: []string{"v=DKIM1; p=AABB"}},
		{name: "large._domainkey.plain.example", want: []string{large}},
		{name: "two._domainkey.plain.example", want: []string{"one", "two"}},
		{name: "alias._domainkey.plain.example", want: []string{"v=DKIM1; p=AABB"}},
		{name: "s._domainkey.moved.plain.example", want: []string{"v=DKIM1; p=AABB"}},
		{name: "astray._domainkey.plain.example"},
		{name: "nodata._domainkey.plain.example"},
		{name: "nxdomain._domainkey.plain.example"},
		{name: "loop._domainkey.plain.example", err: "answered SERVFAIL"},
		{name: "s._domainkey.signed.example", want: []string{"v=DKIM1; p=CC"}, authentic: true},
		{name: "across._domainkey.plain.example", want: []string{"v=DKIM1; p=CC"}},
		{name: "across._domainkey.signed.example", want: []string{"v=DKIM1; p=AABB"}},
		{name: "broken._domainkey.signed.example", err: "answered SERVFAIL"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, authentic, err := c.LookupTXT(t.Context(), tt.name)
			if (err != nil) != (tt.err != "") || err != nil && !strings.Contains(err.Error(), tt.err) {
				t.Fatalf("error %v, want %q", err, tt.err)
			}
			if diff := cmp.Diff(tt.want, got, cmp.Transformer("sorted", sorted)); diff != "" {
				t.Errorf("records (-want +got):\n%s", diff)
			}
			if authentic != tt.authentic {
				t.Errorf("authentic = %t, want %t", authentic, tt.authentic)
			}
		})
	}
}

func sorted(list []string) map[string]int {
	count := map[string]int{}
	for _, s := range list {
		count[s]++
	}
	return count
}

// zoneStrings writes a TXT value as the strings of a zone file.
func zoneStrings(value string) string {
	return `"` + strings.Join(splitStrings(value), `" "`) + `"`
}

// startUnbound runs unbound(8) with zones of its own until the test ends. A zone
// whose name begins with "signed" is signed and a trust anchor; the signatures of
// names that begin with "broken" in it are not valid.
func startUnbound(t *testing.T, zones map[string][]string) string {
	t.Helper()
	program, err := exec.LookPath("unbound")
	if err != nil {
		if program = "/usr/sbin/unbound"; exec.Command(program, "-V").Run() != nil {
			peers.Require(t, errors.New("no unbound: apt-get install unbound"))
		}
	}
	dir := t.TempDir()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := l.Addr().(*net.TCPAddr).Port
	l.Close()
	var conf strings.Builder
	fmt.Fprintf(&conf, "server:\n interface: 127.0.0.1\n port: %d\n do-daemonize: no\n use-syslog: no\n logfile: \"\"\n username: \"\"\n chroot: \"\"\n"+
		" directory: %q\n pidfile: \"\"\n do-not-query-localhost: no\n module-config: \"validator iterator\"\n qname-minimisation: no\n", port, dir)
	var authZones strings.Builder
	for name, lines := range zones {
		zone, anchor := makeZone(t, name, lines)
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(zone), 0o600); err != nil {
			t.Fatal(err)
		}
		if anchor != "" {
			fmt.Fprintf(&conf, " trust-anchor: %q\n", anchor)
		}
		fmt.Fprintf(&authZones, "auth-zone:\n name: %q\n zonefile: %q\n for-downstream: no\n for-upstream: yes\n fallback-enabled: no\n", name, path)
	}
	conf.WriteString("remote-control:\n control-enable: no\n" + authZones.String())
	path := filepath.Join(dir, "unbound.conf")
	if err := os.WriteFile(path, []byte(conf.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program, "-d", "-p", "-c", path)
	var output bytes.Buffer
	cmd.Stdout, cmd.Stderr = &output, &output
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { _ = cmd.Wait(); close(ended) }()
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		<-ended
		if t.Failed() {
			t.Logf("unbound: %s", output.Bytes())
		}
	})
	addr := fmt.Sprintf("127.0.0.1:%d", port)
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		if c, err := net.Dial("tcp", addr); err == nil {
			c.Close()
			return addr
		}
		select {
		case <-ended:
			t.Fatalf("unbound ended: %s", output.Bytes())
		default:
		}
		if time.Now().After(end) {
			t.Fatal("unbound does not answer")
		}
	}
}

// makeZone is the text of a zone, and the trust anchor of one that is signed.
func makeZone(t *testing.T, name string, lines []string) (text, anchor string) {
	t.Helper()
	origin := dns.Fqdn(name)
	head := []string{"@ 60 IN SOA ns." + origin + " x." + origin + " 1 60 60 60 60", "@ 60 IN NS ns." + origin, "ns 60 IN A 127.0.0.1"}
	var rrs []dns.RR
	for _, line := range append(head, lines...) {
		rr, err := dns.NewRR("$ORIGIN " + origin + "\n" + line)
		if err != nil {
			t.Fatal(err)
		}
		rrs = append(rrs, rr)
	}
	if strings.HasPrefix(name, "signed") {
		key := &dns.DNSKEY{Hdr: dns.RR_Header{Name: origin, Rrtype: dns.TypeDNSKEY, Class: dns.ClassINET, Ttl: 60}, Flags: 257, Protocol: 3, Algorithm: dns.ECDSAP256SHA256}
		private, err := key.Generate(256)
		if err != nil {
			t.Fatal(err)
		}
		anchor = strings.ReplaceAll(key.String(), "\t", " ")
		rrs = append(rrs, key)
		for _, rr := range rrs[:len(rrs):len(rrs)] { // one record a name and type here
			sig := &dns.RRSIG{Algorithm: key.Algorithm, KeyTag: key.KeyTag(), SignerName: origin,
				Inception: uint32(time.Now().Add(-time.Hour).Unix()), Expiration: uint32(time.Now().Add(time.Hour).Unix())}
			if err := sig.Sign(private.(crypto.Signer), []dns.RR{rr}); err != nil {
				t.Fatal(err)
			}
			if strings.HasPrefix(rr.Header().Name, "broken") {
				sig.Expiration--
			}
			rrs = append(rrs, sig)
		}
	}
	for _, rr := range rrs {
		text += rr.String() + "\n"
	}
	return text, anchor
}
