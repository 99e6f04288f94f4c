package resolver

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// Who asks anew learns of a change at once, and so does everybody after. Trouble
// takes nothing from those who have an answer.
func TestAnew(t *testing.T) {
	var now atomic.Pointer[Answer]
	now.Store(&Answer{TXT: []string{"old"}, TTL: time.Hour})
	s := serve(t, func(string) Answer { return *now.Load() })
	stats := new(Stats)
	c := client(t, Options{Nameservers: []string{s.Addr()}, Stats: stats})
	want := func(who string, look func() ([]string, bool, error), text string, fails bool) {
		t.Helper()
		txt, _, err := look()
		if (err != nil) != fails || !fails && (len(txt) != 1 || txt[0] != text) {
			t.Errorf("%s: %q, %v; want %q", who, txt, err, text)
		}
	}
	usual := func() ([]string, bool, error) { return c.LookupTXT(t.Context(), key) }
	anew := func() ([]string, bool, error) { return Anew{c}.LookupTXT(t.Context(), key) }
	want("usual", usual, "old", false)
	now.Store(&Answer{TXT: []string{"new"}, TTL: time.Hour})
	want("usual, from the cache", usual, "old", false)
	want("anew", anew, "new", false)
	want("usual, after it", usual, "new", false)
	now.Store(&Answer{Rcode: dns.RcodeServerFailure})
	want("anew, in trouble", anew, "", true)
	want("usual, after the trouble", usual, "new", false)
	if got := stats.Counts(); got.CacheHits != 3 || got.CacheMisses != 1 || got.Lookups[Found] != 2 || got.Lookups[Failed] != 1 {
		t.Errorf("counted %+v", got)
	}
}
