package spf

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"testing"
)

// hostile answers every question from its name, so that DNS never ends.
type hostile struct {
	*zone
	txt func(name string) []string
}

func (h hostile) LookupTXT(ctx context.Context, name string) ([]string, bool, error) {
	_, _, err := h.zone.LookupTXT(ctx, name)
	return h.txt(name), false, err
}

// Whatever DNS says, the questions stay within their bounds, and findings are few and
// of a size that can be shown.
func TestBounds(t *testing.T) {
	full := func(term string) string {
		return "v=spf1" + strings.Repeat(" "+term, (MaxRecord-10)/(len(term)+1))
	}
	for _, tc := range []struct {
		name string
		txt  func(name string) []string
	}{
		{"deep", func(string) []string { return []string{"v=spf1 include:a.%{d} -all"} }},
		{"deep by redirect", func(string) []string { return []string{"v=spf1 redirect=a.%{d}"} }},
		{"wide", func(string) []string { return []string{full("include:a.%{d}")} }},
		{"wide with a", func(string) []string { return []string{full("a")} }},
		{"wide with other names", func(name string) []string {
			var b strings.Builder
			for i := range 3000 {
				fmt.Fprintf(&b, " a:h%d.example.net mx:h%d.example.net", i, i)
			}
			return []string{Version + b.String()}
		}},
		{"two each", func(string) []string { return []string{"v=spf1 include:a.%{d} include:b.%{d} -all"} }},
		{"two each, the same", func(name string) []string {
			next := fmt.Sprintf("n%d.example.net", len(name))
			return []string{fmt.Sprintf("v=spf1 include:%s include:%s -all", next+strings.Repeat("x", len(name)%40), next)}
		}},
		{"wide with addresses", func(string) []string { return []string{full("ip4:10.0.0.1")} }},
		{"wide with networks", func(string) []string { return []string{full("ip6:::/1")} }},
		{"wide with modifiers", func(string) []string { return []string{full("include=a.example")} }},
		{"wide behind all", func(string) []string { return []string{full("+all")} }},
		{"wide with ptr", func(string) []string { return []string{full("ptr:%{p}.example")} }},
		{"wide with macros", func(string) []string { return []string{"v=spf1 a:" + strings.Repeat("%{s}", 16000)} }},
		{"spoiled", func(string) []string { return []string{full("x")} }},
		{"many records", func(string) []string {
			return strings.Split(strings.Repeat("v=spf1 mx a include:example.net -all\n", 1500), "\n")
		}},
		{"many other texts", func(string) []string { return strings.Split(strings.Repeat("v=spf2 mx ~al\n", 4000), "\n") }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			z := newZone(t, "")
			h := hostile{z, tc.txt}
			r := Inspect(t.Context(), h, "example.com")
			if asked := z.asked.Load(); asked > MaxInspectQueries {
				t.Errorf("Inspect asks %d questions", asked)
			}
			if len(r.Findings) > 2*MaxTree {
				t.Errorf("%d findings", len(r.Findings))
			}
			for _, f := range r.Findings {
				if len(f.Text) > 8<<10 {
					t.Errorf("%s: a text of %d octets", f.Code, len(f.Text))
				}
			}
			z.asked.Store(0)
			Check(t.Context(), h, Query{Client: netip.MustParseAddr("192.0.2.1"), HELO: "helo.example.com", MailFrom: strings.Repeat("l.", 500) + "l@example.com"})
			if asked := z.asked.Load(); asked > MaxQueries {
				t.Errorf("Check asks %d questions", asked)
			}
		})
	}
}

// The worst that the limits allow: all look-ups with all their hosts, and the client's
// own name.
func TestMostQueries(t *testing.T) {
	z := newZone(t, "example.com TXT v=spf1"+strings.Repeat(" mx:%{p}.example.com", MaxLookups)+" -all")
	client := netip.MustParseAddr("192.0.2.1")
	for i := range 2000 {
		host := fmt.Sprintf("h%d.example.com", i)
		z.at(host).addrs = []netip.Addr{netip.MustParseAddr("192.0.2.2")}
		z.at(client.String()).ptr = append(z.at(client.String()).ptr, host)
		if i < MaxHosts {
			z.at("unknown.example.com").mx = append(z.at("unknown.example.com").mx, host)
		}
	}
	got := Check(t.Context(), z, Query{Client: client, MailFrom: "user@example.com"})
	if got.Status != Fail || z.asked.Load() != MaxQueries {
		t.Errorf("%s (%s) after %d questions, want %d", got.Status, got.Reason(), z.asked.Load(), MaxQueries)
	}
}

// FuzzInspect: over zones of any records, Inspect and Check end within their bounds,
// and a record that a finding proposes is one.
func FuzzInspect(f *testing.F) {
	f.Add("v=spf1 include:b.example.com a mx -all", "v=spf1 redirect=c.example.com", "v=spf1 include:example.com", "u@example.com")
	f.Add("v=spf1 a:%{l}.%{d} exists:%{p}.%{ir} exp=b.example.com", "%{c}", "v=spf1 +all", "a.b+c@example.com")
	f.Add("v=spf1 include:%{l}.com", "v=spf1 ~all", "spf1 -all", "")
	f.Fuzz(func(t *testing.T, first, second, third, from string) {
		z := newZone(t, "a.example.com A 192.0.2.1\nexample.com MX a.example.com\n192.0.2.1 PTR a.example.com")
		z.at("example.com").txt = []string{first}
		z.at("b.example.com").txt = []string{second}
		h := hostile{z, func(name string) []string {
			switch name {
			case "example.com":
				return []string{first}
			case "b.example.com":
				return []string{second}
			case "c.example.com":
				return []string{third, second}
			}
			return []string{third}
		}}
		client := netip.MustParseAddr("192.0.2.1")
		r := Inspect(t.Context(), h, "example.com")
		if asked := z.asked.Load(); asked > MaxInspectQueries {
			t.Fatalf("Inspect asks %d questions", asked)
		}
		r.Addresses(t.Context(), h, "c.example.com", []netip.Addr{client})
		for _, finding := range r.Findings {
			mended(t, finding.Fix)
		}
		z.asked.Store(0)
		got := Check(t.Context(), h, Query{Client: client, HELO: third, MailFrom: from})
		if asked := z.asked.Load(); asked > MaxQueries {
			t.Fatalf("Check asks %d questions", asked)
		}
		if (got.Err != nil) != (got.Status == None || got.Status == TempError || got.Status == PermError) {
			t.Fatalf("%s with the error %v", got.Status, got.Err)
		}
	})
}
