package hosts

import (
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/postseal/postseal/config/dataset"
)

func open(t testing.TB, spec dataset.Spec, base string) (*List, []string) {
	t.Helper()
	set, err := dataset.Open(spec, dataset.Options{Base: base})
	if err != nil {
		t.Fatal(err)
	}
	l, warnings, err := New(set)
	if err != nil {
		t.Fatal(err)
	}
	return l, warnings
}

func refile(t testing.TB, lines ...string) (*List, []string) {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "hosts"), []byte(strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return open(t, dataset.Text("refile:hosts"), dir)
}

// match is one question: entry "" with ok false means that nothing matches.
type match struct {
	name, host, ip, entry string
	ok                    bool
}

func check(t *testing.T, l *List, rows []match) {
	t.Helper()
	for _, tt := range rows {
		t.Run(tt.name, func(t *testing.T) {
			var ip netip.Addr
			if tt.ip != "" {
				ip = netip.MustParseAddr(tt.ip)
			}
			if entry, ok := l.Match(tt.host, ip); entry != tt.entry || ok != tt.ok {
				t.Errorf("Match(%q, %q) = %q, %t; want %q, %t", tt.host, tt.ip, entry, ok, tt.entry, tt.ok)
			}
		})
	}
}

func TestMatch(t *testing.T) {
	l, warnings := open(t, dataset.List(
		"Relay.Example.net", ".example.com", "!bad.example.com", "!.out.example.com", "in.out.example.com",
		"unknown", "both.example", "!both.example", "bücher.example", "final.example.",
		"192.168.0.0/16", "!192.168.1.0/24", "192.168.1.1", "!192.168.1.1/32", "198.51.100.7", "!198.51.100.7",
		"[203.0.113.1]", "IPv6:2001:DB8::1", "[203.0.113.64]/26", "[203.0.113.32/27]", "::ffff:198.18.0.0/111", "::ffff:198.51.100.9",
		"2001:db8:1::/48", "!2001:db8:1:2::/64", "::1",
	), "")
	if warnings != nil {
		t.Errorf("warnings %q", warnings)
	}
	check(t, l, []match{
		{"nothing known", "", "", "", false},
		{"name", "relay.example.net", "", "Relay.Example.net", true},
		{"name in capitals", "RELAY.EXAMPLE.NET", "", "Relay.Example.net", true},
		{"name with final dot", "relay.example.net.", "", "Relay.Example.net", true},
		{"entry with final dot", "final.example", "", "final.example.", true},
		{"name is no parent", "a.relay.example.net", "", "", false},
		{"below", "mx.example.com", "", ".example.com", true},
		{"far below", "a.b.c.example.com", "", ".example.com", true},
		{"a domain is not below itself", "example.com", "", "", false},
		{"name that begins with a dot", ".example.com", "", "", false},
		{"name that ends alike", "mx.notexample.com", "", "", false},
		{"excepted name", "bad.example.com", "", "!bad.example.com", false},
		{"below an excepted name", "a.bad.example.com", "", ".example.com", true},
		{"below an excepted domain", "a.out.example.com", "", "!.out.example.com", false},
		{"name in an excepted domain", "in.out.example.com", "", "in.out.example.com", true},
		{"exception first", "both.example", "", "!both.example", false},
		{"unknown is a name", "unknown", "", "unknown", true},
		{"8-bit name", "bücher.example", "", "bücher.example", true},
		{"excepted name with a listed address", "bad.example.com", "::1", "::1", true},
		{"excepted name with an excepted address", "bad.example.com", "192.168.1.2", "!192.168.1.0/24", false},
		{"excepted name with another address", "bad.example.com", "192.0.2.1", "!bad.example.com", false},
		{"listed name with an excepted address", "mx.example.com", "192.168.1.2", ".example.com", true},
		{"unlisted name, then address", "mx.example.net", "::1", "::1", true},
		{"exclamation mark in a name", "!both.example", "", "", false},
		{"name too long", strings.Repeat("a.", 200) + "example.com", "", "", false},

		{"network", "", "192.168.2.1", "192.168.0.0/16", true},
		{"longer network excepted", "", "192.168.1.2", "!192.168.1.0/24", false},
		{"address before its networks", "", "192.168.1.1", "192.168.1.1", true},
		{"outside", "", "192.169.0.1", "", false},
		{"excepted address first", "", "198.51.100.7", "!198.51.100.7", false},
		{"entry in brackets", "", "203.0.113.1", "[203.0.113.1]", true},
		{"entry with IPv6:", "", "2001:db8::1", "IPv6:2001:DB8::1", true},
		{"network of a bracketed address", "", "203.0.113.65", "[203.0.113.64]/26", true},
		{"network in brackets", "", "203.0.113.33", "[203.0.113.32/27]", true},
		{"mapped client", "", "::ffff:192.168.2.1", "192.168.0.0/16", true},
		{"mapped network", "", "198.19.255.255", "::ffff:198.18.0.0/111", true},
		{"mapped entry", "", "198.51.100.9", "::ffff:198.51.100.9", true},
		{"IPv6 network", "", "2001:db8:1:1::5", "2001:db8:1::/48", true},
		{"IPv6 network excepted", "", "2001:db8:1:2::5", "!2001:db8:1:2::/64", false},
		{"client with a zone", "", "::1%lo", "::1", true},
		{"bracketed host is no name", "[relay.example.net]", "192.168.2.1", "192.168.0.0/16", true},
		{"bracketed host alone", "[192.168.2.1]", "", "", false},
		{"address as a name", "192.168.1.1", "", "", false},
	})
}

func TestMatchAll(t *testing.T) {
	l, _ := open(t, dataset.List("0.0.0.0/0", "!::/0"), "")
	check(t, l, []match{
		{"IPv4", "x.example", "1.2.3.4", "0.0.0.0/0", true},
		{"IPv6", "x.example", "2001:db8::1", "!::/0", false},
		{"no address", "x.example", "", "", false},
	})
}

func TestNil(t *testing.T) {
	l, warnings, err := New(nil)
	if l != nil || warnings != nil || err != nil {
		t.Errorf("New(nil) = %v, %q, %v", l, warnings, err)
	}
	if entry, ok := l.Match("localhost", netip.MustParseAddr("127.0.0.1")); entry != "" || ok {
		t.Errorf("a nil list matches %q", entry)
	}
}

func TestRefile(t *testing.T) {
	l, warnings := refile(t,
		"*.corp.test", "!*.guest.corp.test", "!mx.out.test", "*.out.test", "plain.test",
		"172.16.*", "10.*", "!10.9.*", "10.0.0.0/8", "192.0.2.77/24", "2001:db8:*", "198.51.100.*/30", "mx[12].re.test")
	if len(warnings) != 1 || !strings.Contains(warnings[0], `hosts:10: "192.0.2.77/24" has bits set behind its prefix; it is read as 192.0.2.0/24`) {
		t.Errorf("warnings %q", warnings)
	}
	check(t, l, []match{
		{"wildcard", "mx.corp.test", "", "*.corp.test", true},
		{"wildcard, far below", "a.b.Corp.Test", "", "*.corp.test", true},
		{"wildcard is not the domain", "corp.test", "", "", false},
		{"excepted wildcard", "x.guest.corp.test", "", "!*.guest.corp.test", false},
		{"excepted name before a wildcard", "mx.out.test", "", "!mx.out.test", false},
		{"wildcard beside an excepted name", "my.out.test", "", "*.out.test", true},
		{"plain name", "plain.test", "", "plain.test", true},
		{"address by text", "unknown", "172.16.3.4", "172.16.*", true},
		{"address by text, excepted", "unknown", "10.9.1.1", "!10.9.*", false},
		{"IPv6 address by text", "unknown", "2001:db8::5", "2001:db8:*", true},
		{"network", "unknown", "192.0.2.1", "192.0.2.77/24", true},
		{"network by text", "unknown", "198.51.100.9", "198.51.100.*/30", true},
		{"expression", "mx2.re.test", "", "mx[12].re.test", true},
		{"name that looks like an address", "10.evil.example", "203.0.113.5", "", false},
		{"nothing", "mx.example.net", "203.0.113.5", "", false},
	})
}

func TestRefileAnything(t *testing.T) {
	l, _ := refile(t, "*", "!*.evil.test", "!192.0.2.*")
	check(t, l, []match{
		{"name", "mx.example", "", "*", true},
		{"address alone", "", "203.0.113.1", "*", true},
		{"excepted name", "mx.evil.test", "", "!*.evil.test", false},
		{"excepted name with a listed address", "mx.evil.test", "203.0.113.1", "*", true},
		{"excepted address", "", "192.0.2.1", "!192.0.2.*", false},
	})
}

func TestWarnings(t *testing.T) {
	for _, tt := range []struct {
		entry, want string
	}{
		{"10.0.0.5/24", "is read as 10.0.0.0/24"},
		{"!10.0.0.5/24", "is read as 10.0.0.0/24"},
		{"2001:db8::1/32", "is read as 2001:db8::/32"},
		{"::ffff:10.0.0.5/120", "is read as 10.0.0.0/24"},
		{"::ffff:10.0.0.0/8", hintNetwork},
		{"10.0.0", hintAddress},
		{"10.0.0.256", hintAddress},
		{"10.0.0.1.", hintAddress},
		{"2001:db8:::1", hintAddress},
		{"2001:db8", hintAddress},
		{"10.0.0.5/40", hintNetwork},
		{"192.0.2/24", hintNetwork},
		{"10.0.0.0/255.0.0.0", hintNetwork},
		{"10.0.0.0/-1", hintNetwork},
		{"10.0.0.0/", hintNetwork},
		{"172.16.*", hintWildcard},
		{"*.corp.test", hintWildcard},
		{"[10.0.0.1", hintAddress},
		{"user@example.com", hintName},
		{"a..b", hintName},
		{"!", hintName},
		{"!!a", hintName},
		{".", hintName},
	} {
		t.Run(tt.entry, func(t *testing.T) {
			l, warnings := open(t, dataset.List("ok.example", tt.entry), "")
			if len(warnings) != 1 || !strings.HasPrefix(warnings[0], `csl element 2: "`+tt.entry+`" `) || !strings.HasSuffix(warnings[0], tt.want) {
				t.Errorf("got %q, want one that ends with %q", warnings, tt.want)
			}
			if _, ok := l.Match("ok.example", netip.Addr{}); !ok {
				t.Error("the good entry is lost")
			}
		})
	}
}

func TestWarningsOfTheSet(t *testing.T) {
	_, warnings := refile(t, "ok.example", "  lost.example")
	if len(warnings) != 1 || !strings.Contains(warnings[0], "hosts:2: ") {
		t.Errorf("got %q, want the set's note on line 2", warnings)
	}
}

func TestParent(t *testing.T) {
	var got []string
	for name := "a.b.example"; name != ""; name = parent(name) {
		got = append(got, name)
	}
	if diff := cmp.Diff([]string{"a.b.example", ".b.example", ".example"}, got); diff != "" {
		t.Error(diff)
	}
}

// FuzzMatch: the answer's entry is one of the list, ok if it has no "!", and an
// entry that is a plain address or network covers the client.
func FuzzMatch(f *testing.F) {
	f.Add("192.168.0.0/16,!192.168.1.0/24,.example.com", "mx.example.com", []byte{192, 168, 1, 1})
	f.Add("10.0.0.5/24,[::1],IPv6:fe80::/10,::ffff:1.2.3.4/96", "[1.2.3.4]", []byte{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16})
	f.Add("!a,a,.b", "a.b", []byte{})
	f.Fuzz(func(t *testing.T, entries, host string, address []byte) {
		set, err := dataset.Open(dataset.List(strings.Split(entries, ",")...), dataset.Options{})
		if err != nil {
			return
		}
		l, _, err := New(set)
		if err != nil {
			t.Fatal(err)
		}
		ip, _ := netip.AddrFromSlice(address)
		entry, ok := l.Match(host, ip)
		if entry == "" && !ok {
			return
		}
		if _, listed := set.Get(entry); !listed || ok == strings.HasPrefix(entry, "!") {
			t.Fatalf("%q: Match(%q, %v) = %q, %t", entries, host, ip, entry, ok)
		}
		bare := strings.TrimPrefix(entry, "!")
		if p, err := netip.ParsePrefix(bare); err == nil && !p.Addr().Is4In6() && !p.Contains(ip.Unmap()) {
			t.Errorf("%q: network %q does not hold %v", entries, entry, ip)
		}
		if a, err := netip.ParseAddr(bare); err == nil && a.Unmap().WithZone("") != ip.Unmap() {
			t.Errorf("%q: address %q is not %v", entries, entry, ip)
		}
	})
}
