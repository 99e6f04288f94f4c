package resolver

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/miekg/dns"
)

// Each question counts once, with its time, whoever waits for it; who is answered
// from memory counts as that. Clients that share Stats add to the same.
func TestStats(t *testing.T) {
	zone := map[string]Answer{
		"found.example.com":  {TXT: []string{"x"}, TTL: time.Minute},
		"alias.example.com":  {CNAME: "found.example.com", TTL: time.Minute},
		"nodata.example.com": {TTL: time.Minute},
		"absent.example.com": {Rcode: dns.RcodeNameError, TTL: time.Minute},
		"fails.example.com":  {Rcode: dns.RcodeServerFailure},
		"silent.example.com": {Drop: true},
		"shared.example.com": {TXT: []string{"x"}, TTL: time.Minute, Delay: 50 * time.Millisecond},
	}
	s := serve(t, func(name string) Answer { return zone[name] })
	stats := new(Stats)
	within := func(timeout time.Duration) *Client {
		now := time.Now()
		return client(t, Options{
			Nameservers: []string{s.Addr()}, Stats: stats, Timeout: timeout,
			Now: func() time.Time { return now }, // nothing is forgotten
		})
	}
	first := within(patience)
	want := Counts{Lookups: map[Outcome]uint64{Found: 0, Absent: 0, TimedOut: 0, Failed: 0}}
	check := func(step string) {
		t.Helper()
		got := stats.Counts()
		_, counts, _ := got.Duration.Seconds()
		var all, asked uint64
		for _, n := range counts {
			all += n
		}
		for _, n := range got.Lookups {
			asked += n
		}
		if all != asked {
			t.Errorf("%s: %d questions, and the time of %d", step, asked, all)
		}
		got.Duration = want.Duration
		if diff := cmp.Diff(fmt.Sprint(want), fmt.Sprint(got)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", step, diff)
		}
	}
	check("before")
	for _, row := range []struct {
		name    string
		client  *Client
		outcome Outcome // "": from memory
	}{
		{"found.example.com", first, Found},
		{"FOUND.example.com.", first, ""},
		{"found.example.com", within(patience), Found}, // its memory is its own
		{"alias.example.com", first, Found},
		{"nodata.example.com", first, Absent},
		{"nodata.example.com", first, ""},
		{"absent.example.com", first, Absent},
		{"fails.example.com", first, Failed},
		{"fails.example.com", first, ""}, // for some seconds
		{"silent.example.com", within(500 * time.Millisecond), TimedOut},
	} {
		_, _, _ = row.client.LookupTXT(t.Context(), row.name)
		if row.outcome == "" {
			want.CacheHits++
		} else {
			want.CacheMisses++
			want.Lookups[row.outcome]++
		}
		check(row.name)
	}
	// A name that DNS cannot hold is not asked for.
	_, _, _ = first.LookupTXT(t.Context(), "..")
	check("no name")

	c := within(patience)
	const askers = 8
	var all sync.WaitGroup
	for range askers {
		all.Go(func() { _, _, _ = c.LookupTXT(t.Context(), "shared.example.com") })
	}
	all.Wait()
	got := stats.Counts()
	if got.Lookups[Found] != want.Lookups[Found]+1 || got.CacheHits+got.CacheMisses != want.CacheHits+want.CacheMisses+askers {
		t.Errorf("%d askers of one name: %+v after %+v", askers, got, want)
	}
}
