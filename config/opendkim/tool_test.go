package opendkim

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// What would stop a daemon does not stop a tool, but for a line that is malformed.
func TestLoadForTool(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "conf")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("Domain example.com\nSelector s1\nSelector s2\nMode nonsense\nSigningTable file:/absent\nBaseDirectory " + dir + "\nNameservers 127.0.0.1@5353\n")
	f, err := LoadForTool(path)
	if err != nil {
		t.Fatal(err)
	}
	if value, set, known := f.Get("selector"); value != "s2\ns1" || !set || !known {
		t.Errorf("Selector %q, %v, %v", value, set, known)
	}
	if c := f.Config; c.BaseDirectory != dir || !slices.Equal(c.Nameservers, []string{"127.0.0.1:5353"}) || c.SigningTable.IsSet() || len(c.Domain.Items) > 0 {
		t.Errorf("%+v", c)
	}
	write("Domain example.com\nNonsense x\n")
	var wrong *Error
	if _, err := LoadForTool(path); !errors.As(err, &wrong) || wrong.Exit != ExitConfig || !strings.Contains(err.Error(), "configuration error at line 2: unrecognized parameter") {
		t.Errorf("%v", err)
	}
}
