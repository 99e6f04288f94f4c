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
		"folders made: /etc/postseal, /etc/postseal/keys/0, 1, 2, 3, 4",
		"files made: /etc/postseal/key.table, postseal.toml",
		"private keys made: /etc/postseal/keys/0/r, e, /etc/postseal/keys/1/r, e, /etc/postseal/keys/2/r, e, and 4 more",
		"rows added: /etc/postseal/key.table",
		"run up now",
		"lines added: /etc/other",
	}
	if diff := cmp.Diff(want, Summary(changes)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}
