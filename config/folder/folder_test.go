package folder

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/postseal/postseal/testdata/peers"
)

// What root makes in a folder of somebody else lands there and nowhere else: links of
// theirs are refused, wherever they stand; root's own are followed.
func TestLinks(t *testing.T) {
	if os.Geteuid() != 0 {
		peers.Require(t, errors.New("giving files away takes root"))
	}
	const other = 65534
	for _, tt := range []struct {
		name  string
		link  string // its place below the folder
		to    string
		owner int // of the folder that the link is in
		open  bool
		want  bool
	}{
		{"no link", "", "", other, false, true},
		{"root's", "way", "theirs", 0, false, true},
		{"root's, absolute", "way", "DIR/theirs", 0, false, true},
		{"root's, to itself", "way", "way", 0, false, false},
		{"root's in a folder for all", "way", "theirs", 0, true, false},
		{"theirs", "way", "theirs", other, false, false},
		{"theirs, to a folder of root's", "way", "roots", other, false, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			for _, err := range []error{
				os.Mkdir(dir+"/in", 0o755), os.Mkdir(dir+"/in/theirs", 0o700), os.Mkdir(dir+"/in/roots", 0o755), os.Chown(dir+"/in/theirs", other, other),
				os.Chmod(dir+"/in", 0o755), os.Chown(dir+"/in", tt.owner, -1),
			} {
				if err != nil {
					t.Fatal(err)
				}
			}
			way := dir + "/in/theirs"
			if tt.link != "" {
				way = dir + "/in/" + tt.link
				if err := os.Symlink(strings.ReplaceAll(tt.to, "DIR", dir+"/in"), way); err != nil {
					t.Fatal(err)
				}
				if err := os.Lchown(way, tt.owner, -1); err != nil {
					t.Fatal(err)
				}
			}
			if tt.open {
				if err := os.Chmod(dir+"/in", 0o777); err != nil {
					t.Fatal(err)
				}
			}
			for what, err := range map[string]error{
				"Make": Make(way+"/folder", 0o750, other, -1), "Create": Create(way+"/file", []byte("text"), 0o640, other, -1),
			} {
				if (err == nil) != tt.want {
					t.Errorf("%s: %v", what, err)
				}
				if err != nil && !strings.Contains(err.Error(), "/in/way") {
					t.Errorf("%s does not say where: %v", what, err)
				}
			}
			found := listing(t, dir+"/in")
			if made := strings.Contains(found, "theirs/folder drwxr-x---") && strings.Contains(found, "theirs/file -rw-r-----"); made != tt.want || strings.Contains(found, "roots/") {
				t.Errorf("found:\n%s", found)
			}
			if err := errors.Join(Remove(way+"/folder"), Remove(way+"/file"), Remove(way+"/nothing")); (err == nil) != tt.want {
				t.Errorf("Remove: %v", err)
			}
			if found := listing(t, dir+"/in"); strings.Contains(found, "theirs/") {
				t.Errorf("not removed:\n%s", found)
			}
		})
	}
}

func listing(t *testing.T, dir string) string {
	t.Helper()
	var b strings.Builder
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		fmt.Fprintf(&b, "%s %v\n", strings.TrimPrefix(path, dir), info.Mode())
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// What stands at the place itself is never touched, link or not.
func TestThere(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(dir+"/target", []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, link := range []string{"target", "nothing"} {
		place := dir + "/place"
		if err := os.Symlink(link, place); err != nil {
			t.Fatal(err)
		}
		if err := Create(place, []byte("new"), 0o644, -1, -1); !errors.Is(err, fs.ErrExist) {
			t.Errorf("Create: %v", err)
		}
		if err := Make(place, 0o755, -1, -1); !errors.Is(err, fs.ErrExist) || !strings.Contains(err.Error(), place) {
			t.Errorf("Make: %v", err)
		}
		if err := Remove(place); err != nil {
			t.Error(err)
		}
	}
	if text, err := os.ReadFile(dir + "/target"); string(text) != "mine" {
		t.Errorf("%q, %v", text, err)
	}
	if _, err := os.Lstat(dir + "/nothing"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("it was made: %v", err)
	}
}

// Private folders are for their owner alone; those that are there stay as they are.
func TestPrivate(t *testing.T) {
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := Private(dir+"/keys/example.com", -1); err != nil {
			t.Fatal(err)
		}
	}
	if got := listing(t, dir); got != " drwxr-xr-x\n/keys drwx------\n/keys/example.com drwx------\n" {
		t.Errorf("%s", got)
	}
}
