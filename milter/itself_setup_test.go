package milter

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/postseal/postseal/config"
	"github.com/postseal/postseal/keys"
	"github.com/postseal/postseal/milter/dkim"
	"github.com/postseal/postseal/milter/resolver"
)

// generation is a whole configuration in a folder of its own: settings, tables and
// the key differ from those of another one, the names of its files do not. Mail of
// example.com is signed as its domain.
type generation struct {
	name, domain, selector, canonicalization string
	expires                                  bool // signatures have x=
}

var (
	generationA = generation{"a", "a.example", "sa", "simple/simple", false}
	generationB = generation{"b", "b.example", "sb", "relaxed/relaxed", true}
)

// generations is a daemon whose configuration is a link to the folder of one.
type generations struct {
	*Daemon
	t       *testing.T
	dir     string
	log     *lockedLog
	records *resolver.Records
	signals chan os.Signal
	stop    func() error

	linked atomic.Uint64
}

// startGenerations runs a daemon on generation A.
func startGenerations(t *testing.T, watchFiles bool) *generations {
	t.Helper()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	g := &generations{t: t, dir: dir, log: new(lockedLog), records: resolver.NewRecords(nil), signals: make(chan os.Signal, 1)}
	g.lay(generationA, watchFiles)
	g.lay(generationB, watchFiles)
	g.use("a")
	path := g.at("current/postseal.toml")
	g.Daemon, err = NewDaemon(DaemonOptions{
		Load:     func() (*config.Config, error) { return config.Load(path) },
		Log:      slog.New(slog.NewTextHandler(g.log, nil)),
		Resolver: g.records, Hostname: "host.example", Version: "test",
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- g.Run(ctx, g.signals) }()
	g.stop = sync.OnceValue(func() error { cancel(); return <-ended })
	t.Cleanup(func() {
		if err := g.stop(); err != nil {
			t.Error(err)
		}
	})
	return g
}

func (g *generations) at(name string) string { return filepath.Join(g.dir, name) }

func (g *generations) must(err error) {
	g.t.Helper()
	if err != nil {
		g.t.Fatal(err)
	}
}

// lay writes the folder of a generation and publishes its key.
func (g *generations) lay(v generation, watchFiles bool) {
	g.t.Helper()
	g.must(os.Mkdir(g.at(v.name), 0o755))
	g.newKey(v)
	ttl := ""
	if v.expires {
		ttl = `signature_ttl = "1h"`
	}
	g.put(v.name+"/key.table", fmt.Sprintf("k %s:%s:%s\n", v.domain, v.selector, g.at("current/private")))
	g.put(v.name+"/signing.table", "*@example.com k\n")
	g.put(v.name+"/postseal.toml", fmt.Sprintf(`socket = "local:%[1]s/s"
runtime_directory = "%[1]s/run"
key_table = "file:key.table"
signing_table = "refile:signing.table"
require_safe_keys = false
watch_files = %[2]t
canonicalization = "%[3]s"
%[4]s
`, g.dir, watchFiles, v.canonicalization, ttl))
}

// newKey makes the key of a generation and publishes it.
func (g *generations) newKey(v generation) {
	g.t.Helper()
	key, err := keys.Generate("ed25519", 0)
	g.must(err)
	g.must(keys.WritePrivate(g.at(v.name+"/private"), key))
	g.must(g.records.Add(v.selector+"._domainkey."+v.domain, keys.RecordText(key.Public())))
}

func (g *generations) put(name, text string) {
	g.t.Helper()
	g.must(os.WriteFile(g.at(name), []byte(text), 0o600))
}

// use puts the link to the folder of a generation, in one step.
func (g *generations) use(name string) {
	g.t.Helper()
	next := g.at(fmt.Sprint("next", g.linked.Add(1)))
	g.must(os.Symlink(name, next))
	g.must(os.Rename(next, g.at("current")))
}

func (g *generations) hangUp() {
	select {
	case g.signals <- syscall.SIGHUP:
	default: // as the kernel does: one is on its way
	}
}

// signatureOf wants a signature that is of one generation in everything, and
// returns the generation.
func (g *generations) signatureOf(l letter, e ended) (generation, error) {
	if e.code != 'a' && e.code != 'c' {
		return generation{}, fmt.Errorf("the message ended with %q %s", e.code, e.text)
	}
	text := e.inserted("DKIM-Signature")
	tags := map[string]string{}
	for tag := range strings.SplitSeq(strings.NewReplacer(" ", "", "\t", "", "\n", "", "\r", "").Replace(text), ";") {
		name, value, _ := strings.Cut(tag, "=")
		tags[name] = value
	}
	got := generation{domain: tags["d"], selector: tags["s"], canonicalization: tags["c"], expires: tags["x"] != ""}
	for _, v := range []generation{generationA, generationB} {
		got.name = v.name
		if got == v {
			if r := verified(g.t, g.records, l.header, text, l.body); r.Status != dkim.Pass {
				return v, fmt.Errorf("the signature of generation %s does not verify: %s %w\n%s", v.name, r.Status, r.Err, text)
			}
			return v, nil
		}
	}
	return got, fmt.Errorf("the signature is of no generation: %+v\n%s", got, text)
}

// traffic is mail that flows as long as a test does something else.
type traffic struct {
	delivered atomic.Uint64
	by        sync.Map // names of generations
	ended     atomic.Bool
	senders   sync.WaitGroup
}

// send sends mail over several connections. Every third message waits between its
// MAIL and its header, until others have been delivered or the test is over.
func (g *generations) send(connections int) *traffic {
	tr := new(traffic)
	for range connections {
		tr.senders.Go(func() {
			for n := 0; !tr.ended.Load(); {
				m := (&testServer{path: g.at("s")}).connect(g.t, "localhost", "127.0.0.1")
				for range 20 {
					l := letter{from: "user@example.com", header: plainHeader, body: plainBody}
					m.play(stepsOf("MR", nil))
					if n++; n%3 == 0 {
						tr.pause()
					}
					v, err := g.signatureOf(l, m.deliverContent(l))
					if err != nil {
						g.t.Error(err)
						return
					}
					tr.by.Store(v.name, true)
					tr.delivered.Add(1)
					if tr.ended.Load() {
						break
					}
				}
				m.c.Close()
			}
		})
	}
	return tr
}

// pause waits for other mail, not for long.
func (tr *traffic) pause() {
	from := tr.delivered.Load()
	for end := time.Now().Add(20 * time.Millisecond); time.Now().Before(end) && tr.delivered.Load() < from+20 && !tr.ended.Load(); {
		time.Sleep(time.Millisecond)
	}
}

// deliverContent delivers the header and the body of a message that has begun.
func (m *mta) deliverContent(l letter) ended {
	m.t.Helper()
	if got := m.play(stepsOf("LN", l.header)); got != "c" {
		return ended{text: "at the end of the header: " + got}
	}
	return m.finishBody(l.body)
}

// wait waits until more messages have been delivered.
func (tr *traffic) wait(t testing.TB, more uint64) {
	t.Helper()
	for from, end := tr.delivered.Load(), time.Now().Add(time.Minute); tr.delivered.Load() < from+more && !t.Failed(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("no mail flows")
		}
	}
}

// end ends the mail and returns how many messages there were.
func (tr *traffic) end() uint64 {
	tr.ended.Store(true)
	tr.senders.Wait()
	return tr.delivered.Load()
}

// BuildProgram is buildProgram for the tests from outside of the package.
var BuildProgram = buildProgram
