package setup

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Few lines tell of many changes, and what only an undo does is none of them.
func TestSummary(t *testing.T) {
	changes := []Change{
		&Account{Name: "postseal"}, &Folder{Path: "/etc/postseal"},
		&File{Path: "/etc/postseal/key.table", New: true}, &File{Path: "/etc/postseal/postseal.toml", New: true},
		&Command{Undo: []string{"down"}},
	}
	for i := range 5 {
		dir := fmt.Sprintf("/etc/postseal/keys/%d", i)
		changes = append(changes, &Folder{Path: dir}, &PrivateKey{Path: dir + "/r"}, &PrivateKey{Path: dir + "/e"})
	}
	changes = append(changes, &Rows{Path: "/etc/postseal/key.table"}, &Command{Argv: []string{"up", "now"}}, &File{Path: "/etc/other"})
	want := []string{
		"system user postseal",
		"folders /etc/postseal, /etc/postseal/keys/0, 1, 2, 3, 4",
		"files /etc/postseal/key.table, postseal.toml",
		"private keys /etc/postseal/keys/0/r, e, /etc/postseal/keys/1/r, e, /etc/postseal/keys/2/r, e, and 4 more",
		"rows in /etc/postseal/key.table",
		"up now",
		"lines in /etc/other",
	}
	if diff := cmp.Diff(want, Summary(changes, false)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if diff := cmp.Diff([]string{"system user postseal", "folders /etc/postseal", "files /etc/postseal/key.table, postseal.toml", "down"}, Summary(changes[:5], true)); diff != "" {
		t.Errorf("an undo: -want +got:\n%s", diff)
	}
}

// What is left is told once, and not again for the folders that it is in.
func TestLeftovers(t *testing.T) {
	got := Leftovers([]Left{
		{"/etc/postseal/key.table", "rows"}, {"/etc/postseal/keys/a/new", "another"}, {"/etc/postseal/keys/a", "not empty"}, {"/etc/postseal/keys", "not empty"},
		{"/srv/a", "not empty"}, {"/srv/b", "not empty"}, {"/etc/postseal/key.table", "changed"}, {"/etc/postseal", "not empty"}, {"the user x", "theirs"},
	})
	want := []string{"/etc/postseal/key.table: rows", "/etc/postseal/keys/a/new: another", "/srv/a, b: not empty", "the user x: theirs"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}
