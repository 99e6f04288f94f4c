package rotation

import (
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/postseal/postseal/keys/ledger"
)

const (
	oldBoth = "mail-rsa active, mail-ed25519 active, "
	newName = "20261122"
)

// A life of two keys: whoever verifies a mail that was just signed, or that is under
// way for less than a week, can, whatever they remember of DNS.
func TestLife(t *testing.T) {
	for _, tt := range []struct {
		name   string
		byHand bool
		lag    time.Duration
	}{
		{"by update", false, 0}, {"by update, one name server behind", false, 20 * time.Minute},
		{"by hand", true, 0}, {"by hand, one name server behind", true, 20 * time.Minute},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, "rsa", "ed25519")
			w.byHand, w.lag = tt.byHand, tt.lag
			w.begin()
			sent := map[string]time.Time{} // when each key signed last
			signed := map[string]ledger.Key{}
			var published time.Time
			for w.now.Before(noon.Add(20 * 24 * time.Hour)) {
				for _, e := range w.advance() {
					if !e.Handed && (e.Action == Publish || e.Action == Revoke) {
						text := e.Key.Record
						if e.Action == Revoke {
							text = Revoked
						}
						w.set(e.Key.RecordName(), text) // the person does it at once
					}
					if e.Key.State == ledger.Published && e.From == ledger.Pending {
						published = w.now
					}
					if e.Key.State == ledger.Active && strings.HasPrefix(e.Key.Selector, newName) && w.now.Sub(published) <= negativeTTL {
						t.Errorf("%s signs %v after it was seen", e.Key.Name, w.now.Sub(published))
					}
				}
				for _, k := range w.signing() {
					sent[k.Name], signed[k.Name] = w.now, k
					w.wantVerified("a mail just signed", k)
				}
				for name, last := range sent {
					if age := w.now.Sub(last); age > 0 && age < 7*24*time.Hour {
						w.wantVerified("a mail under way for "+age.String(), signed[name])
					}
				}
				step := time.Minute
				if w.now.Sub(noon) > 2*time.Hour {
					step = 7 * time.Hour
				}
				w.now = w.now.Add(step)
			}
			w.wantStates("20261122r active, 20261122e active")
			want := map[string]string{
				"signing.table": "# of example.com\n*@example.com\t20261122r._domainkey.example.com\t# rsa\n*@example.com\t20261122e._domainkey.example.com\t# ed25519\n",
				"key.table": "20261122r._domainkey.example.com example.com:20261122r:/keys/example.com/20261122r.private\n" +
					"20261122e._domainkey.example.com example.com:20261122e:/keys/example.com/20261122e.private\n",
				"keys/example.com/20261122r.private": "a key", "keys/example.com/20261122e.private": "a key",
				"old-rsa.private.retired": "a key", "old-ed25519.private.retired": "a key",
			}
			if diff := cmp.Diff(want, w.files()); diff != "" {
				t.Error(diff)
			}
			for _, kind := range []string{"rsa", "ed25519"} {
				if text := w.at(1, "mail-"+kind+"._domainkey.example.com", w.now); text != Revoked {
					t.Errorf("%s: %q stands in DNS", kind, text)
				}
			}
			if w.reloads == 0 {
				t.Error("the daemon was not told")
			}
			// The next one, of keys that we have made.
			w.begin()
			w.wantStates("20261122r active, 20261122e active, 20261212r pending, 20261212e pending")
		})
	}
}

var errStop = errors.New("stopped")

// A run may end after any action, before what came of it is kept: the next one goes
// on, and in the end all is as if nothing had been.
func TestStoppedAnywhere(t *testing.T) {
	// live leads keys through their lives; the action with that number is the last one
	// of its run. It returns how many there were.
	live := func(t *testing.T, stop int) (w *world, actions int) {
		w = newWorld(t, "rsa", "ed25519")
		w.begin()
		acted := func(Action) error {
			if actions++; actions == stop {
				return errStop
			}
			return nil
		}
		for _, wait := range []time.Duration{0, time.Minute, 10 * time.Minute, time.Hour, 7 * 24 * time.Hour, time.Hour, 8 * 24 * time.Hour} {
			w.now = w.now.Add(wait)
			for again := true; again; {
				again = false
				w.with(acted, func(r *Rotation) {
					events, err := r.Advance(t.Context(), "example.com")
					if again = errors.Is(err, errStop); err != nil && !again {
						t.Fatal(err)
					}
					for _, e := range events {
						if e.Err != nil || e.Action == WarnGone || e.Action == WarnBack {
							t.Errorf("%s of %s: %v", e.Action, e.Key.Name, e.Err)
						}
					}
				})
				for _, k := range w.signing() {
					w.wantVerified("a mail just signed", k)
				}
			}
		}
		return w, actions
	}
	whole, all := live(t, 0)
	whole.wantStates("20261122r active, 20261122e active")
	if all < 10 {
		t.Fatalf("%d actions", all)
	}
	for stop := 1; stop <= all; stop++ {
		w, _ := live(t, stop)
		if t.Failed() {
			t.Fatalf("stopped after action %d", stop)
		}
		w.wantStates(whole.states())
		if diff := cmp.Diff(whole.files(), w.files()); diff != "" {
			t.Fatalf("stopped after action %d: %s", stop, diff)
		}
	}
}

// What went wrong is told, and goes on later from where it was.
func TestBack(t *testing.T) {
	const name = "20261122e._domainkey.example.com"
	has := func(t *testing.T, events []Event, a Action) {
		t.Helper()
		for _, e := range events {
			if e.Action == a {
				return
			}
		}
		t.Errorf("no %s in %v", a, events)
	}
	w := newWorld(t, "ed25519")
	w.byHand = true
	w.begin()
	has(t, w.advance(), Publish)
	w.wantStates("mail-ed25519 active, 20261122e pending")
	l, err := ledger.Read(w.path(ledger.FileName))
	if err != nil {
		t.Fatal(err)
	}
	record := l.Find(name).Record

	// A record that was there and disappears begins anew.
	w.set(name, record)
	w.advance()
	w.wantStates("mail-ed25519 active, 20261122e published")
	w.now = w.now.Add(time.Minute)
	w.set(name, "")
	has(t, w.advance(), WarnBack)
	w.wantStates("mail-ed25519 active, 20261122e pending")
	w.now = w.now.Add(time.Minute)
	w.set(name, record)
	w.advance()
	w.now = w.now.Add(negativeTTL) // to the second
	w.advance()
	w.wantStates("mail-ed25519 active, 20261122e published")

	// While nobody answers nothing changes, nor with a daemon that cannot use the key.
	w.now, w.down = w.now.Add(time.Hour), true
	w.advance()
	w.wantStates("mail-ed25519 active, 20261122e published")
	w.down, w.unready = false, errors.New("not for me")
	before := w.files()
	w.with(nil, func(r *Rotation) {
		events, err := r.Advance(t.Context(), "example.com")
		if err != nil || len(events) != 1 || events[0].Action != Switch || !errors.Is(events[0].Err, w.unready) {
			t.Errorf("%v, %v", events, err)
		}
	})
	if diff := cmp.Diff(before, w.files()); diff != "" {
		t.Error(diff)
	}
	// Nor with a file that is not the key any more.
	w.unready = nil
	file := "keys/example.com/20261122e.private"
	text := w.read(file)
	w.write(file, w.read("old-ed25519.private"))
	fails := func(want string) {
		t.Helper()
		w.with(nil, func(r *Rotation) {
			events, err := r.Advance(t.Context(), "example.com")
			if err != nil || len(events) != 1 || events[0].Action != Switch || events[0].Err == nil || !strings.Contains(events[0].Err.Error(), want) {
				t.Errorf("%v, %v", events, err)
			}
		})
		w.wantStates("mail-ed25519 active, 20261122e published")
	}
	fails("is not the key whose record is in DNS")
	w.write(file, text)
	if diff := cmp.Diff(before, w.files()); diff != "" {
		t.Error(diff)
	}

	// A daemon that does not take the tables is told again, and the old key waits for that.
	w.deaf = errors.New("not now")
	fails("not now")
	fails("not now")
	w.deaf = nil
	w.advance()
	w.wantStates("mail-ed25519 retiring, 20261122e active")

	// An active key's record disappears, and that of one whose mail is under way.
	w.now = w.now.Add(time.Hour)
	w.set(name, "")
	has(t, w.advance(), WarnGone)
	w.set(name, record)
	for _, e := range w.advance() {
		t.Errorf("%v", e)
	}

	// The old row is put back: the old key is active, and the other one nobody's.
	w.write("signing.table", "*@example.com old-ed25519\n")
	has(t, w.advance(), WarnSigns)
	w.wantStates("mail-ed25519 active")
}

// What a crash has left of a private key's file is no key.
func TestHalfAFile(t *testing.T) {
	w := newWorld(t, "ed25519")
	w.begin()
	if err := os.MkdirAll(w.path("keys/example.com"), 0o700); err != nil {
		t.Fatal(err)
	}
	w.write("keys/example.com/20261122e.private", "-----BEGIN PRIVATE")
	w.advance()
	w.wantStates("mail-ed25519 active, 20261122e published")
}

// A new key is only taken back before it signs.
func TestAbortRotation(t *testing.T) {
	w := newWorld(t, "ed25519")
	before := w.files()
	w.begin()
	w.advance()
	w.wantStates("mail-ed25519 active, 20261122e published")
	abort := func() (events []Event) {
		w.with(nil, func(r *Rotation) {
			var err error
			if events, err = r.Abort(t.Context(), "example.com", ""); err != nil {
				t.Fatal(err)
			}
		})
		return events
	}
	abort()
	w.wantStates("mail-ed25519 active")
	before["keys/example.com/20261122e.private.retired"] = "a key"
	if diff := cmp.Diff(before, w.files()); diff != "" {
		t.Error(diff)
	}
	if text := w.at(0, "20261122e._domainkey.example.com", w.now); text != "" {
		t.Errorf("%q stands in DNS", text)
	}
	// One more on that day has another selector.
	w.begin()
	w.wantStates("mail-ed25519 active, 20261122e2 pending")
	w.advance()
	w.now = w.now.Add(time.Hour)
	w.advance()
	w.wantStates("mail-ed25519 retiring, 20261122e2 active")
	if events := abort(); len(events) != 0 {
		t.Errorf("%v", events)
	}
}

// Keys that rotation has to do with in their own ways.
func TestBegin(t *testing.T) {
	w := newWorld(t, "ed25519")
	table := w.read("key.table")
	file := w.path("old-ed25519.private")
	for _, tt := range []struct {
		name, keyTable, signingTable string
		states, err                  string
	}{
		{"two rows for one record", table + "again example.com:mail-ed25519:" + file + "\n", "*@example.com old-ed25519\n*@example.org again\n",
			"mail-ed25519 active, mail-ed25519 active, 20261122e pending", ""},
		{"another domain has the same key", table + "org example.org:mail:" + file + "\n", "*@example.com old-ed25519\n*@example.org org\n",
			"mail-ed25519 active, 20261122e pending", ""},
		{"two keys", table + "two example.com:two:" + file + "\n", "a@example.com old-ed25519\n*@example.com two\n",
			"mail-ed25519 active, two active, 20261122e pending, 20261122e2 pending", ""},
		{"the day's selector is taken", table + "20261122e._domainkey.example.com example.com:x:" + file + "\n", "*@example.com old-ed25519\n",
			"mail-ed25519 active, 20261122e2 pending", ""},
		{"in the letters of a person", "k Example.COM:Mail-ed25519:" + file + "\n", "*@example.com k\n",
			"mail-ed25519 active, 20261122e pending", ""},
		{"each sender's domain", "k %:mail:" + file + "\n", "*@example.com k\n", "", "each sender's own domain"},
		{"named by the sender's domain", table, "*@example.com %\n", "", "no row of signing_table names a key of example.com (key_table has old-ed25519)"},
		{"not in use", table, "", "", "no row of signing_table names a key of example.com (key_table has old-ed25519)"},
		{"of another domain", "k example.org:mail:" + file + "\n", "* k\n", "", "no key of key_table signs as example.com"},
		{"a credential of systemd", "k example.com:mail:/run/credentials/postseal.service/k\n", "* k\n", "", "credential"},
		{"no file", "k example.com:mail:/no/such/file\n", "* k\n", "", "cannot be read"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w.t = t
			w.write("key.table", tt.keyTable)
			w.write("signing.table", tt.signingTable)
			w.write(ledger.FileName, "")
			w.with(nil, func(r *Rotation) {
				err := r.Begin(t.Context(), "example.com", "")
				if tt.err == "" && err != nil || tt.err != "" && (err == nil || !strings.Contains(err.Error(), tt.err)) {
					t.Errorf("%v", err)
				}
			})
			w.wantStates(tt.states)
		})
	}
}

// All rows that name a key, or another name of it, get the new one.
func TestSharedKey(t *testing.T) {
	w := newWorld(t, "ed25519")
	file := w.path("old-ed25519.private")
	w.write("key.table", w.read("key.table")+"again example.com:mail-ed25519:"+file+"\norg example.org:mail:"+file+"\n")
	w.write("signing.table", "*@example.com old-ed25519\n*@sub.example.com again:@example.com\n*@example.org org\n*@example.net old-ed25519\n")
	w.begin()
	for _, wait := range []time.Duration{0, time.Hour, 8 * 24 * time.Hour, time.Hour} {
		w.now = w.now.Add(wait)
		w.advance()
	}
	w.wantStates("mail-ed25519 retired, mail-ed25519 retired, 20261122e active")
	want := map[string]string{
		"signing.table": "*@example.com 20261122e._domainkey.example.com\n*@sub.example.com 20261122e._domainkey.example.com:@example.com\n" +
			"*@example.org org\n*@example.net 20261122e._domainkey.example.com\n",
		"key.table": "org example.org:mail:/old-ed25519.private\n20261122e._domainkey.example.com example.com:20261122e:/keys/example.com/20261122e.private\n",
		// example.org signs with it.
		"old-ed25519.private": "a key", "keys/example.com/20261122e.private": "a key",
	}
	if diff := cmp.Diff(want, w.files()); diff != "" {
		t.Error(diff)
	}
}
