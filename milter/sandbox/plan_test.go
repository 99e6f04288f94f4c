package sandbox

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

func TestIsCommon(t *testing.T) {
	for folder, want := range map[string]bool{
		"/": true, "/etc": true, "/lib64": true, "/home": true, "/home/alice": true, "/var/lib": true, "/usr/local/etc": true,
		"/run/user/1000": true, "/run/secrets": true, "/tmp": true, "/etc/ssl/private": true,
		"/keys": false, "/etc/postseal": false, "/home/alice/keys": false, "/var/lib/postseal": false, "/opt/postseal": false,
		"/run/postseal": false, "/srv/mail": false, "/tmp/x": false, "/usr/local/etc/postseal": false,
	} {
		if got := isCommon(folder); got != want {
			t.Errorf("%s: %t", folder, got)
		}
	}
}

// lay makes folders (with "/" at the end), links ("name -> to") and empty files.
func lay(t *testing.T, dir string, names ...string) {
	t.Helper()
	for _, name := range names {
		name, to, link := strings.Cut(name, " -> ")
		path := filepath.Join(dir, name)
		folder := filepath.Dir(path)
		if strings.HasSuffix(name, "/") {
			folder = path
		}
		err := os.MkdirAll(folder, 0o755)
		switch {
		case err != nil:
		case link:
			err = os.Symlink(strings.ReplaceAll(to, "@", dir), path)
		case folder != path:
			err = os.WriteFile(path, nil, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// Paths below "@" are granted for reading: folders with all that is in them.
func TestPlan(t *testing.T) {
	for _, tt := range []struct {
		name  string
		lay   []string
		needs Needs
		want  string
	}{
		{"nothing", nil, Needs{}, ""},
		{"a file and its neighbours", []string{"a/b/table", "a/x"}, Needs{Files: []string{"@/a/b/table"}}, "@/a/b"},
		{"a file that is not there", []string{"a/b/"}, Needs{Files: []string{"@/a/b/table"}}, "@/a/b"},
		{"a folder that is not there", []string{"a/b/"}, Needs{Files: []string{"@/a/b/c/table"}}, "@/a/b"},
		{"a link to a file", []string{"a/b/table -> ../../z/table", "z/table"}, Needs{Files: []string{"@/a/b/table"}}, "@/a/b @/z"},
		{"a link to a file elsewhere", []string{"a/b/table -> @/z/table", "z/table"}, Needs{Files: []string{"@/a/b/table"}}, "@/a/b @/z"},
		{"a linked folder", []string{"a/b -> @/z/b", "z/b/table"}, Needs{Files: []string{"@/a/b/table"}}, "@/z/b"},
		{"releases", []string{"a/current -> v1", "a/v1/table", "a/v2/table"}, Needs{Files: []string{"@/a/current/table"}}, "@/a"},
		{"a volume of Kubernetes", []string{"v/table -> ..data/table", "v/..data -> ..1", "v/..1/table"}, Needs{Files: []string{"@/v/table"}}, "@/v"},
		{"a circle of links", []string{"a/b -> c", "a/c -> b"}, Needs{Files: []string{"@/a/b"}}, "@/a"},
		{"a key and its parents", []string{"a/keys/d/key"}, Needs{Keys: []string{"@/a/keys/d/key"}}, "@/a/keys"},
		{"a key beside a table", []string{"a/b/table", "a/b/key"}, Needs{Files: []string{"@/a/b/table"}, Keys: []string{"@/a/b/key"}}, "@/a"},
		{"keys of two folders", []string{"a/b/key", "a/b/next", "a/c/key"}, Needs{Keys: []string{"@/a/b/key", "@/a/b/next", "@/a/c/key"}}, "@/a"},
		{"a linked key beside another", []string{"a/b/key", "a/b/next -> @/z/key", "z/key"}, Needs{Keys: []string{"@/a/b/key", "@/a/b/next"}}, "@/a @/z"},
		{"a key in a linked folder", []string{"a/keys/d -> @/z/y/d", "z/y/d/key"}, Needs{Keys: []string{"@/a/keys/d/key"}}, "@/a/keys @/z/y"},
		{"a linked key", []string{"a/keys/d/key -> @/z/y/d/key", "z/y/d/key"}, Needs{Keys: []string{"@/a/keys/d/key"}}, "@/a/keys @/z/y/d"},
		{"a key that is not there", []string{"a/keys/"}, Needs{Keys: []string{"@/a/keys/d/key"}}, "@/a/keys"},
		{"a key for each domain", []string{"a/keys/"}, Needs{Keys: []string{"@/a/keys/%/key"}}, "@/a/keys"},
		{"a key's name for each domain", []string{"a/keys/"}, Needs{Keys: []string{"@/a/keys/k-%.pem"}}, "@/a/keys"},
		{"a linked folder for each domain", []string{"a/keys -> @/z", "z/"}, Needs{Keys: []string{"@/a/keys/%/key"}}, "@/z"},
		{"one folder in another", []string{"a/b/table", "a/b/c/hosts"}, Needs{Files: []string{"@/a/b/table", "@/a/b/c/hosts"}}, "@/a/b"},
		{"more", []string{"a/b", "c/d"}, Needs{Read: []string{"@/a/b", "@/c", "@/e"}}, "@/a/b @/c"},
		{"what is removed", []string{"a/socket"}, Needs{Remove: []string{"@/a/socket"}}, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir, err := filepath.EvalSymlinks(t.TempDir())
			if err != nil {
				t.Fatal(err)
			}
			dir += "/1/2" // those above are nobody's
			lay(t, dir, tt.lay...)
			n := tt.needs
			for _, list := range [][]string{n.Files, n.Keys, n.Read, n.Remove} {
				for i := range list {
					list[i] = strings.ReplaceAll(list[i], "@", dir)
				}
			}
			var got []string
			for path, access := range newPlan(n).grants {
				if at, ok := strings.CutPrefix(path, dir); ok && access&readFile != 0 {
					got = append(got, "@"+at)
				}
			}
			slices.Sort(got)
			if text := strings.Join(got, " "); text != tt.want {
				t.Errorf("got %s, want %s", text, tt.want)
			}
		})
	}
}

// What many share is never granted for what lies in it; a file in it is.
func TestPlanLeavesCommonFolders(t *testing.T) {
	const file = "/etc/hostname"
	if _, err := os.Stat(file); err != nil {
		t.Skip(err)
	}
	p := newPlan(Needs{
		Files:  []string{file, "/etc/no-such-table", "/no-such-table", "/var/lib/no-such/hosts", "/tmp/hosts", os.DevNull},
		Keys:   []string{"/etc/no-such-key", "/root/key", "/home/no-such/keys/key", "/etc/ssl/private/key", "/srv/no-such/key"},
		Remove: []string{"/run/pid"},
	})
	for folder, access := range p.grants {
		if p.look(folder).folder && isCommon(folder) && access != removeFile {
			t.Errorf("%s is granted: %v", folder, access)
		}
	}
	if p.grants[file] != readFile || p.grants[os.DevNull] != readFile {
		t.Errorf("the files are not granted; what is: %q", slices.Sorted(maps.Keys(p.grants)))
	}
}

// A configuration that stands in /etc itself can be changed by who is not root.
func TestPlanConfigInEtc(t *testing.T) {
	if got, want := newPlan(Needs{Config: []string{"/etc/passwd"}}).grants["/etc"] != 0, os.Geteuid() != 0; got != want {
		t.Errorf("all of /etc: %t, want %t", got, want)
	}
}

// Key folders in a folder that is granted are not looked at one by one, but for
// links: what is remembered and granted does not grow with them.
func TestPlanOfManyKeys(t *testing.T) {
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	lay(t, dir, "elsewhere/d/k", "elsewhere/f", "keys/link -> @/elsewhere/d", "keys/file/k -> @/elsewhere/f")
	n := Needs{Keys: []string{dir + "/keys/absent/k", dir + "/keys/link/k", dir + "/keys/file/k"}}
	few := newPlan(n)
	for _, folder := range []string{dir + "/keys", dir + "/elsewhere"} {
		if few.grants[folder]&readFile == 0 {
			t.Errorf("%s is not granted", folder)
		}
	}
	for i := range 300 {
		name := "keys/" + strconv.Itoa(i) + "/k"
		lay(t, dir, name)
		n.Keys = append(n.Keys, filepath.Join(dir, name))
	}
	many := newPlan(n)
	if !maps.Equal(few.grants, many.grants) || len(many.seen) > len(few.seen)+10 {
		t.Errorf("%d paths looked at and %v granted; with few keys %d and %v", len(many.seen), many.grants, len(few.seen), few.grants)
	}
}
