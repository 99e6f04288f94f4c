package milter

import (
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/postseal/postseal/milter/resolver"
)

// Two hundred reloads under load, while one folder of tables, settings and keys
// takes the place of another: each message is signed with a whole configuration, and
// none is lost or deferred, those that begin under one and go on under another
// among them.
func TestManyReloadsUnderLoad(t *testing.T) {
	t.Parallel()
	const reloads = 200
	for name, reload := range map[string]func(g *generations, n int){
		"SIGHUP": func(g *generations, n int) {
			before := g.Status().LastReload.Time
			g.hangUp()
			if n%4 == 0 { // the others come one upon the other, as they may
				return
			}
			for end := time.Now().Add(time.Minute); g.Status().LastReload.Time.Equal(before); time.Sleep(time.Millisecond) {
				if time.Now().After(end) {
					g.t.Fatal("no reload")
				}
			}
		},
		"the control socket, two at once": func(g *generations, _ int) {
			var both sync.WaitGroup
			for range 2 {
				both.Go(func() {
					r, err := Control{Dir: g.at("run")}.Reload(g.t.Context())
					if err != nil || len(r.Problems) > 0 {
						g.t.Errorf("reload: %v %q", err, r.Problems)
					}
				})
			}
			both.Wait()
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := startGenerations(t, false)
			tr := g.send(4)
			for n := range reloads {
				g.use([]string{"b", "a"}[n%2])
				reload(g, n)
				if n%10 == 0 {
					tr.wait(t, 4)
				}
				if t.Failed() {
					break
				}
			}
			if p := g.Status().LastReload.Problems; len(p) > 0 {
				t.Errorf("the last reload: %q", p)
			}
			tr.wait(t, 20)
			g.wantWhole(tr)
		})
	}
}

// wantWhole ends the mail and wants it to have been signed by both generations, and
// no message to have been deferred.
func (g *generations) wantWhole(tr *traffic) {
	g.t.Helper()
	n := tr.end()
	for _, v := range []generation{generationA, generationB} {
		if _, ok := tr.by.Load(v.name); !ok {
			g.t.Errorf("generation %s has signed none of %d messages", v.name, n)
		}
	}
	if c := g.Status().Counts; c.Messages[Sign] < n || len(c.Actions) != 1 || c.Actions["accept"] < n {
		g.t.Errorf("%d messages were delivered; the daemon counts %+v", n, c)
	}
	if log := g.log.String(); strings.Contains(log, "panic") || strings.Contains(log, "reload failed") {
		g.t.Errorf("%.4000s", log)
	}
}

// Files that are watched are taken all together, too.
func TestWatchedFolderUnderLoad(t *testing.T) {
	t.Parallel()
	g := startGenerations(t, true)
	tr := g.send(3)
	for n := range 6 {
		name := []string{"b", "a"}[n%2]
		g.use(name)
		for end := time.Now().Add(time.Minute); g.server.Snapshot().cfg.Canonicalization != map[string]string{
			"a": generationA.canonicalization, "b": generationB.canonicalization}[name]; time.Sleep(time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("generation %s is not in force", name)
			}
		}
		tr.wait(t, 10)
	}
	g.wantWhole(tr)
}

// The link moves while a reload reads, again and again: what is in force is never a
// mixture.
func TestMovingFolder(t *testing.T) {
	t.Parallel()
	g := startGenerations(t, false)
	tr := g.send(2)
	done := make(chan struct{})
	var mover sync.WaitGroup
	mover.Go(func() {
		for n := 0; ; n++ {
			select {
			case <-done:
				return
			case <-time.After(time.Duration(n%7) * 200 * time.Microsecond):
				g.use([]string{"b", "a"}[n%2])
			}
		}
	})
	for range 200 {
		if r, err := g.Daemon.reload(); err != nil && err != errMoving {
			t.Errorf("reload: %v %q", err, r.Problems)
		}
	}
	close(done)
	mover.Wait()
	if _, err := g.Daemon.reload(); err != nil {
		t.Errorf("a reload of files at rest: %v", err)
	}
	tr.wait(t, 10)
	tr.end()
}

// A reload that fails keeps the old configuration in force, key and all, while mail
// flows; the next one that succeeds ends it.
func TestFailedReloadUnderLoad(t *testing.T) {
	t.Parallel()
	g := startGenerations(t, false)
	broken := func(name, file, text string) {
		g.must(os.CopyFS(g.at(name), os.DirFS(g.at("b"))))
		if text == "" {
			g.must(os.Remove(g.at(name + "/" + file)))
			return
		}
		g.put(name+"/"+file, text)
	}
	tr := g.send(3)
	for _, row := range []struct{ name, file, text, problem string }{
		{"toml", "postseal.toml", "socket = \"local:/s", "postseal.toml:1"},
		{"setting", "postseal.toml", "mode = \"banana\"\n", "banana"},
		{"notoml", "postseal.toml", "", "no such file"},
		{"notable", "signing.table", "", "no such file"},
		{"nokeytable", "key.table", "", "no such file"},
		{"badrow", "key.table", "k b.example\n", "key.table:1"},
		{"badkeyname", "signing.table", "*@example.com k\n*@example.org none\n", "signing.table:2"},
	} {
		broken(row.name, row.file, row.text)
		g.use(row.name)
		r, err := Control{Dir: g.at("run")}.Reload(t.Context())
		if err != nil || !strings.Contains(strings.Join(r.Problems, "\n"), row.problem) {
			t.Errorf("%s: %v %q, want %q", row.name, err, r.Problems, row.problem)
		}
		tr.wait(t, 10)
		if _, ok := tr.by.Load("b"); ok {
			t.Fatalf("%s: the configuration that failed has signed", row.name)
		}
	}
	g.use("b")
	if r, err := (Control{Dir: g.at("run")}).Reload(t.Context()); err != nil || len(r.Problems) > 0 {
		t.Errorf("the whole configuration: %v %q", err, r.Problems)
	}
	tr.wait(t, 20)
	n := tr.end()
	if c := g.Status().Counts; c.Messages[Sign] < n || len(c.Actions) != 1 {
		t.Errorf("%d messages were delivered; the daemon counts %+v", n, c)
	}
}

// A key that is gone is no reason to go back to other tables. Gone from the tables
// that are in force, it stays in use. With other tables, which have another
// selector for it, the key from before is not the one that the selector means:
// mail is deferred.
func TestReloadWithoutKey(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name, generation string
		deferred         bool
	}{
		{"the same tables", "a", false},
		{"other tables", "b", true},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			g := startGenerations(t, false)
			m := (&testServer{path: g.at("s")}).connect(t, "localhost", "127.0.0.1")
			l := letter{header: plainHeader, body: plainBody}
			want := func() {
				t.Helper()
				if v, err := g.signatureOf(l, m.deliver(l)); err != nil || v.name != "a" {
					t.Errorf("%+v %v", v, err)
				}
			}
			want()
			g.must(os.Remove(filepath.Join(g.dir, row.generation, "private")))
			g.use(row.generation)
			want() // before the reload
			if _, err := g.Daemon.reload(); err != nil {
				t.Fatal(err)
			}
			if !row.deferred {
				want()
				return
			}
			if e := m.deliver(l); e.code != 't' || e.inserted("DKIM-Signature") != "" {
				t.Errorf("ended with %q %q", e.code, e.changes)
			}
			g.log.wait(t, "a key cannot sign")
		})
	}
}

// A key that is put in the place of another is used at once where the rest of the
// configuration is as it was read, and with the rest where that has changed, too.
func TestKeyAndTables(t *testing.T) {
	t.Parallel()
	g := startGenerations(t, false)
	m := (&testServer{path: g.at("s")}).connect(t, "localhost", "127.0.0.1")
	l := letter{header: plainHeader, body: plainBody}
	signedBy := func(name string) {
		t.Helper()
		if v, err := g.signatureOf(l, m.deliver(l)); err != nil || v.name != name {
			t.Errorf("signed by %+v, %v; want generation %s", v, err, name)
		}
	}
	signedBy("a")
	g.use("b")
	signedBy("a")
	g.log.wait(t, "until that is loaded, mail is signed with the key from before")
	waiting := (&testServer{path: g.at("s")}).connect(t, "localhost", "127.0.0.1")
	waiting.play(stepsOf("MR", nil))
	waiting.send('U', "XYZZY\x00")
	for end := time.Now().Add(time.Minute); g.server.begun() == 0; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("MAIL is not read")
		}
	}
	for _, name := range []string{"b", "a", "b"} {
		g.use(name)
		if _, err := g.Daemon.reload(); err != nil {
			t.Fatal(err)
		}
		signedBy(name)
	}
	if v, err := g.signatureOf(l, waiting.deliverContent(l)); err != nil || v.name != "a" {
		t.Errorf("mail that began with generation a is signed by %+v, %v", v, err)
	}

	// In place, with nothing else.
	g.must(os.Rename(g.at("b/private"), g.at("b/old")))
	g.records = resolver.NewRecords(nil) // the old key is not there any more
	g.newKey(generationB)
	signedBy("b")
	signedBy("b")
}

// begun is how many sessions have a message.
func (s *Server) begun() (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for ss := range s.sessions {
		if stage(ss.stage.Load()) == busy {
			n++
		}
	}
	return n
}
