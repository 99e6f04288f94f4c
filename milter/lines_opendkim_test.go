package milter

import (
	"log/syslog"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/postseal/postseal/config/opendkim"
	"github.com/postseal/postseal/milter/resolver"
	"github.com/postseal/postseal/testdata/peers"
)

// lineSetup is one configuration that OpenDKIM and we run with, and the mails
// that both are told of.
type lineSetup struct {
	name string
	// conf is lines of opendkim.conf; "@DIR@" is the bench's folder.
	conf string
	// signing and keys are the files signing.table and key.table there.
	signing, keys string
	mails         []mail
	differ        []lineDifference
}

// lineDifference is what we log instead of OpenDKIM's lines for some mails, a
// line each, and why it stays. "as NAME" are its lines for the mail of that name
// before, and "signature=*" is any.
type lineDifference struct{ mail, ours, why string }

// eachLine is the same difference for several mails.
func eachLine(ours, why string, mails ...string) (all []lineDifference) {
	for _, m := range mails {
		all = append(all, lineDifference{m, ours, why})
	}
	return all
}

// Our lines are OpenDKIM's, with their severities, for the same configurations
// and mails; what differs is listed with the reason. Left out on both sides is
// what OpenDKIM repeats for each message and we say once: that a key is not safe
// although RequireSafeKeys is off, and that the MTA gives no queue id.
func TestLinesAsOpenDKIM(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	for _, s := range lineSetups(b) {
		t.Run(s.name, func(t *testing.T) {
			fill := strings.NewReplacer("@DIR@", b.dir)
			b.write("signing.table", fill.Replace(s.signing), 0o600)
			b.write("key.table", fill.Replace(s.keys), 0o600)
			conf := strings.Split(strings.TrimSpace("RequireSafeKeys no\n"+fill.Replace(s.conf)), "\n")
			log := peers.StartSyslog(t)
			theirs := log.StartOpenDKIM(b.records, conf...)
			if got := log.Lines(); len(got) == 0 || !strings.HasPrefix(got[len(got)-1].String(), "INFO "+filterName+" starting (args: -f -x /") {
				t.Errorf("OpenDKIM starts with %v", got)
			}
			ours, out := serveLines(t, b, conf)
			listed := slices.Clone(s.differ)
			before := map[string]string{}
			for _, m := range s.mails {
				if _, _, err := theirs.Ask(m.Mail); err != nil {
					t.Fatalf("%s: OpenDKIM: %v", m.name, err)
				}
				want := asOurs(log.Lines())
				before[m.name] = want
				if _, _, err := peers.Ask(ours.path, m.Mail); err != nil {
					t.Fatalf("%s: %v", m.name, err)
				}
				got := strings.Join(out.take(), "\n")
				if os.Geteuid() != 0 {
					// OpenDKIM runs as another user's root there, and finds another fault.
					got, want = notSecure.ReplaceAllString(got, "$1"), notSecure.ReplaceAllString(want, "$1")
				}
				if n := slices.IndexFunc(listed, func(d lineDifference) bool { return d.mail == m.name }); n >= 0 {
					different := fill.Replace(listed[n].ours)
					if name, ok := strings.CutPrefix(different, "as "); ok {
						different = before[name]
					}
					if strings.Contains(different, "signature=* ") {
						got, want = anySignature.ReplaceAllString(got, "signature=* "), anySignature.ReplaceAllString(want, "signature=* ")
					}
					if different == want {
						t.Errorf("%q: OpenDKIM has our lines: the difference is listed for nothing", m.name)
					}
					want = different
					listed = slices.Delete(listed, n, n+1)
				}
				if got != want {
					t.Errorf("%q: got\n%s\nwant\n%s", m.name, got, want)
				}
			}
			for _, d := range listed {
				t.Errorf("%q is listed and is no mail of this setup", d.mail)
			}
		})
	}
}

var notSecure = regexp.MustCompile(`(key data is not secure): .*`)

var anySignature = regexp.MustCompile(`signature=\S{8} `)

// leftOut are the lines that we say elsewhere.
var leftOut = regexp.MustCompile(`^WARNING (\S+: key data is not secure: |WARNING: symbol )`)

// asOurs are the lines of OpenDKIM as ours stand.
func asOurs(lines []peers.SyslogLine) string {
	var texts []string
	for _, l := range lines {
		if text := printable(l.String()); !leftOut.MatchString(text) {
			texts = append(texts, text)
		}
	}
	return strings.Join(texts, "\n")
}

// collectedLines are our lines.
type collectedLines struct {
	mu    sync.Mutex
	texts []string
}

// notFound is what we add where OpenDKIM has asked DNS, and not a file as here.
var notFound = regexp.MustCompile(`: '\S+' record not found$`)

func (c *collectedLines) send(severity syslog.Priority, text string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.texts = append(c.texts, strings.ToUpper(severityNames[severity])+" "+notFound.ReplaceAllString(text, ""))
}

// take returns what has come since the last call.
func (c *collectedLines) take() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	texts := c.texts
	c.texts = nil
	return texts
}

// serveLines serves the configuration as an opendkim.conf.
func serveLines(t *testing.T, b *bench, conf []string) (*testServer, *collectedLines) {
	t.Helper()
	out := new(collectedLines)
	records := new(resolver.Records)
	for name, record := range b.records {
		if err := records.Add(name, record); err != nil {
			t.Fatal(err)
		}
	}
	return startServer(t, loadConf(t, records, conf), func(s *Server) {
		s.lines = &Lines{send: out.send, alone: true}
	}), out
}

// loadConf loads lines of an opendkim.conf.
func loadConf(t *testing.T, records *resolver.Records, conf []string) *Snapshot {
	t.Helper()
	dir := t.TempDir()
	path := filepath.Join(dir, "opendkim.conf")
	text := strings.Join(append(slices.Clone(conf), "Socket local:"+filepath.Join(dir, "socket"), "BaseDirectory "+dir), "\n") + "\n"
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := opendkim.Load(path, opendkim.Options{})
	if err != nil {
		t.Fatal(err)
	}
	s, err := Load(f.Config, testEnvironment(records))
	if err != nil {
		t.Fatal(err)
	}
	return s
}
