package watch

import (
	"os"
	"slices"
	"testing"
	"time"
)

// The set of files may change at any time. What stays in it keeps the state that
// it was told of with.
func TestSet(t *testing.T) {
	f := newFolder(t)
	for _, name := range []string{"a", "b", "c"} {
		f.write(name, "x")
	}
	r := start(t, nil, f.at("a"), f.at("b"))
	if r.Set([]string{f.at("b"), f.at("a")}) {
		t.Error("the same files are fresh")
	}
	if !r.Set([]string{f.at("b"), f.at("c"), f.at("c")}) {
		t.Error("another file is not fresh")
	}
	f.write("a", "y")
	f.write("c", "y")
	r.want(f.at("c"))

	// A change that nobody was told of is not lost by naming the file again.
	w := New(r.Watcher.log)
	defer w.Close()
	w.Set([]string{f.at("a")})
	f.write("a", "longer")
	w.Set([]string{f.at("a"), f.at("b")})
	if now := w.look(); !slices.Equal(w.accept(now, true), []string{f.at("a")}) {
		t.Error("the change is lost")
	}
}

// What was marked is told of only if it was so young that it might change again
// unseen.
func TestMark(t *testing.T) {
	f := newFolder(t)
	f.write("file", "x")
	w := New(newSilentLog())
	defer w.Close()
	w.Set([]string{f.at("file")})
	f.write("file", "longer")
	for info := w.look(); info[f.at("file")].young(time.Now()); time.Sleep(time.Millisecond) {
	}
	w.Mark()
	if w.differs() {
		t.Error("what was marked is told of")
	}
	// The clock of the file is set, so that the machine's speed does not count.
	f.write("file", "longer still")
	w.Mark()
	if info := w.look(); info[f.at("file")].young(time.Now()) && !w.differs() {
		t.Error("what may still change is taken for known")
	}
}

// Many files that change at once are told of together.
func TestTogether(t *testing.T) {
	f := newFolder(t)
	var paths []string
	for _, c := range "abcdefghij" {
		f.write(string(c), "x")
		paths = append(paths, f.at(string(c)))
	}
	r := start(t, func(w *Watcher) { w.quiet = 300 * time.Millisecond }, paths...)
	for _, p := range paths {
		f.must(os.WriteFile(p, []byte("y"), 0o600))
	}
	if got := r.next(); !slices.Equal(got, paths) {
		t.Errorf("told of %q first", got)
	}
}

// A writer who never rests does not keep the others' changes from being told,
// and the end of it is told too.
func TestNoRest(t *testing.T) {
	f := newFolder(t)
	f.write("file", "x")
	f.write("other", "x")
	r := start(t, nil, f.at("file"), f.at("other"))
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for n := 0; ; n++ {
			select {
			case <-stop:
				return
			default:
				if os.WriteFile(f.at("file"), make([]byte, n%1000), 0o600) != nil {
					return
				}
			}
		}
	}()
	f.write("other", "y")
	for !slices.Contains(r.next(), f.at("other")) {
	}
	r.want(f.at("file"))
	close(stop)
	<-stopped
	f.write("file", "the end")
	for seen := ""; seen != "the end"; {
		r.want(f.at("file"))
		data, err := os.ReadFile(f.at("file"))
		f.must(err)
		seen = string(data)
	}
}
