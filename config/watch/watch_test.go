package watch

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/postseal/postseal/testdata/program"
)

// folder is a folder of files for a test.
type folder struct {
	t   testing.TB
	dir string
}

func newFolder(t testing.TB) folder {
	t.Helper()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return folder{t, dir}
}

func (f folder) at(name string) string { return f.dir + "/" + name }

func (f folder) must(err error) {
	f.t.Helper()
	if err != nil {
		f.t.Fatal(err)
	}
}

func (f folder) write(name, text string) {
	f.t.Helper()
	f.mkdir(filepath.Dir(name))
	f.must(os.WriteFile(f.at(name), []byte(text), 0o600))
}

func (f folder) mkdir(name string)      { f.t.Helper(); f.must(os.MkdirAll(f.at(name), 0o755)) }
func (f folder) remove(name string)     { f.t.Helper(); f.must(os.RemoveAll(f.at(name))) }
func (f folder) rename(from, to string) { f.t.Helper(); f.must(os.Rename(f.at(from), f.at(to))) }
func (f folder) link(to, name string)   { f.t.Helper(); f.must(os.Symlink(to, f.at(name))) }

func newSilentLog() *slog.Logger { return slog.New(slog.DiscardHandler) }

// fails is an error that may be set while it is in use.
type fails struct {
	mu  sync.Mutex
	err error
}

func (f *fails) set(err error) { f.mu.Lock(); defer f.mu.Unlock(); f.err = err }
func (f *fails) get() error    { f.mu.Lock(); defer f.mu.Unlock(); return f.err }

// running is a watcher at work. It finds what it finds by notifications alone.
type running struct {
	*Watcher
	t    testing.TB
	log  *program.Output
	stop func()
}

// start runs a watcher that takes 20 ms for quiet.
func start(t testing.TB, change func(*Watcher), paths ...string) *running {
	t.Helper()
	log := new(program.Output)
	w := New(slog.New(slog.NewTextHandler(log, nil)))
	w.quiet, w.seldom, w.often = 20*time.Millisecond, time.Hour, time.Hour
	if change != nil {
		change(w)
	}
	if fresh := w.Set(paths); fresh != (len(paths) > 0) {
		t.Errorf("fresh: %t", fresh)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() { w.Run(ctx); close(ended) }()
	r := &running{w, t, log, func() { cancel(); <-ended }}
	t.Cleanup(r.stop)
	return r
}

// next is the next report.
func (r *running) next() []string {
	r.t.Helper()
	select {
	case changed := <-r.Changes():
		return changed
	case <-time.After(30 * time.Second):
		r.t.Fatalf("nothing is told\n%s", r.log)
		return nil
	}
}

// want waits until each of the files was told of, and takes it amiss if another
// one was.
func (r *running) want(paths ...string) {
	r.t.Helper()
	for missing := slices.Clone(paths); len(missing) > 0; {
		for _, path := range r.next() {
			if !slices.Contains(paths, path) {
				r.t.Errorf("%s is told of", path)
			}
			missing = slices.DeleteFunc(missing, func(p string) bool { return p == path })
		}
	}
}

// Each way to change a file is told of, and one that changes nothing is not.
func TestChanges(t *testing.T) {
	for _, row := range []struct {
		name   string
		lay    func(f folder) // beside "d/file"
		path   string
		change func(f folder)
		told   bool
	}{
		{"in place", nil, "d/file", func(f folder) { f.write("d/file", "y") }, true},
		{"appended to", nil, "d/file", func(f folder) {
			h, err := os.OpenFile(f.at("d/file"), os.O_APPEND|os.O_WRONLY, 0)
			f.must(err)
			_, err = h.WriteString("more")
			f.must(errors.Join(err, h.Close()))
		}, true},
		{"renamed over", nil, "d/file", func(f folder) { f.write("d/.new", "y"); f.rename("d/.new", "d/file") }, true},
		{"renamed over from elsewhere", nil, "d/file", func(f folder) { f.write("new", "y"); f.rename("new", "d/file") }, true},
		{"renamed away and written anew", nil, "d/file", func(f folder) { f.rename("d/file", "d/file~"); f.write("d/file", "x") }, true},
		{"removed and made", nil, "d/file", func(f folder) { f.remove("d/file"); f.write("d/file", "x") }, true},
		{"removed", nil, "d/file", func(f folder) { f.remove("d/file") }, true},
		{"made", nil, "d/other", func(f folder) { f.write("d/other", "y") }, true},
		{"rights", nil, "d/file", func(f folder) { f.must(os.Chmod(f.at("d/file"), 0o640)) }, true},
		{"rights of the folder", nil, "d/file", func(f folder) { f.must(os.Chmod(f.at("d"), 0o700)) }, true},
		{"times", nil, "d/file", func(f folder) { f.must(os.Chtimes(f.at("d/file"), time.Unix(1, 0), time.Unix(1, 0))) }, true},
		{"another file", nil, "d/file", func(f folder) { f.write("d/file.bak", "y"); f.remove("d/file.bak") }, false},
		{"read", nil, "d/file", func(f folder) { _, err := os.ReadFile(f.at("d/file")); f.must(err) }, false},
		{"opened for writing", nil, "d/file", func(f folder) {
			h, err := os.OpenFile(f.at("d/file"), os.O_WRONLY, 0)
			f.must(errors.Join(err, h.Close()))
		}, false},
		{"the folder moved and back", nil, "d/file", func(f folder) { f.rename("d", "e"); f.rename("e", "d") }, false},
		{"after the folder was moved and back", func(f folder) { f.mkdir("d") }, "d/file", func(f folder) {
			f.rename("d", "e")
			f.rename("e", "d")
			f.write("d/file", "y")
		}, true},

		{"the folder made", nil, "new/a/file", func(f folder) { f.write("new/a/file", "x") }, true},
		{"the folder removed", nil, "d/file", func(f folder) { f.remove("d") }, true},
		{"the folder removed and made", nil, "d/file", func(f folder) { f.remove("d"); f.write("d/file", "x") }, true},
		{"the folder replaced", func(f folder) { f.write("e/file", "x") }, "d/file", func(f folder) { f.rename("d", "old"); f.rename("e", "d") }, true},
		{"the folder above replaced", func(f folder) { f.write("a/b/file", "x"); f.write("new/b/file", "x") }, "a/b/file",
			func(f folder) { f.rename("a", "old"); f.rename("new", "a") }, true},
		{"the old folder after that", func(f folder) { f.write("a/b/file", "x") }, "a/b/file", func(f folder) { f.must(os.Chmod(f.at("a/b"), 0o700)) }, true},

		{"the target of a link", func(f folder) { f.link("d/file", "link") }, "link", func(f folder) { f.write("d/file", "y") }, true},
		{"a link that is replaced", func(f folder) { f.write("d/new", "x"); f.link("d/file", "link"); f.link("d/new", "link2") }, "link",
			func(f folder) { f.rename("link2", "link") }, true},
		{"a link to a folder that is replaced", func(f folder) { f.write("e/file", "x"); f.link("d", "link"); f.link("e", "link2") }, "link/file",
			func(f folder) { f.rename("link2", "link") }, true},
		{"a link to what is not there yet", func(f folder) { f.link("e/file", "link") }, "link", func(f folder) { f.write("e/file", "y") }, true},
		{"a volume of Kubernetes", volume, "v/file", swapVolume, true},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			f := newFolder(t)
			f.write("d/file", "x")
			f.write("marker", "x")
			if row.lay != nil {
				row.lay(f)
			}
			r := start(t, nil, f.at(row.path), f.at("marker"))
			row.change(f)
			if row.told {
				r.want(f.at(row.path))
				return
			}
			f.write("marker", "y")
			r.want(f.at("marker"))
		})
	}
}

// volume is what Kubernetes makes of a secret: the files are links through
// ..data, which is a link to a folder that is never written to again.
func volume(f folder) {
	f.write("v/..1/file", "x")
	f.link("..1", "v/..data")
	f.link("..data/file", "v/file")
}

func swapVolume(f folder) {
	f.write("v/..2/file", "x")
	f.link("..2", "v/..data_tmp")
	f.rename("v/..data_tmp", "v/..data")
	f.remove("v/..1")
}
