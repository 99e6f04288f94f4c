package watch

import (
	"os"
	"testing"
)

// A look tells of files that are others than they were, however they became so, and
// of no others.
func TestLook(t *testing.T) {
	for _, row := range []struct {
		name   string
		change func(f folder)
		same   bool
	}{
		{"nothing", func(folder) {}, true},
		{"another file", func(f folder) { f.write("d/other", "x") }, true},
		{"written in place", func(f folder) { f.write("d/file", "longer") }, false},
		{"replaced", func(f folder) { f.write("d/new", "x"); f.rename("d/new", "d/file") }, false},
		{"removed", func(f folder) { f.remove("d/file") }, false},
		{"one that was missing", func(f folder) { f.write("d/missing", "x") }, false},
		{"the link put elsewhere", func(f folder) {
			f.write("e/file", "x")
			f.link("e", "new")
			f.rename("new", "link")
		}, false},
		{"rights of the folder", func(f folder) { f.must(os.Chmod(f.at("d"), 0o750)) }, false},
	} {
		t.Run(row.name, func(t *testing.T) {
			f := newFolder(t)
			f.write("d/file", "x")
			f.must(os.Chmod(f.at("d"), 0o700))
			f.link("d", "link")
			l := LookAt([]string{f.at("link/file"), f.at("d/missing")})
			if row.change(f); l.Same() != row.same {
				t.Errorf("the same: %t, want %t", !row.same, row.same)
			}
		})
	}
}
