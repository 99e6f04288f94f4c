package rotation

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/postseal/postseal/config/dataset"
	"github.com/postseal/postseal/keys"
	"github.com/postseal/postseal/keys/ledger"
)

// world is a mail server with its tables in a folder, and a DNS of two name servers,
// the second of which is behind.
type world struct {
	t   *testing.T
	dir string
	now time.Time
	// byHand: nobody but the test publishes records.
	byHand bool
	down   bool // nobody answers
	lag    time.Duration
	// past is what the first name server had from when on, by name.
	past map[string][]standing
	// reloads counts those of the daemon.
	reloads int
	// unready and deaf are what the daemon says when asked for a key, and to reload.
	unready, deaf error
}

// standing is what stood at a name from a time on.
type standing struct {
	since time.Time
	text  string // "" for nothing
}

const (
	negativeTTL = 5 * time.Minute
	recordTTL   = time.Minute
)

// newWorld has keys of these types for example.com in its tables, and in DNS for long.
func newWorld(t *testing.T, kinds ...string) *world {
	w := &world{t: t, dir: t.TempDir(), now: noon, past: map[string][]standing{}}
	signing := ""
	for _, kind := range kinds {
		key, err := keys.Generate(kind, 1024)
		if err != nil {
			t.Fatal(err)
		}
		path := w.path("old-" + kind + ".private")
		if err := keys.WritePrivate(path, key); err != nil {
			t.Fatal(err)
		}
		w.write("key.table", fmt.Sprintf("%sold-%s example.com:mail-%s:%s # ours\n", w.read("key.table"), kind, kind, path))
		signing += "*@example.com\told-" + kind + "\t# " + kind + "\n"
		w.past["mail-"+kind+"._domainkey.example.com"] = []standing{{noon.Add(-1000 * time.Hour), keys.RecordText(key.Public())}}
	}
	w.write("signing.table", "# of example.com\n"+signing)
	return w
}

func (w *world) path(name string) string { return filepath.Join(w.dir, name) }

func (w *world) read(name string) string {
	text, err := os.ReadFile(w.path(name))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		w.t.Fatal(err)
	}
	return string(text)
}

func (w *world) write(name, text string) {
	w.t.Helper()
	if err := os.WriteFile(w.path(name), []byte(text), 0o600); err != nil {
		w.t.Fatal(err)
	}
}

// with runs something as one run of the command does. acted may be nil.
func (w *world) with(acted func(Action) error, do func(*Rotation)) {
	w.t.Helper()
	l, err := ledger.Open(w.path(ledger.FileName))
	if err != nil {
		w.t.Fatal(err)
	}
	defer l.Close()
	do(&Rotation{
		KeyTable: dataset.Text("file:key.table"), SigningTable: dataset.Text("refile:signing.table"), Base: w.dir,
		Ledger: l, DNS: w, Daemon: w, Owner: -1, Keep: 7 * 24 * time.Hour, Now: func() time.Time { return w.now }, acted: acted,
	})
}

// begin begins a rotation.
func (w *world) begin() {
	w.t.Helper()
	w.with(nil, func(r *Rotation) {
		if err := r.Begin(w.t.Context(), "example.com", ""); err != nil {
			w.t.Fatal(err)
		}
	})
}

// advance goes on, and wants no errors.
func (w *world) advance() (events []Event) {
	w.t.Helper()
	w.with(nil, func(r *Rotation) {
		var err error
		if events, err = r.Advance(w.t.Context(), "example.com"); err != nil {
			w.t.Fatal(err)
		}
		for _, e := range events {
			if e.Err != nil {
				w.t.Fatalf("%s of %s: %v", e.Action, e.Key.Name, e.Err)
			}
		}
	})
	return events
}

// states are those of the keys, as "selector state" in order.
func (w *world) states() string {
	w.t.Helper()
	l, err := ledger.Read(w.path(ledger.FileName))
	if err != nil {
		w.t.Fatal(err)
	}
	var list []string
	for _, k := range l.Keys {
		list = append(list, k.Selector+" "+string(k.State))
	}
	return strings.Join(list, ", ")
}

func (w *world) wantStates(want string) {
	w.t.Helper()
	if got := w.states(); got != want {
		w.t.Fatalf("%v: %s; want %s", w.now.Sub(noon), got, want)
	}
}

// at is what a name server answers, or did: the second is behind.
func (w *world) at(server int, name string, when time.Time) string {
	if server == 1 {
		when = when.Add(-w.lag)
	}
	text := ""
	for _, s := range w.past[name] {
		if !s.since.After(when) {
			text = s.text
		}
	}
	return text
}

// set changes what stands at a name now.
func (w *world) set(name, text string) { w.past[name] = append(w.past[name], standing{w.now, text}) }

// Look implements DNS.
func (w *world) Look(_ context.Context, k ledger.Key) (View, error) {
	if w.down {
		return View{}, errors.New("nobody answers")
	}
	v := View{Shown: Everywhere}
	for server := range 2 {
		text := w.at(server, k.RecordName(), w.now)
		switch {
		case text == k.Record:
			v.Anywhere = true
		case text == "":
			v.Shown, v.TTL = Missing, max(v.TTL, negativeTTL)
		default:
			v.Shown, v.TTL = Missing, max(v.TTL, recordTTL)
		}
	}
	if v.Shown == Everywhere {
		v.TTL = recordTTL
	}
	return v, nil
}

// Taken implements DNS.
func (w *world) Taken(_ context.Context, name string) bool { return w.at(0, name, w.now) != "" }

// Publish implements DNS.
func (w *world) Publish(_ context.Context, k ledger.Key) (bool, error) {
	return w.hand(k, "", k.Record)
}

// Revoke implements DNS.
func (w *world) Revoke(_ context.Context, k ledger.Key) (bool, error) {
	return w.hand(k, k.Record, Revoked)
}

// Withdraw implements DNS.
func (w *world) Withdraw(_ context.Context, k ledger.Key) (bool, error) {
	return w.hand(k, k.Record, "")
}

func (w *world) hand(k ledger.Key, before, after string) (bool, error) {
	if w.byHand {
		return false, nil
	}
	if w.at(0, k.RecordName(), w.now) == before {
		w.set(k.RecordName(), after)
	}
	return true, nil
}

// Ready implements Daemon.
func (w *world) Ready(context.Context, string) error { return w.unready }

// Reload implements Daemon.
func (w *world) Reload(context.Context) (string, error) {
	w.reloads++
	return "", w.deaf
}

// signing are the keys that sign: those that the rows of signing_table name, with all
// that it takes.
func (w *world) signing() (list []ledger.Key) {
	w.t.Helper()
	w.with(nil, func(r *Rotation) {
		t, err := r.readTables()
		if err != nil {
			w.t.Fatal(err)
		}
		for name := range t.signs {
			if !t.listed[name] {
				w.t.Fatalf("%v: a row names %s, which key_table has not", w.now.Sub(noon), name)
			}
		}
		for _, k := range r.active(t, "example.com") {
			if err := read(&k, t); err != nil {
				w.t.Fatalf("%v: %v", w.now.Sub(noon), err)
			}
			list = append(list, k)
		}
	})
	return list
}

// wantVerified wants that whoever verifies now a mail that was signed with a key finds
// its record, whatever they remember: every answer that a name server has given and
// that may still be remembered.
func (w *world) wantVerified(what string, k ledger.Key) {
	w.t.Helper()
	for server := range 2 {
		// No answer is older than the longest TTL; each changes at a time of past.
		times := []time.Time{w.now}
		for _, s := range w.past[k.RecordName()] {
			for _, d := range []time.Duration{0, -time.Nanosecond} {
				if at := s.since.Add(d); !at.After(w.now) {
					times = append(times, at)
				}
				if at := s.since.Add(w.lag + d); !at.After(w.now) {
					times = append(times, at)
				}
			}
		}
		for _, when := range times {
			text, ttl := w.at(server, k.RecordName(), when), recordTTL
			if text == "" {
				ttl = negativeTTL
			}
			if text != k.Record && w.now.Sub(when) < ttl {
				w.t.Errorf("%v: %s, signed with %s, does not verify: name server %d said %q %v ago",
					w.now.Sub(noon), what, k.Name, server, text, w.now.Sub(when))
				return
			}
		}
	}
}

// files are those in the folders of keys, and the tables.
func (w *world) files() map[string]string {
	w.t.Helper()
	files := map[string]string{"key.table": w.read("key.table"), "signing.table": w.read("signing.table")}
	err := filepath.WalkDir(w.dir, func(path string, d os.DirEntry, err error) error {
		if name := strings.TrimPrefix(path, w.dir+"/"); err == nil && strings.Contains(name, ".private") {
			files[name] = "a key"
		}
		return err
	})
	if err != nil {
		w.t.Fatal(err)
	}
	for _, name := range []string{"key.table", "signing.table"} {
		files[name] = strings.ReplaceAll(files[name], w.dir, "")
	}
	return files
}
