package setup

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/postseal/postseal/config"
	"github.com/postseal/postseal/config/opendkim"
)

// planNew plans a configuration with a domain in dir, or what is left to do of it.
func planNew(t *testing.T, dir string, begun []Change) *Plan {
	t.Helper()
	path := dir + "/etc/postseal.toml"
	s, err := NewSite(path, "inet:8891@localhost", Owner{})
	if exists(path) {
		s = &Site{Path: path}
		s.Config, err = opendkim.LoadConfig(path, config.Environment{})
	}
	if err != nil {
		t.Fatal(err)
	}
	plan := &Plan{Begun: begun}
	if s.New {
		if err := plan.AddFiles(s); err != nil {
			t.Fatal(err)
		}
	}
	r := &Request{Site: s, Domains: []string{"a.example", "b.example"}, Selector: "t", Begun: begun}
	if _, err := r.Plan(plan); err != nil {
		t.Fatal(err)
	}
	for _, c := range plan.Changes {
		if k, ok := c.(*PrivateKey); ok && k.Type == "rsa" {
			k.Bits = 1024 // which takes less time
		}
	}
	return plan
}

// Wherever a set-up is cut off, the next run of the same ends with what one would have
// made, and no more; and all of it can be taken back.
func TestGoOnFromScratch(t *testing.T) {
	n := len(planNew(t, t.TempDir(), nil).Changes)
	for i := range n {
		for _, noted := range []bool{false, true} {
			t.Run(fmt.Sprintf("%d %t", i, noted), func(t *testing.T) {
				dir := t.TempDir()
				open := func() *Journal {
					j, err := OpenJournal(t.Context(), dir+"/var/journal", time.Now, nil)
					if err != nil {
						t.Fatal(err)
					}
					return j
				}
				j := open()
				plan := planNew(t, dir, nil)
				plan.Changes[i] = &killed{plan.Changes[i], noted}
				if err := plan.Apply(t.Context(), System{}, j, "test", nil); !errors.Is(err, errKilled) {
					t.Fatal(err)
				}
				j.Close()
				j = open()
				begun, err := j.Mend(t.Context(), System{})
				if err != nil {
					t.Fatal(err)
				}
				if err := planNew(t, dir, begun).Apply(t.Context(), System{}, j, "test", nil); err != nil {
					t.Fatal(err)
				}
				j.Close()
				if got := planNew(t, dir, nil); !got.Empty() {
					t.Errorf("left to do: %s", got.Changes[0].Line())
				}
				wantFiles(t, dir+"/etc", "key.table", "keys", "keys/a.example", "keys/a.example/te.private", "keys/a.example/tr.private",
					"keys/b.example", "keys/b.example/te.private", "keys/b.example/tr.private", "postseal.toml", "signing.table", "trusted.hosts")
				for _, table := range []string{"key.table", "signing.table"} {
					if text, _ := os.ReadFile(dir + "/etc/" + table); strings.Count(string(text), "._domainkey.") != 4 {
						t.Errorf("%s:\n%s", table, text)
					}
				}
				j = open()
				defer j.Close()
				for range 2 {
					if err := j.Undo(t.Context(), System{}, func(_ Change, l Left) {
						if l != (Left{}) {
							t.Error(l)
						}
					}); err != nil {
						t.Fatal(err)
					}
				}
				if exists(dir + "/etc") {
					t.Error("something is left")
				}
			})
		}
	}
}

// wantFiles wants these files and folders below dir, and no others.
func wantFiles(t *testing.T, dir string, want ...string) {
	t.Helper()
	var got []string
	err := filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		if path != dir {
			got = append(got, strings.TrimPrefix(path, dir+"/"))
		}
		return err
	})
	if err != nil || strings.Join(got, " ") != strings.Join(want, " ") {
		t.Errorf("%q, %v, want %q", got, err, want)
	}
}
