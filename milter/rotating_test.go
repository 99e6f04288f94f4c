package milter

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/postseal/postseal/keys/ledger"
	"github.com/postseal/postseal/milter/monitor"
)

// A key that DNS lacks is alarming while mail needs it: while it signs, and while mail
// that it has signed is under way; not before, and not where nothing is signed with it.
func TestPublishingOfRotation(t *testing.T) {
	inline, _ := newKey(t, "ed25519")
	dir := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		// A file is never changed in place.
		if err := os.WriteFile(filepath.Join(dir, "new"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(filepath.Join(dir, "new"), filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	write("key.table", "old example.com:old:"+inline+"\nnew example.com:new:"+inline+"\n")
	for _, row := range []struct {
		name             string
		signing          string
		state            ledger.State // of the key "new", "" for no file
		warned, missing  int
		rotation, unused string // what is told of "new"
	}{
		{"both sign", "*@a old\n*@b new\n", "", 2, 2, "", "false"},
		{"one is not in use", "*@a old\n", "", 1, 1, "", "true"},
		{"one is to be published", "*@a old\n", ledger.Pending, 1, 1, "pending", "true"},
		{"one signs", "*@a old\n*@b new\n", ledger.Active, 2, 2, "active", "false"},
		{"one has signed until lately", "*@a old\n", ledger.Retiring, 2, 2, "retiring", "true"},
		{"rows for each sender's domain may name it", "*@a old\n*@b %\n", "", 2, 2, "", "false"},
	} {
		t.Run(row.name, func(t *testing.T) {
			write("signing.table", row.signing)
			_ = os.Remove(filepath.Join(dir, ledger.FileName)) // where there is one
			if row.state != "" {
				write(ledger.FileName, fmt.Sprintf(`{"version": 1, "keys": [{"name": "new", "domain": "example.com", "selector": "new",
					"type": "ed25519", "state": %q, "since": "2026-11-22T00:00:00Z"}]}`, row.state))
			}
			p := watchPublishing(t)
			p.use(fmt.Sprintf("key_table = \"file:%[1]s/key.table\"\nsigning_table = \"refile:%[1]s/signing.table\"", dir))
			p.after(30 * time.Second)
			p.wantLog(unpublished, row.warned)
			counts := p.count(p.s.KeyCount())
			if counts[monitor.Missing] != row.missing || counts[monitor.Missing]+counts[monitor.Unknown] != 2 {
				t.Errorf("%v", counts)
			}
			states := new(rotationStates)
			k := states.mark(p.s, p.s.Keys())[1]
			if k.Rotation != row.rotation || fmt.Sprint(k.Unused) != row.unused {
				t.Errorf("%q, %v", k.Rotation, k.Unused)
			}
			all := states.count(p.s)
			if n := all[row.rotation]; len(all) != 5 || row.rotation != "" && n != 1 {
				t.Errorf("%v", all)
			}
		})
	}
}
