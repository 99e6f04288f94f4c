package keys

import (
	"io"
	"os"
	"testing"
	"time"
)

// The clock may have been put forward or back since a key file was written, for
// hours or for good: the file is read once, not for each message, and a new key is
// used at once.
func TestClockOfKeyFiles(t *testing.T) {
	for _, row := range []struct {
		name string
		by   time.Duration
		once bool
	}{
		{"put forward", 5 * time.Hour, true},
		{"put back", -5 * time.Hour, true},
		{"put back by years", -20 * 365 * 24 * time.Hour, true},
		{"right, the file just written", 0, false},
	} {
		t.Run(row.name, func(t *testing.T) {
			dir := t.TempDir()
			old := writeKey(t, dir+"/k")
			c := newTestCache(&prover{}, io.Discard)
			reads := settled(c)
			c.now = func() time.Time { return time.Now().Add(row.by) }
			s := tables{signing: "* k\n", keys: "k a.example:s:@DIR@/k\n"}.mustLoad(t, dir, c)
			for range 5 {
				if !same(mustSign(t, s, "a.example"), old) {
					t.Fatal("another key")
				}
			}
			if row.once && *reads != 1 {
				t.Errorf("%d reads of a file that has not changed", *reads)
			}
			// Of two writings in place the times tell only if the clock ticks between them.
			fresh := writeKey(t, dir+"/new")
			if err := os.Rename(dir+"/new", dir+"/k"); err != nil {
				t.Fatal(err)
			}
			if !same(mustSign(t, s, "a.example"), fresh) {
				t.Error("the new key is not used")
			}
		})
	}
}
