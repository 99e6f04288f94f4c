package setup

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/postseal/postseal/config/dataset"
)

// A row is added once, on a line of its own, and nothing else changes.
func TestAdd(t *testing.T) {
	for _, tt := range []struct{ name, before, after string }{
		{"empty", "", "*@example.com k1\n"},
		{"rows and comments", "# ours\n*@example.org k2\n\n", "# ours\n*@example.org k2\n\n*@example.com k1\n"},
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
				table, err := OpenTable("signing_table", dataset.Text("refile:signing.table"), filepath.Dir(path))
				if err != nil {
					t.Fatal(err)
				}
				if err := table.Add("*@example.com", "k1"); err != nil {
					t.Fatal(err)
				}
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

// What is no file cannot be added to.
func TestOpenTableErrors(t *testing.T) {
	for _, spec := range []dataset.Spec{dataset.Text("csl:a=b"), dataset.List("a b"), dataset.Text("refile:/no/such/table")} {
		if _, err := OpenTable("key_table", spec, "/"); err == nil {
			t.Errorf("%v: no error", spec)
		}
	}
}
