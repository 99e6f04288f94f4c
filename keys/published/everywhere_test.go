package published

import (
	"context"
	"crypto"
	"net/netip"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/miekg/dns"
	"github.com/postseal/postseal/keys"
	"github.com/postseal/postseal/milter/resolver"
	"github.com/postseal/postseal/testdata/nameserver"
)

// Two real name servers of a zone, one of which lags behind: each says what it shows,
// and why not the key.
func TestEverywhere(t *testing.T) {
	t.Parallel()
	key, err := keys.Generate("ed25519", 0)
	if err != nil {
		t.Fatal(err)
	}
	other, err := keys.Generate("ed25519", 0)
	if err != nil {
		t.Fatal(err)
	}
	text := keys.RecordText(key.Public())
	records := `@ NS ns2
ns2 A 127.0.0.2
alias._domainkey CNAME s1.keys.example.
`
	first := nameserver.Start(t,
		nameserver.Zone{Name: "example.com", Records: records},
		nameserver.Zone{Name: "keys.example", Records: `s1 300 TXT "` + text + `"`},
		nameserver.Zone{Name: "silent.example", Records: "@ NS ns2\nns2 A 127.0.0.3"})
	second := first.Second(t, nameserver.Zone{Name: "example.com"})
	at := netip.MustParseAddrPort(first.Addr)
	client, err := resolver.New(resolver.Options{Nameservers: []string{first.Addr}, Timeout: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	l := resolver.Lookup{Asker: client, Port: at.Port()}
	update := func(s *nameserver.Server, lines ...string) {
		t.Helper()
		s.Update(t, "example.com", lines...)
	}
	const at1 = "s1._domainkey.example.com"
	record := func(pub crypto.PublicKey, ttl string) string {
		return "add " + at1 + ". " + ttl + ` TXT "` + keys.RecordText(pub) + `"`
	}
	for _, tt := range []struct {
		why           string
		prepare       func()
		domain, s     string
		first, second string // "shows", or what is in Why
		ttl           time.Duration
	}{
		{"nowhere", func() {}, "example.com", "s1", "no TXT record at " + at1, "no TXT record at " + at1, 5 * time.Second},
		{"one lags behind", func() { update(first, record(key.Public(), "30")) }, "example.com", "s1", "shows", "no TXT record", 30 * time.Second},
		{"one has another key", func() { update(second, record(other.Public(), "90")) }, "example.com", "s1", "shows", "publishes another key", 90 * time.Second},
		{"one has both", func() { update(second, record(key.Public(), "120")) }, "example.com", "s1", "shows", "2 key records", 120 * time.Second},
		{"everywhere", func() { update(second, "delete "+at1, record(key.Public(), "60")) }, "example.com", "s1", "shows", "shows", 60 * time.Second},
		{"revoked", func() { update(first, "delete "+at1, "add "+at1+`. 40 TXT "v=DKIM1; p="`) }, "example.com", "s1", "revoked", "shows", 60 * time.Second},
		{"misplaced", func() { update(first, "delete "+at1, "add "+at1+`.example.com. 40 TXT "`+text+`"`) }, "example.com", "s1", "where nobody looks", "shows", 60 * time.Second},
		{"in a zone of somebody else, one lags behind", func() {}, "example.com", "alias", "shows", "no alias (CNAME) of s1.keys.example", 300 * time.Second},
		{"in a zone of somebody else", func() { update(second, "add alias._domainkey.example.com. 900 CNAME s1.keys.example.") },
			"example.com", "alias", "shows", "shows", 900 * time.Second},
		{"another alias", func() {
			update(second, "delete alias._domainkey.example.com", "add alias._domainkey.example.com. 30 CNAME s2.keys.example.")
		}, "example.com", "alias", "shows", "no alias (CNAME) of s1.keys.example", 300 * time.Second},
		{"one is silent", func() {}, "silent.example", "s1", "no TXT record", "could not be looked up", 5 * time.Second},
	} {
		t.Run(tt.why, func(t *testing.T) {
			tt.prepare()
			sight, err := Everywhere(t.Context(), l, tt.domain, tt.s, key.Public())
			if err != nil {
				t.Fatal(err)
			}
			if sight.TTL != tt.ttl {
				t.Errorf("TTL %s, want %s", sight.TTL, tt.ttl)
			}
			slices.SortFunc(sight.Servers, func(a, b Seen) int { return strings.Compare(a.Address, b.Address) })
			want := []string{tt.first, tt.second}
			if tt.s == "alias" { // the first name server has the alias and what it leads to
				want = []string{tt.first, tt.first, tt.second}
			}
			if len(sight.Servers) != len(want) {
				t.Fatalf("%+v", sight)
			}
			all := true
			for i, s := range sight.Servers {
				shows := want[i] == "shows"
				all = all && shows
				if s.Shows != shows || !shows && !strings.Contains(s.Why, want[i]) || s.Silent != strings.Contains(want[i], "looked up") {
					t.Errorf("%+v, want %q", s, want[i])
				}
			}
			if sight.Everywhere() != all {
				t.Errorf("everywhere: %t", sight.Everywhere())
			}
		})
	}
	if sight, err := Everywhere(t.Context(), l, "unknown.example", "s1", key.Public()); err == nil && sight.Everywhere() {
		t.Errorf("%+v", sight)
	}
}

// Name servers that somebody has named are asked in place of the domain's own; an
// address that cannot be reached from here does not count beside one that can.
func TestAt(t *testing.T) {
	key, err := keys.Generate("ed25519", 0)
	if err != nil {
		t.Fatal(err)
	}
	record := &dns.TXT{Txt: []string{keys.RecordText(key.Public())}}
	good := func(_ context.Context, name string, _ uint16) (resolver.Reply, error) {
		if name != "s1._domainkey.example.com" {
			return resolver.Reply{}, nil
		}
		return resolver.Reply{Exists: true, Records: []dns.RR{record}, TTL: time.Minute}, nil
	}
	unreachable := func(context.Context, string, uint16) (resolver.Reply, error) {
		return resolver.Reply{}, &netError{syscall.ENETUNREACH}
	}
	for _, tt := range []struct {
		name    string
		servers []NameServer
		all     bool
		asked   int
	}{
		{"none", nil, false, 0},
		{"one", []NameServer{{Address: "a", Ask: good}}, true, 1},
		{"no way by IPv6", []NameServer{{Name: "ns", Address: "a", Ask: good}, {Name: "ns", Address: "::1", Ask: unreachable}}, true, 1},
		{"no way at all", []NameServer{{Name: "ns", Address: "a", Ask: good}, {Name: "ns2", Address: "::1", Ask: unreachable}}, false, 2},
		{"no name", []NameServer{{Address: "a", Ask: good}, {Address: "::1", Ask: unreachable}}, false, 2},
	} {
		t.Run(tt.name, func(t *testing.T) {
			sight, err := At(t.Context(), tt.servers, "example.com", "s1", key.Public())
			if err != nil || sight.Everywhere() != tt.all || len(sight.Servers) != tt.asked {
				t.Errorf("%+v, %v", sight, err)
			}
		})
	}
	if _, err := At(t.Context(), nil, "example..com", "s1", nil); err == nil {
		t.Error("no name is taken")
	}
}

type netError struct{ error }

func (e *netError) Unwrap() error { return e.error }
