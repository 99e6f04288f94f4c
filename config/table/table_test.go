package table

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/postseal/postseal/config/dataset"
)

// A row is added once, on a line of its own, and nothing else changes.
func TestAdd(t *testing.T) {
	for _, tt := range []struct{ name, before, after string }{
		{"empty", "", "*@example.com k1\n"},
		{"rows and comments", "# ours\n*@example.org k2\n\n", "# ours\n*@example.org k2\n\n*@example.com k1\n"},
		{"lines of Windows", "# ours\r\n*@example.com\tk1\r\n", "# ours\r\n*@example.com\tk1\r\n"},
		{"no end of line", "*@example.org k2", "*@example.org k2\n*@example.com k1\n"},
		{"there", "*@example.com\tk1 \n# end\n", "*@example.com\tk1 \n# end\n"},
		{"there with another key", "*@example.com k2\n", "*@example.com k2\n*@example.com k1\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "signing.table")
			if err := os.WriteFile(path, []byte(tt.before), 0o640); err != nil {
				t.Fatal(err)
			}
			for range 2 {
				table, err := Open("signing_table", dataset.Text("refile:signing.table"), filepath.Dir(path))
				if err != nil {
					t.Fatal(err)
				}
				if err := table.Add("*@example.com", "k1"); err != nil {
					t.Fatal(err)
				}
				table.Close()
			}
			if got, _ := os.ReadFile(path); string(got) != tt.after {
				t.Errorf("%q, want %q", got, tt.after)
			}
			if info, err := os.Stat(path); err != nil || info.Mode() != 0o640 {
				t.Errorf("%v, %v", info.Mode(), err)
			}
		})
	}
}

// A table that is a link is added to where it is.
func TestAddLink(t *testing.T) {
	dir := t.TempDir()
	if err := errors.Join(os.WriteFile(dir+"/file", nil, 0o600), os.Symlink("file", dir+"/table")); err != nil {
		t.Fatal(err)
	}
	table, err := Open("key_table", dataset.Text("file:table"), dir)
	if err != nil {
		t.Fatal(err)
	}
	defer table.Close()
	if err := table.Add("k1", "example.com:s1:/k"); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Lstat(dir + "/table"); err != nil || info.Mode().Type() != os.ModeSymlink {
		t.Errorf("the link is %v, %v", info, err)
	}
	if got, _ := os.ReadFile(dir + "/file"); string(got) != "k1 example.com:s1:/k\n" {
		t.Errorf("%q", got)
	}
}

// Whoever opens a table sees the rows of those who had it open before.
func TestAddAtOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "key.table")
	if err := os.WriteFile(path, []byte("# no end of line"), 0o600); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	var added atomic.Int32
	for i := range 50 {
		wg.Go(func() {
			table, err := Open("key_table", dataset.Text(path), "/")
			if err != nil {
				t.Error(err)
				return
			}
			defer table.Close()
			if _, ok := table.First("k1"); ok {
				return
			}
			added.Add(1)
			if err := table.Add("k1", fmt.Sprint(i)); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	got, err := os.ReadFile(path)
	if err != nil || added.Load() != 1 || strings.Count(string(got), "\n") != 2 {
		t.Errorf("%d have added a row: %q, %v", added.Load(), got, err)
	}
}

// What is no file cannot be added to.
func TestOpenErrors(t *testing.T) {
	for _, spec := range []dataset.Spec{dataset.Text("csl:a=b"), dataset.List("a b"), dataset.Text("refile:/no/such/table"), dataset.Text("file:/")} {
		if _, err := Open("key_table", spec, "/"); err == nil {
			t.Errorf("%v: no error", spec)
		}
	}
}
