package table

import (
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/postseal/postseal/config/dataset"
)

// The name of a key is replaced in the rows that name it, and nothing else changes.
func TestReplace(t *testing.T) {
	names := map[string]string{"old": "new", "old2": "new2"}
	for _, tt := range []struct {
		name, before, after string
		rows                int
	}{
		{"one", "*@example.com old\n", "*@example.com new\n", 1},
		{"signer stays", "*@example.com \t old:@example.com\t# old\n", "*@example.com \t new:@example.com\t# old\n", 1},
		{"several, and others", "# old\nold keep\n*@a old2\r\n*@b older\n\n*@c old\n", "# old\nold keep\n*@a new2\r\n*@b older\n\n*@c new\n", 2},
		{"as the key, too", "old old", "old new", 1},
		{"blanks before the colon", "*@a old :@b\n", "*@a new :@b\n", 1},
		{"blanks of a web page", "\ufeff*@a\u00a0old\n", "\ufeff*@a\u00a0new\n", 1},
		{"a row that does not count", " *@a old\n", " *@a old\n", 0},
		{"letter case counts", "*@a OLD\n", "*@a OLD\n", 0},
		{"none", "*@a x\n", "*@a x\n", 0},
		{"no name", "*@a\n", "*@a\n", 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			wantEdited(t, tt.before, tt.after, tt.rows, func(table *File) (int, error) { return table.Replace(names) })
		})
	}
}

// A row is taken out with its line.
func TestRemove(t *testing.T) {
	for _, tt := range []struct {
		name, before, after string
		rows                int
	}{
		{"one of three", "a 1\nold x:y:/z # why\nb 2\n", "a 1\nb 2\n", 1},
		{"the last", "a 1\nold x:y:/z", "a 1\n", 1},
		{"not there", "a old\n# old 1\n", "a old\n# old 1\n", 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			wantEdited(t, tt.before, tt.after, tt.rows, func(table *File) (int, error) { return table.Remove("old") })
		})
	}
}

// wantEdited edits a table behind a link, twice: the second time nothing is left to do.
func wantEdited(t *testing.T, before, after string, rows int, edit func(*File) (int, error)) {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(dir+"/file", []byte(before), 0o640); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("file", dir+"/table"); err != nil {
		t.Fatal(err)
	}
	for _, want := range []int{rows, 0} {
		table, err := Open("signing_table", dataset.Text("refile:table"), dir)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := edit(table); got != want || err != nil {
			t.Errorf("%d rows, %v; want %d", got, err, want)
		}
		table.Close()
	}
	if got, _ := os.ReadFile(dir + "/file"); string(got) != after {
		t.Errorf("%q, want %q", got, after)
	}
	if info, err := os.Stat(dir + "/file"); err != nil || info.Mode() != 0o640 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	if info, err := os.Lstat(dir + "/table"); err != nil || info.Mode().Type() != os.ModeSymlink {
		t.Errorf("the link is %v, %v", info, err)
	}
	if files, _ := os.ReadDir(dir); len(files) != 2 {
		t.Errorf("files are left behind: %v", files)
	}
}

// Where the file cannot be replaced, nothing happens.
func TestReplaceFails(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "table")
	if err := os.WriteFile(path, []byte("*@a old\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	table, err := Open("signing_table", dataset.Text("refile:table"), dir)
	if err != nil {
		t.Fatal(err)
	}
	defer table.Close()
	if err := os.Rename(path, path+"2"); err != nil {
		t.Fatal(err)
	}
	if rows, err := table.Replace(map[string]string{"old": "new"}); rows != 0 || err == nil {
		t.Errorf("%d rows, %v", rows, err)
	}
	if files, _ := os.ReadDir(dir); len(files) != 1 {
		t.Errorf("files are left behind: %v", files)
	}
}

// Rows that are replaced while others wait to add theirs: no row is lost.
func TestReplaceAtOnce(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(dir+"/table", []byte("a k0\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	const many = 20
	name := func(i int) string { return "k" + string(rune('A'+i)) }
	var wg sync.WaitGroup
	for i := range many {
		wg.Go(func() {
			table, err := Open("signing_table", dataset.Text("refile:table"), dir)
			if err != nil {
				t.Error(err)
				return
			}
			defer table.Close()
			if i%2 == 0 {
				err = table.Add(name(i), "k0")
			} else {
				names := map[string]string{"k0": name(i)}
				for j := range many {
					names[name(j)] = name(i)
				}
				_, err = table.Replace(names)
			}
			if err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	set, err := dataset.Open(dataset.Text("refile:table"), dataset.Options{Base: dir})
	if err != nil || len(set.Rows()) != 1+many/2 {
		t.Errorf("%v, %v", set, err)
	}
}
