package config

import (
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/postseal/postseal/config/dataset"
)

// Every setting that can name a file does so here, under its key.
func TestFiles(t *testing.T) {
	c := Default()
	c.BaseDirectory = "/base"
	c.SetSources("/etc/postseal.toml", "/etc/included")
	want := []string{"/etc/postseal.toml", "/etc/included"}
	fields := fieldsOf(c)
	for _, key := range fields.keys {
		if field, ok := fields.byKey[key].Addr().Interface().(*dataset.Spec); ok {
			*field = dataset.Text("file:" + key)
			want = append(want, "/base/"+key)
		}
	}
	c.KeyFile, c.TestPublicKeys, c.ReplaceRules = "key_file", "/test_public_keys", "key_table"
	want = append(want, "/base/key_file", "/test_public_keys") // and key_table is there
	if got := c.Files(); !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

// A setting that is one path is in the list of those. What only sounds like a
// file is named here.
func TestFilesKnowsEveryPath(t *testing.T) {
	other := []string{"base_directory", "runtime_directory", "change_root_directory", "pid_file"}
	var paths []string
	for i := range reflect.TypeFor[Config]().NumField() {
		f := reflect.TypeFor[Config]().Field(i)
		key := f.Tag.Get("toml")
		if f.Type.Kind() != reflect.String || slices.Contains(other, key) {
			continue
		}
		for _, word := range []string{"file", "directory", "rules", "keys", "table", "path"} {
			if slices.Contains(strings.Split(key, "_"), word) {
				paths = append(paths, key)
			}
		}
	}
	if want := []string{"key_file", "replace_rules", "test_public_keys"}; !slices.Equal(paths, want) {
		t.Errorf("%q are paths, by their names; Files knows %q", paths, want)
	}
}

// Load tells where a configuration was read from, however it was named.
func TestSources(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	if err := os.WriteFile("postseal.toml", []byte("mode = \"v\"\ninternal_hosts = \"file:hosts\"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := Load("./postseal.toml")
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{filepath.Join(dir, "postseal.toml"), filepath.Join(dir, "hosts")}; !slices.Equal(c.Files(), want) {
		t.Errorf("got %q, want %q", c.Files(), want)
	}
}
