package opendkim

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// Without -D the files go into the working directory.
func TestGenkeyHere(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	o := playOurs(t, "opendkim-genkey", dir, toolCase{args: "--ed25519 -s here"})
	if o.Exit != exitOK || o.Err != "" || len(o.Files) != 2 || o.Files["here.private"] == "" || o.Files["here.txt"] == "" {
		t.Errorf("%+v", o)
	}
}

// A failure leaves the files that were there alone, and no others behind.
func TestGenkeyFails(t *testing.T) {
	t.Parallel()
	dir := toolDir(t)
	writeFiles(t, dir, map[string]string{"default.private": "old key"})
	if err := os.Mkdir(filepath.Join(dir, "default.txt"), 0o700); err != nil {
		t.Fatal(err)
	}
	o := playOurs(t, "opendkim-genkey", dir, toolCase{args: "-b 1024 -D @DIR@"})
	if o.Exit != exitFailed || !strings.Contains(o.Err, "unable to write to default.txt: ") || strings.Contains(o.Err, "overwritten") {
		t.Errorf("ended with %d: %s", o.Exit, o.Err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 2 || !strings.HasSuffix(o.Files["default.private"], "old key") {
		t.Errorf("%v, %v, %v", entries, o.Files, err)
	}
}

// FuzzLongOptions: reading ends, what is wrong is said, and a flag never takes
// the word behind it.
func FuzzLongOptions(f *testing.F) {
	for _, seed := range []string{"-b 5 -v", "--bits=5 --no-f", "-b5fvb x", "--", "-", "--=x", "-\xff", "--tex --t=é", "-b _1_0", "--b --b"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, line string) {
		words := strings.Split(line, " ")
		var complaints, values []string
		options := longOptions{complain: func(line string) { complaints = append(complaints, line) }}
		take := func(name string) func(string, bool) {
			return func(value string, on bool) { values = append(values, fmt.Sprint(name, value, on)) }
		}
		for _, o := range []struct {
			names string
			kind  settingKind
		}{{"b bits", isNumber}, {"f flag", isFlag}, {"t text", isText}, {"v verbose", isCounter}, {"V version", isFlag}} {
			names := strings.Fields(o.names)
			options.settings = append(options.settings, setting{names, o.kind, take(names[1])})
		}
		ok := options.read(slices.Clone(words))
		if ok != (len(complaints) == 0) {
			t.Fatalf("%q: %v, %q", line, ok, complaints)
		}
		if len(complaints)+len(values) > len(line)+1 {
			t.Fatalf("%q gives %d options and %d complaints", line, len(values), len(complaints))
		}
		if !strings.Contains(line, "-") && len(values)+len(complaints) > 0 {
			t.Fatalf("%q: %q, %q", line, values, complaints)
		}
	})
}
