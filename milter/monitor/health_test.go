package monitor

import (
	"slices"
	"strings"
	"sync/atomic"
	"testing"
)

// readiness are states with why they are not ready.
var readiness = []struct {
	name   string
	change func(*Status)
	all    []string // reasons
	some   []string // reasons with keys=some
}{
	{"all is well", func(*Status) {}, nil, nil},
	{"keys that are read later", func(s *Status) { s.KeyStates = map[string]int{"unread": 3} }, nil, nil},
	{"a file that went bad while its key signs", func(s *Status) { s.KeyStates = map[string]int{"ready": 2, "stale": 1} }, nil, nil},
	{"no keys", func(s *Status) { s.KeyCount, s.KeyStates = 0, map[string]int{} }, nil, nil},
	{"a failed reload", func(s *Status) { s.Problems = []string{"x"} }, nil, nil},
	{"a bad key", func(s *Status) { s.KeyStates = map[string]int{"ready": 2, "disabled": 1} },
		[]string{"1 of 3 keys cannot sign"}, nil},
	{"a bad key with a name", func(s *Status) {
		s.KeyStates = map[string]int{"ready": 2, "disabled": 1}
		s.Keys = []Key{{Name: "k\n", Domain: "example.com", Selector: "s", State: "disabled"}, {Name: "other", State: "ready"}}
	}, []string{`1 of 3 keys cannot sign; the first is "k\n": d=example.com s=s`}, nil},
	{"bad keys alone", func(s *Status) { s.KeyStates = map[string]int{"disabled": 3} },
		[]string{"none of the keys can sign (3)"}, []string{"none of the keys can sign (3)"}},
	{"stopping", func(s *Status) { s.Stopping, s.Listeners = true, nil },
		[]string{"the daemon is stopping"}, []string{"the daemon is stopping"}},
	{"no socket", func(s *Status) { s.Listeners = nil }, []string{"no socket is open"}, []string{"no socket is open"}},
	{"a socket that nobody finds", func(s *Status) { s.Listeners[0].Unreachable = "its file is gone" },
		[]string{"nobody can connect to the socket local:/run/s: its file is gone"},
		[]string{"nobody can connect to the socket local:/run/s: its file is gone"}},
	{"all at once", func(s *Status) {
		s.Stopping, s.Listeners[0].Unreachable, s.KeyStates = true, "its file is gone", map[string]int{"ready": 2, "disabled": 1}
	}, []string{"the daemon is stopping", "nobody can connect to the socket local:/run/s: its file is gone", "1 of 3 keys cannot sign"},
		[]string{"the daemon is stopping", "nobody can connect to the socket local:/run/s: its file is gone"}},
}

// whole is the Status of a daemon that is well.
func whole() Status {
	return Status{
		Version: "1.2", GoVersion: "go1.26",
		Listeners: []Listener{{Name: "local:/run/s", Address: "/run/s"}},
		KeyCount:  3, KeyStates: map[string]int{"ready": 3, "unread": 0, "stale": 0, "disabled": 0},
	}
}

func TestReady(t *testing.T) {
	t.Parallel()
	var row atomic.Int64
	m := serve(t, func() Status {
		s := whole()
		readiness[row.Load()].change(&s)
		return s
	})
	for i, r := range readiness {
		t.Run(r.name, func(t *testing.T) {
			row.Store(int64(i))
			for query, want := range map[string][]string{"": r.all, "?keys=all": r.all, "?keys=some": r.some} {
				code, text := m.get(t, "/readyz"+query)
				wantCode, wantText := 503, strings.Join(want, "\n")+"\n"
				if want == nil {
					wantCode, wantText = 200, "ready\n"
				}
				if code != wantCode || text != wantText {
					t.Errorf("/readyz%s: %d %q, want %d %q", query, code, text, wantCode, wantText)
				}
			}
			if code, text := m.get(t, "/healthz"); code != 200 || text != "alive\n" {
				t.Errorf("/healthz: %d %q", code, text)
			}
			_, text := m.get(t, "/metrics")
			metric := "postseal_ready 0"
			if r.all == nil {
				metric = "postseal_ready 1"
			}
			if !slices.Contains(strings.Split(text, "\n"), metric) {
				t.Errorf("no metric %q", metric)
			}
		})
	}
}

// A daemon that is stuck does not say that it is alive: its status comes first.
func TestStuck(t *testing.T) {
	t.Parallel()
	var told atomic.Bool
	m := serve(t, func() Status { told.Store(true); return whole() })
	if _, text := m.get(t, "/healthz"); text != "alive\n" || !told.Load() {
		t.Errorf("%q, with a status: %t", text, told.Load())
	}
}
