package keys

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/postseal/postseal/config/dataset"
)

func TestReadTable(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	key, err := Generate("ed25519", 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := WritePrivate(filepath.Join(dir, "example.com.private"), key); err != nil {
		t.Fatal(err)
	}
	table := "file example.com:s1:./example.com.private\n" +
		"template example.com:s2:" + dir + "/%.private\n" +
		"own %:s3:" + dir + "/%.private\n" +
		"ownfile %:s4:" + dir + "/example.com.private\n" +
		"absent example.com:s5:/absent\n" +
		"inline example.com:s6:AAAA\n" +
		"cut example.com:s7\n" +
		"bad exa mple:s8:/absent\n"
	if err := os.WriteFile(filepath.Join(dir, "table"), []byte(table), 0o600); err != nil {
		t.Fatal(err)
	}
	file := dir + "/example.com.private"
	want := []struct {
		name, domain, path string
		own, usable        bool
		err                string
	}{
		{"file", "example.com", dir + "/./example.com.private", false, true, ""},
		{"template", "example.com", file, false, true, ""},
		{"own", "%", "", true, false, "each sender's domain"},
		{"ownfile", "%", file, true, true, ""},
		{"absent", "example.com", "/absent", false, false, "no such file"},
		{"inline", "example.com", "", false, false, "no private key"},
		{"cut", "", "", false, false, "not complete"},
		{"bad", "exa mple", "/absent", false, false, "no domain name"},
	}
	for _, kind := range []string{"file", "refile"} {
		entries, err := ReadTable(dataset.Text(kind+":table"), dir)
		if kind == "file" {
			entries, err = ReadTable(dataset.Text("file:"+dir+"/table"), dir)
		}
		if err != nil || len(entries) != len(want) {
			t.Fatalf("%s: %d entries, %v", kind, len(entries), err)
		}
		for i, w := range want {
			e := entries[i]
			key, err := e.Private()
			if e.Name != w.name || e.Domain != w.domain || e.Path() != w.path || e.SenderDomain() != w.own || (key != nil) != w.usable {
				t.Errorf("%s: entry %d: %+v, path %q, %v", kind, i, e, e.Path(), err)
			}
			if (err == nil) != (w.err == "") || err != nil && !strings.Contains(err.Error(), w.err) {
				t.Errorf("%s: %s: %v, want %q", kind, e.Name, err, w.err)
			}
			if !strings.HasSuffix(e.Where, "table:"+string(rune('1'+i))) {
				t.Errorf("%s: %s stands at %s", kind, e.Name, e.Where)
			}
		}
	}
	if _, err := ReadTable(dataset.Text("dsn:x"), dir); !errors.Is(err, dataset.ErrType) {
		t.Errorf("dsn: %v", err)
	}
}
