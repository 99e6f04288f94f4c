package dataset

import (
	"os"
	"path/filepath"
	"testing"
)

// File names what Open reads.
func TestSpecFile(t *testing.T) {
	base := t.TempDir()
	for _, row := range []struct {
		spec Spec
		want string
	}{
		{Spec{}, ""},
		{Text("a,b"), ""},
		{Text("csl:/etc/a"), ""},
		{List("/etc/a"), ""},
		{List(), ""},
		{Text("file:"), ""},
		{Text("mdb:/etc/a"), ""},
		{Text("/etc/tables.db"), ""},
		{Text("file:table"), base + "/table"},
		{Text(" refile: sub/../table "), base + "/table"},
		{Text("file:" + base + "/other"), base + "/other"},
		{Text(base + "/other"), base + "/other"},
	} {
		if got := row.spec.File(base); got != row.want {
			t.Errorf("%q: %q, want %q", row.spec, got, row.want)
		}
		if row.want == "" {
			continue
		}
		if err := os.WriteFile(row.want, []byte("key value\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		set, err := Open(row.spec, Options{Base: base})
		if err != nil || filepath.Clean(set.Source()) != row.want {
			t.Errorf("%q: Open reads %v, %v", row.spec, set, err)
		}
	}
}
