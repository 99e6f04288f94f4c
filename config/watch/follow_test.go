package watch

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// The way to a file ends where the system's own ends.
func TestFollow(t *testing.T) {
	dir := newFolder(t)
	dir.write("real/file", "x")
	dir.write("elsewhere/sub/file", "x")
	dir.mkdir("real/deep")
	dir.link("real", "dirlink")
	dir.link("file", "real/link")
	dir.link(dir.at("real/file"), "absolute")
	dir.link("dirlink/link", "chain")
	dir.link("elsewhere/sub", "sub")
	dir.link("loop", "loop")
	dir.link("missing", "dangling")
	for _, row := range []struct{ path, names string }{
		{"real/file", "real real/file"},
		{"./real//deep/../file", "real real/deep real/file"},
		{"real/link", "real real/link real/file"},
		{"dirlink/file", "dirlink real real/file"},
		{"absolute", "absolute ~ real real/file"},
		{"chain", "chain dirlink real real/link real/file"},
		{"sub/../sub/file", "sub elsewhere elsewhere/sub elsewhere/sub elsewhere/sub/file"},
		{"dangling", "dangling missing"},
		{"missing/file", "missing"},
		{"real/file/below", "real real/file"},
		{"real", "real"},
		{"real/", "real"},
	} {
		t.Run(row.path, func(t *testing.T) {
			file := dir.at(row.path)
			way := newScan().follow(file)
			var names []string
			for _, step := range way {
				if name, ok := strings.CutPrefix(step.path, dir.at("")); ok {
					names = append(names, name)
				} else if names != nil && names[len(names)-1] != "~" {
					names = append(names, "~") // from the root again
				}
			}
			if got := strings.Join(names, " "); got != row.names {
				t.Errorf("got  %s\nwant %s", got, row.names)
			}
			var want, got unix.Stat_t
			last := way[len(way)-1]
			err := unix.Stat(file, &want)
			switch {
			case errors.Is(err, syscall.ENOTDIR): // what is in the way is a file
			case err != nil && last.id.err != errno(err):
				t.Errorf("the way ends with %v, the system's with %v", last.id.err, err)
			case err == nil && (unix.Lstat(last.path, &got) != nil || got.Ino != want.Ino):
				t.Errorf("the way ends at %s, which is another file", last.path)
			}
		})
	}
	if way := newScan().follow(dir.at("loop")); len(way) > 2*maxLinks {
		t.Errorf("%d steps in a loop", len(way))
	}
}

// A path from the working directory is the same file.
func TestFollowRelative(t *testing.T) {
	dir := newFolder(t)
	dir.write("file", "x")
	wd, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	relative, err := filepath.Rel(wd, dir.at("file"))
	if err != nil {
		t.Fatal(err)
	}
	a, b := newScan().follow(relative), newScan().follow(dir.at("file"))
	if a[len(a)-1] != b[len(b)-1] {
		t.Errorf("%v is not %v", a[len(a)-1], b[len(b)-1])
	}
}

func TestYoung(t *testing.T) {
	now := time.Unix(1000, 0)
	at := func(d time.Duration) identity {
		return identity{ctime: unix.NsecToTimespec(now.Add(d).UnixNano())}
	}
	folder := at(0)
	folder.isFolder = true
	for _, row := range []struct {
		name string
		last identity
		want bool
	}{
		{"just now", at(-time.Millisecond), true},
		{"a moment ahead, as another clock has it", at(time.Millisecond), true},
		{"some time ago", at(-time.Second), false},
		{"an hour ahead", at(time.Hour), false},
		{"a folder", folder, false},
		{"missing", identity{err: syscall.ENOENT}, false},
	} {
		if got := (trail{{"/", folder}, {"/f", row.last}}).young(now); got != row.want {
			t.Errorf("%s: %t", row.name, got)
		}
	}
}

// However many files a folder has, it is looked into once.
func TestScanIsShared(t *testing.T) {
	dir := newFolder(t)
	s := newScan()
	for _, name := range []string{"a", "b", "c"} {
		dir.write("sub/"+name, "x")
		s.follow(dir.at("sub/" + name))
	}
	depth := strings.Count(dir.at("sub"), "/")
	if len(s.seen) != depth+3 || len(s.folders) != depth+1 {
		t.Errorf("%d names and %d folders, %d deep", len(s.seen), len(s.folders), depth)
	}
	if !s.holders[dir.at("sub")] || len(s.holders) != 1 {
		t.Errorf("files stand in %v", s.holders)
	}
}
