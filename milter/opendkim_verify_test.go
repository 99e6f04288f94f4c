package milter

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/postseal/postseal/config"
	"github.com/postseal/postseal/testdata/peers"
)

// verifySetup is one configuration that OpenDKIM and we verify with.
type verifySetup struct {
	name string
	// conf is lines of opendkim.conf beside what startDuel gives.
	conf string
	// mails are made by a forgery; nil: all of forgery.mails.
	mails func(forgery) []signedMail
	// addr is the client's address, "-" for local submission.
	addr   string
	differ []difference
}

// What becomes of mail that is verified, replies and results, is as with
// OpenDKIM under its defaults; what differs is listed with the reason.
func TestVerdictAsOpenDKIM(t *testing.T) {
	f := newForgery(t)
	server := f.nameserver(t)
	data := filepath.Join(t.TempDir(), "data")
	text := "S._domainkey.Example.COM " + f.keyText("v=DKIM1; ") + "\n"
	if err := os.WriteFile(data, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, s := range verifySetups() {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			d := startDuel(t, server, strings.Split(strings.ReplaceAll(s.conf, "@DATA@", data), "\n")...)
			mails := f.mails()
			if s.mails != nil {
				mails = s.mails(f)
			}
			if s.addr == "" {
				s.addr = "192.0.2.9"
			}
			listed := slices.Clone(s.differ)
			for _, m := range mails {
				want, got := d.fight(t, strings.Trim(s.addr, "-"), m)
				if n := slices.IndexFunc(listed, func(d difference) bool { return d.mail == m.name }); n >= 0 {
					if listed[n].ours == want {
						t.Errorf("%q: OpenDKIM has %q as we do: the difference is listed for nothing", m.name, want)
					}
					want = listed[n].ours
					listed = slices.Delete(listed, n, n+1)
				}
				if got != want {
					t.Errorf("%q: got %q, want %q", m.name, got, want)
				}
			}
			for _, d := range listed {
				t.Errorf("%q is listed and is no mail of this setup", d.mail)
			}
		})
	}
}

// duel is both daemons with the same configuration and name server.
type duel struct {
	theirs *peers.OpenDKIM
	ours   *testServer
}

// startDuel starts them with lines of opendkim.conf beside what each needs.
func startDuel(t *testing.T, server string, conf ...string) duel {
	t.Helper()
	dir := t.TempDir()
	unbound := filepath.Join(dir, "unbound.conf")
	if err := os.WriteFile(unbound, []byte("server:\n do-not-query-localhost: no\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	dnsLines := []string{"DNSTimeout 5"}
	address, port, _ := strings.Cut(server, ":")
	theirDNS := append(dnsLines, "ResolverConfiguration "+unbound, "Nameservers "+address+"@"+port)
	dnsLines = append(dnsLines, "Nameservers "+server)
	common := append([]string{"Mode v", "AuthservID mx.test", "InternalHosts 192.0.2.254"}, conf...)
	defaults := []string{"MaximumSignaturesToVerify 3", "BodyLength accept", "RemoveARAll no", "MaximumHeaders 65536"}
	defaults = slices.DeleteFunc(defaults, func(line string) bool {
		name, _, _ := strings.Cut(line, " ")
		return slices.ContainsFunc(conf, func(given string) bool { return strings.HasPrefix(given, name+" ") })
	})
	ours := slices.Concat(defaults, dnsLines, common)
	ours = slices.DeleteFunc(ours, func(line string) bool {
		// What the reader of opendkim.conf makes of it is another matter.
		return line == "" || line == "CaptureUnknownErrors yes"
	})
	cfg, err := config.Parse([]byte(asTOML(ours)), "test.toml")
	if err != nil {
		t.Fatal(err)
	}
	env := testEnvironment(nil)
	env.Resolver = nil
	s, err := Load(cfg, env)
	if err != nil {
		t.Fatal(err)
	}
	return duel{
		theirs: peers.StartOpenDKIM(t, nil, append(theirDNS, common...)...),
		ours:   startServer(t, s),
	}
}

// fight takes a mail of the client at addr through both and returns what each
// made of it.
func (d duel) fight(t *testing.T, addr string, m signedMail) (theirs, ours string) {
	t.Helper()
	l := letter{header: m.header, body: m.body, chunk: m.chunk, rcpt: []string{"second@elsewhere.example"}}
	return (&testServer{path: d.theirs.Socket()}).outcomeOf(t, addr, l), d.ours.outcomeOf(t, addr, l)
}

// outcomeOf is what a milter does with a letter, in one line without the words
// that may differ.
func (s *testServer) outcomeOf(t *testing.T, addr string, l letter) string {
	m := s.connect(t, "mail.elsewhere.example", addr)
	defer m.c.Close()
	return m.deliver(l).outcome()
}

// The results themselves have OpenDKIM's properties, in our name.
func TestResultFormAsOpenDKIM(t *testing.T) {
	f := newForgery(t)
	server := f.nameserver(t)
	m := f.named("bad and pass of a third party")[0]
	for _, conf := range []string{"NoHeaderB no", "NoHeaderB yes", "AuthservIDWithJobID yes"} {
		t.Run(conf, func(t *testing.T) {
			d := startDuel(t, server, conf)
			form := func(s *testServer) string {
				c := s.connect(t, "mail.elsewhere.example", "192.0.2.9")
				defer c.c.Close()
				e := c.deliver(letter{header: m.header, body: m.body})
				ar := e.inserted("Authentication-Results")
				id, _, _ := strings.Cut(strings.TrimSpace(ar), ";")
				// RFC 8601 §2.2 has what holds a "/" quoted; OpenDKIM does not quote it.
				return strings.ReplaceAll(id+" "+strings.Join(arProperty.FindAllString(ar, -1), " "), `"`, "")
			}
			theirs, ours := form(&testServer{path: d.theirs.Socket()}), form(d.ours)
			if theirs != ours || !strings.Contains(ours, "header.d=other.example") {
				t.Errorf("got  %s\nwant %s", ours, theirs)
			}
		})
	}
}

// With FixCRLF the body is signed as OpenDKIM signs it. Without, OpenDKIM's hash
// of a body with a CR or LF that stands alone depends on the pieces it comes in.
func TestBodyHashAsOpenDKIM(t *testing.T) {
	dir := t.TempDir()
	writeSharedKey(t, dir)
	for _, canon := range []string{"simple", "relaxed"} {
		conf := []string{"Mode s", "Domain example.com", "Selector s", "KeyFile " + filepath.Join(dir, "key"),
			"FixCRLF yes", "Canonicalization relaxed/" + canon}
		theirs := &testServer{path: peers.StartOpenDKIM(t, nil, conf...).Socket()}
		ours := startServer(t, loadText(t, asTOML(conf), nil))
		for _, body := range []string{"a\r\nb\r\n", "a\nb\r\n", "a\rb\r\n", "a\n\n\nb\n\r\n", "\n\r\n", "a\rb \rc\r\n"} {
			for _, chunk := range []int{0, 1} {
				hash := func(s *testServer) string {
					m := s.connect(t, "localhost", "127.0.0.1")
					defer m.c.Close()
					e := m.deliver(letter{header: letterFields, body: body, chunk: chunk})
					return bodyHashTag.FindString(e.inserted("DKIM-Signature"))
				}
				want, got := hash(theirs), hash(ours)
				if got != want || got == "" {
					t.Errorf("%s, %q in chunks of %d: got %q, want %q", canon, body, chunk, got, want)
				}
			}
		}
	}
}

var (
	arProperty  = regexp.MustCompile(`\bheader\.\w+=[^\s;]+`)
	bodyHashTag = regexp.MustCompile(`\bbh=[^;]+`)
	arResult    = regexp.MustCompile(`\bdkim=(\w+)(?:[^;]*?\bheader\.d=([^\s;]+))?`)
	arWords     = regexp.MustCompile(`"[^"]*"|\([^)]*\)`)
	replyTail   = regexp.MustCompile(` \(.*$`)
)

// outcome is the last reply, the results, and the other changes in order.
func (e ended) outcome() string {
	var parts []string
	switch e.code {
	case 'a', 'c':
		parts = append(parts, "accept")
	case 'd':
		parts = append(parts, "discard")
	case 'y':
		parts = append(parts, replyTail.ReplaceAllString(e.text, ""))
	default:
		parts = append(parts, string(e.code))
	}
	if e.code == 'y' || e.code == 'd' || e.code == 'r' || e.code == 't' {
		return parts[0] // what else it asks for comes to nothing
	}
	var results, changes []string
	for _, c := range e.changes {
		name, value, _ := strings.Cut(strings.TrimLeft(c, "i01h "), ":")
		switch {
		case strings.HasPrefix(c, "q "):
			changes = append(changes, "quarantine")
		case name == "Authentication-Results" && c[0] == 'i':
			var field []string
			for _, r := range arResult.FindAllStringSubmatch(arWords.ReplaceAllString(value, ""), -1) {
				field = append(field, strings.TrimSpace(r[1]+" "+r[2]))
			}
			results = append(field, results...) // the last to be inserted is on top
		default:
			changes = append(changes, strings.ReplaceAll(c, ": ", ":"))
		}
	}
	if len(results) > 0 {
		parts = append(parts, strings.Join(results, ", "))
	}
	slices.Sort(changes)
	return strings.Join(append(parts, changes...), " | ")
}
