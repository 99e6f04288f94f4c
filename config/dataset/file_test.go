package dataset

import (
	"os"
	"path/filepath"
	"strings"
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

// What a private key's file has in it is not repeated, whatever it was taken for.
func TestPrivateKeyIsNoDataSet(t *testing.T) {
	for name, text := range map[string]string{
		"PEM":                "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\n-----END PRIVATE KEY-----\n",
		"PEM behind a note":  "# a key\n  -----BEGIN RSA PRIVATE KEY-----\nAAAA\n",
		"the end of PEM":     "AAAA\n-----END RSA PRIVATE KEY-----\n",
		"base64":             "MC4CAQAwBQYDK2VwBCIEIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
		"base64 on lines":    "MC4CAQAwBQYDK2VwBCIEIAAAAAAAAAAAAA\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\n",
		"base64 with an end": "MIIBAQ" + strings.Repeat("A", 40) + "==\n",
	} {
		path := filepath.Join(t.TempDir(), "key")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		for _, kind := range []string{"file:", "refile:"} {
			if _, err := Open(Text(kind+path), Options{}); err == nil || err.Error() != path+": is a private key; is this the right file?" {
				t.Errorf("%s, %s %v", name, kind, err)
			}
		}
	}
	for _, text := range []string{"", "example.com\n", "192.0.2.1\n", "MIEL\n", "*@example.com k # -----BEGIN PRIVATE KEY-----\n"} {
		if isKey(text) {
			t.Errorf("%q is no key", text)
		}
	}
}
