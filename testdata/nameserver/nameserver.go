// Package nameserver starts real name servers for tests, on loopback: BIND's named
// for zones of the test's own, signed and updatable, and a validating unbound that
// asks it.
package nameserver

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
	"github.com/postseal/postseal/testdata/peers"
	"github.com/postseal/postseal/testdata/program"
)

const (
	// patience is how long a server may take on a machine that is busy.
	patience = 2 * time.Minute
	// tries is how often a server is started where somebody has its port.
	tries = 10
	// pause is between two tries: a client may have the port for a moment.
	pause = 100 * time.Millisecond
)

// Zone is what a server is authoritative for.
type Zone struct {
	// Name is its origin, without the final dot.
	Name string
	// Records are lines of a zone file, relative to Name, beside the SOA, the NS record
	// (ns.NAME) and its address, which come by themselves; $TTL is 60.
	Records string
	// Signed signs it (DNSSEC); a resolver then has its key as a trust anchor.
	Signed bool
	// Rules are statements for its zone clause, such as an update-policy, in place of
	// the one that has it updated with the server's key.
	Rules string
}

// Server is a running named.
type Server struct {
	// Addr is where it listens by UDP and TCP, as ADDRESS:PORT.
	Addr string
	// KeyFile is the TSIG key that may update every zone, as tsig-keygen writes it.
	KeyFile string

	zones []Zone
}

// The key of the zones guards nothing but tests.
const (
	keyName = "postseal-test."
	secret  = "cG9zdHNlYWwtdGVzdHMtb25seS1ub3Qtc2VjcmV0LTAwMQ=="
)

// Key is a key file of named for a TSIG key.
func Key(name, algorithm, secret string) string {
	return fmt.Sprintf("key %q {\n\talgorithm %s;\n\tsecret %q;\n};\n", name, algorithm, secret)
}

// Files are the files of a named in the folder dir that listens on a port of addr
// and has the zones: named.conf, tsig.key and a file for each zone.
func Files(dir, addr string, port int, zones ...Zone) map[string]string {
	files := map[string]string{"tsig.key": Key(strings.TrimSuffix(keyName, "."), "hmac-sha256", secret)}
	var conf strings.Builder
	fmt.Fprintf(&conf, `options {
	directory %q;
	listen-on port %d { %s; };
	listen-on-v6 { none; };
	pid-file none;
	session-keyfile none;
	lock-file none;
	recursion no;
	notify no;
	allow-transfer { any; };
	dnssec-validation no;
	check-names primary ignore;
};
controls { };
include "tsig.key";
dnssec-policy once { keys { csk lifetime unlimited algorithm ecdsap256sha256; }; };
`, dir, port, addr)
	for _, z := range zones {
		policy := ""
		if z.Signed {
			policy = " dnssec-policy once; inline-signing no;"
		}
		rules := z.Rules
		if rules == "" {
			rules = fmt.Sprintf("allow-update { key %q; };", strings.TrimSuffix(keyName, "."))
		}
		fmt.Fprintf(&conf, "zone %q { type primary; file %q; %s%s };\n", z.Name, z.Name+".zone", rules, policy)
		files[z.Name+".zone"] = fmt.Sprintf("$TTL 60\n@ SOA ns hostmaster 1 60 60 86400 5\n@ NS ns\nns A %s\n%s\n", addr, z.Records)
	}
	files["named.conf"] = conf.String()
	return files
}

// Start starts a named on 127.0.0.1 that ends with the test.
func Start(t testing.TB, zones ...Zone) *Server {
	t.Helper()
	return start(t, program.FreePort, zones)
}

func start(t testing.TB, free func(testing.TB) int, zones []Zone) *Server {
	t.Helper()
	named := find(t, "named", "bind9")
	var s *Server
	run(t, func() []string {
		dir, port := t.TempDir(), free(t)
		s = &Server{Addr: fmt.Sprintf("127.0.0.1:%d", port), KeyFile: filepath.Join(dir, "tsig.key"), zones: zones}
		for name, text := range Files(dir, "127.0.0.1", port, zones...) {
			write(t, filepath.Join(dir, name), text)
		}
		return []string{named, "-g", "-n", "1", "-c", filepath.Join(dir, "named.conf")}
	}, func() bool { return s.ready() })
	return s
}

// ready reports whether each zone is loaded, and signed if it is to be.
func (s *Server) ready() bool {
	for _, z := range s.zones {
		if len(s.ask(z.Name, dns.TypeSOA)) == 0 || z.Signed && len(s.ask(z.Name, dns.TypeDNSKEY)) == 0 {
			return false
		}
	}
	return true
}

// ask returns the records of a name and type, none on any trouble.
func (s *Server) ask(name string, qtype uint16) (records []dns.RR) {
	m := new(dns.Msg)
	m.SetQuestion(dns.Fqdn(name), qtype)
	answer, _, err := new(dns.Client).Exchange(m, s.Addr)
	if err != nil {
		return nil
	}
	for _, rr := range answer.Answer {
		if rr.Header().Rrtype == qtype {
			records = append(records, rr)
		}
	}
	return records
}

// Update changes a zone. Each line is "add RECORD" or "delete NAME [TYPE]", names in
// full; records as in a zone file: "add mail.example.com 60 TXT \"text\"".
func (s *Server) Update(t testing.TB, zone string, lines ...string) {
	t.Helper()
	m := new(dns.Msg)
	m.SetUpdate(dns.Fqdn(zone))
	for _, line := range lines {
		word, rest, _ := strings.Cut(line, " ")
		switch word {
		case "add":
			rr, err := dns.NewRR(rest)
			if err != nil {
				t.Fatalf("%q: %v", line, err)
			}
			m.Insert([]dns.RR{rr})
		case "delete":
			name, kind, _ := strings.Cut(rest, " ")
			header := dns.RR_Header{Name: dns.Fqdn(name), Rrtype: dns.TypeANY}
			if kind == "" {
				m.RemoveName([]dns.RR{&dns.ANY{Hdr: header}})
				continue
			}
			if header.Rrtype = dns.StringToType[kind]; header.Rrtype == 0 {
				t.Fatalf("%q: no type %q", line, kind)
			}
			m.RemoveRRset([]dns.RR{&dns.ANY{Hdr: header}})
		default:
			t.Fatalf("%q is neither add nor delete", line)
		}
	}
	m.SetTsig(keyName, dns.HmacSHA256, 300, time.Now().Unix())
	answer, _, err := (&dns.Client{Net: "tcp", TsigSecret: map[string]string{keyName: secret}, Timeout: patience}).Exchange(m, s.Addr)
	if err != nil || answer.Rcode != dns.RcodeSuccess {
		t.Fatalf("update of %s: %v, %v", zone, err, answer)
	}
}

// Resolver is a running unbound.
type Resolver struct {
	// Addr is where it listens by UDP and TCP, as ADDRESS:PORT.
	Addr string
}

// Resolver starts an unbound on 127.0.0.1 that asks the server for its zones, knows
// of no other names, validates those that are signed, and remembers nothing.
func (s *Server) Resolver(t testing.TB) *Resolver {
	t.Helper()
	unbound := find(t, "unbound", "unbound")
	var anchors []string
	for _, z := range s.zones {
		if !z.Signed {
			continue
		}
		for _, rr := range s.ask(z.Name, dns.TypeDNSKEY) {
			anchors = append(anchors, strings.ReplaceAll(rr.String(), "\t", " "))
		}
	}
	var r *Resolver
	run(t, func() []string {
		dir, port := t.TempDir(), program.FreePort(t)
		r = &Resolver{Addr: fmt.Sprintf("127.0.0.1:%d", port)}
		path := filepath.Join(dir, "unbound.conf")
		write(t, path, ResolverConfig(dir, "127.0.0.1", port, strings.Replace(s.Addr, ":", "@", 1), anchors, s.zones...))
		return []string{unbound, "-d", "-p", "-c", path}
	}, func() bool {
		c, err := net.Dial("tcp", r.Addr)
		if err == nil {
			c.Close()
		}
		return err == nil
	})
	return r
}

// ResolverConfig is the configuration of an unbound on a port of addr that asks the
// name server at ADDRESS@PORT for the zones; anchors are their DNSKEY records.
func ResolverConfig(dir, addr string, port int, server string, anchors []string, zones ...Zone) string {
	var conf strings.Builder
	fmt.Fprintf(&conf, `server:
 interface: %s
 port: %d
 do-daemonize: no
 use-syslog: no
 logfile: ""
 username: ""
 chroot: ""
 directory: %q
 pidfile: ""
 do-not-query-localhost: no
 module-config: "validator iterator"
 qname-minimisation: no
 cache-max-ttl: 0
 cache-max-negative-ttl: 0
 infra-host-ttl: 0
 root-hints: ""
 local-zone: "." static
`, addr, port, dir)
	for _, a := range anchors {
		fmt.Fprintf(&conf, " trust-anchor: %q\n", a)
	}
	for _, z := range zones {
		fmt.Fprintf(&conf, " local-zone: %q transparent\n", z.Name)
	}
	conf.WriteString("remote-control:\n control-enable: no\n")
	for _, z := range zones {
		fmt.Fprintf(&conf, "stub-zone:\n name: %q\n stub-addr: %s\n stub-no-cache: yes\n", z.Name, server)
	}
	return conf.String()
}

// find is the path of a program of a Debian package.
func find(t testing.TB, name, pack string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		path = "/usr/sbin/" + name
		if _, err := os.Stat(path); err != nil {
			peers.Require(t, fmt.Errorf("no %s: apt-get install %s", name, pack))
		}
	}
	return path
}

func write(t testing.TB, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// run runs a server until the test ends, and returns once it is ready. prepare writes its
// configuration, with a port that is free for all that can be known, and returns its
// command; where somebody else was faster, by TCP or UDP, it is called again.
func run(t testing.TB, prepare func() []string, ready func() bool) {
	t.Helper()
	for range tries {
		if runOnce(t, prepare(), ready) {
			return
		}
		time.Sleep(pause)
	}
	t.Fatalf("none of %d ports was free", tries)
}

// taken is what named and unbound say where somebody else has their port.
var taken = regexp.MustCompile(`(?i)address (already )?in use|interface ignored`)

// runOnce is run for one port, and reports whether that was free.
func runOnce(t testing.TB, words []string, ready func() bool) bool {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	cmd := exec.CommandContext(ctx, words[0], words[1:]...)
	var output program.Output
	cmd.Stdout, cmd.Stderr = &output, &output
	endWithUs(cmd)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { _ = cmd.Wait(); close(ended) }()
	end := func() { cancel(); <-ended }
	t.Cleanup(func() {
		end()
		if t.Failed() {
			t.Logf("%s: %s", words[0], output.String())
		}
	})
	for limit := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		over := false
		select {
		case <-ended:
			over = true
		default:
		}
		up := !over && ready()
		switch {
		case taken.MatchString(output.String()):
			end()
			return false
		case up:
			return true
		case over:
			t.Fatalf("%s ended: %s", words[0], output.String())
		case time.Now().After(limit):
			t.Fatalf("%s does not answer", words[0])
		}
	}
}
