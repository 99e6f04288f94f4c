package resolver

import (
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/miekg/dns"
)

func TestCacheLifetimes(t *testing.T) {
	tests := []struct {
		name   string
		answer Answer
		life   time.Duration // 0: not cached
	}{
		{"record", Answer{TXT: []string{"x"}, TTL: time.Minute}, time.Minute},
		{"record for a week", Answer{TXT: []string{"x"}, TTL: 7 * 24 * time.Hour}, maxPositiveTTL},
		{"record with TTL 0", Answer{TXT: []string{"x"}}, 0},
		{"name does not exist", Answer{Rcode: dns.RcodeNameError, TTL: time.Minute}, time.Minute},
		{"does not exist for a day", Answer{Rcode: dns.RcodeNameError, TTL: 24 * time.Hour}, maxNegativeTTL},
		{"no record", Answer{TTL: 2 * time.Minute}, 2 * time.Minute},
		{"failure", Answer{Rcode: dns.RcodeServerFailure}, failureTTL},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var asked atomic.Int32
			s := serve(t, func(string) Answer { asked.Add(1); return tt.answer })
			clock := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
			c := client(t, Options{Nameservers: []string{s.Addr()}, Now: func() time.Time { return clock }})
			look := func() {
				_, _, err := c.LookupTXT(t.Context(), key)
				if (err != nil) != (tt.answer.Rcode == dns.RcodeServerFailure) {
					t.Errorf("error %v", err)
				}
			}
			look()
			if tt.life > 0 {
				clock = clock.Add(tt.life - 1)
				look()
				if n := asked.Load(); n != 1 {
					t.Errorf("asked %d times before the answer expired", n)
				}
				clock = clock.Add(1)
			}
			look()
			if n := asked.Load(); n != 2 {
				t.Errorf("asked %d times, want 2", n)
			}
		})
	}
}

func TestCacheOff(t *testing.T) {
	var asked atomic.Int32
	s := serve(t, func(string) Answer { asked.Add(1); return Answer{TXT: []string{"x"}, TTL: time.Hour} })
	c := client(t, Options{Nameservers: []string{s.Addr()}, CacheSize: -1})
	for range 3 {
		if _, _, err := c.LookupTXT(t.Context(), key); err != nil {
			t.Fatal(err)
		}
	}
	if n := asked.Load(); n != 3 {
		t.Errorf("asked %d times, want 3", n)
	}
}

// The caller owns what it is given.
func TestCacheIsNotShared(t *testing.T) {
	s := serve(t, func(string) Answer { return Answer{TXT: []string{"x"}, TTL: time.Hour} })
	c := client(t, Options{Nameservers: []string{s.Addr()}})
	for range 2 {
		txt, _, err := c.LookupTXT(t.Context(), key)
		if err != nil || txt[0] != "x" {
			t.Fatalf("got %q, %v", txt, err)
		}
		txt[0] = "changed"
	}
}

func TestCacheBounds(t *testing.T) {
	now := func() time.Time { return time.Unix(0, 0) }
	t.Run("entries", func(t *testing.T) {
		c := newCache(3, now)
		for i := range 5 {
			c.put(fmt.Sprint(i), &answer{ttl: time.Hour})
			c.get("1") // stays in use
		}
		for name, want := range map[string]bool{"0": false, "1": true, "2": false, "3": true, "4": true} {
			if _, ok := c.get(name); ok != want {
				t.Errorf("%s kept: %t, want %t", name, ok, want)
			}
		}
	})
	t.Run("bytes", func(t *testing.T) {
		c := newCache(1000, now)
		c.maxBytes = 10000
		for i := range 100 {
			c.put(fmt.Sprint(i), &answer{ttl: time.Hour, txt: []string{strings.Repeat("x", 1000)}})
			if c.bytes > c.maxBytes {
				t.Fatalf("%d bytes after %d", c.bytes, i)
			}
		}
		c.put("huge", &answer{ttl: time.Hour, txt: []string{strings.Repeat("x", 20000)}})
		if c.bytes != 0 || len(c.byKey) != 0 {
			t.Errorf("%d bytes in %d entries after one that does not fit", c.bytes, len(c.byKey))
		}
		c.put("a", &answer{ttl: time.Hour})
		c.put("a", &answer{ttl: time.Hour})
		if want := entryOverhead + 1; c.bytes != want || c.order.Len() != 1 {
			t.Errorf("%d bytes after a replacement, want %d", c.bytes, want)
		}
	})
}
