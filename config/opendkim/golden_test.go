package opendkim

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"
)

var update = flag.Bool("update", false, "write the golden files anew")

// Each testdata/*.txtar holds an opendkim.conf, the files that it names, perhaps
// the file "default" in the manner of /etc/default/opendkim, and what comes out:
// the settings that are not OpenDKIM's defaults, or the errors. $WORK stands for
// the folder that they are put into.
func TestGolden(t *testing.T) {
	paths, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(paths) < 10 {
		t.Fatalf("%d golden files, %v", len(paths), err)
	}
	for _, path := range paths {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txtar"), func(t *testing.T) { golden(t, path) })
	}
}

func golden(t *testing.T, path string) {
	archive, err := txtar.ParseFile(path)
	if err != nil {
		t.Fatal(err)
	}
	golden, err := filepath.Abs(path)
	if err != nil {
		t.Fatal(err)
	}
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Chdir(dir)
	t.Setenv("RUNTIME_DIRECTORY", "")
	options := Options{Umask: func() int { return 0o022 }}
	want := -1
	for i, f := range archive.Files {
		switch f.Name {
		case "want":
			want = i
			continue
		case "default":
			options.Defaults = "default"
		}
		text := strings.ReplaceAll(string(f.Data), "$WORK", dir)
		if err := os.MkdirAll(filepath.Dir(f.Name), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(f.Name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if want < 0 {
		t.Fatal("no want")
	}
	got := describe(Load("opendkim.conf", options))
	got = strings.ReplaceAll(got, dir, "$WORK")
	if *update {
		archive.Files[want].Data = []byte(got)
		if err := os.WriteFile(golden, txtar.Format(archive), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(string(archive.Files[want].Data), got); diff != "" {
		t.Errorf("-want +got; go test -update writes it anew:\n%s", diff)
	}
}

// describe writes what Load returns, one fact a line.
func describe(f *File, err error) string {
	var b strings.Builder
	if err != nil {
		exit := 0
		if e, ok := err.(*Error); ok {
			exit = e.Exit
		}
		fmt.Fprintf(&b, "exit %d\n%v\n", exit, err)
		return b.String()
	}
	here, _ := os.Getwd() // where relative paths start by default
	for _, problem := range f.Config.Validate() {
		fmt.Fprintf(&b, "INVALID %s\n", problem)
	}
	got, standard := reflect.ValueOf(f.Config).Elem(), reflect.ValueOf(defaults()).Elem()
	for i := range got.NumField() {
		key := got.Type().Field(i).Tag.Get("toml")
		value, usual := valueText(got.Field(i), key), valueText(standard.Field(i), key)
		if value != usual && !(key == "base_directory" && value == here) {
			fmt.Fprintf(&b, "%s = %s\n", key, value)
		}
	}
	if f.Process != (Process{Background: true}) {
		fmt.Fprintf(&b, "process %+v\n", f.Process)
	}
	for _, notice := range f.Config.Notices {
		fmt.Fprintf(&b, "notice %s\n", notice)
	}
	return b.String()
}

// valueText is a field's value; empty for one without a key.
func valueText(field reflect.Value, key string) string {
	if key == "" {
		return ""
	}
	return fmt.Sprint(field.Interface())
}
