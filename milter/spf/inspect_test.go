package spf

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/miekg/dns"
	"github.com/postseal/postseal/milter/finding"
	"github.com/postseal/postseal/milter/resolver"
)

// inspected is what stands beside a record in these tests.
const inspected = `
	a.example.net A 192.0.2.7
	a.example.net AAAA 2001:db8::7
	one.example.net TXT v=spf1 ip4:198.51.100.1 -all
	two.example.net TXT v=spf1 a:a.example.net include:one.example.net ~all
	five.example.net TXT v=spf1 include:two.example.net a:a.example.net mx:mail.example.net -all
	mail.example.net MX mx.example.net
	all.example.net TXT v=spf1 +all
	twice.example.net TXT v=spf1 -all
	twice.example.net TXT v=spf1 ~all
	spoiled.example.net TXT v=spf1 ipv4:192.0.2.1 -all
	back.example.net TXT v=spf1 include:example.com -all
	text.example.net TXT See https://example.com/spf for %{i}
	badtext.example.net TXT See %{i
	trouble.example.net FAIL
	crowd.example.net MX m1.example.net
	crowd.example.net MX m2.example.net
	crowd.example.net MX m3.example.net
	crowd.example.net MX m4.example.net
	crowd.example.net MX m5.example.net
	crowd.example.net MX m6.example.net
	crowd.example.net MX m7.example.net
	crowd.example.net MX m8.example.net
	crowd.example.net MX m9.example.net
	crowd.example.net MX m10.example.net
	crowd.example.net MX m11.example.net
	v4.example.net A 192.0.2.4
	ptr.example.net TXT v=spf1 ptr -all
`

func TestInspect(t *testing.T) {
	long := "v=spf1 ip4:192.0.2.1 " + strings.Repeat("x=1234567 ", 30) + "-all"
	longer := "v=spf1 ip4:192.0.2.1 " + strings.Repeat("x=1234567 ", 44) + "-all"
	longest := "v=spf1 ip4:192.0.2.1 " + strings.Repeat("x=1234567 ", 50) + "-all"
	for _, tc := range []struct {
		name, record string
		codes        string // of all findings, with their level's first letter
		fix          string // stands in the Fix of the first
	}{
		{"sound, strict", "v=spf1 ip4:192.0.2.1 -all", "", ""},
		{"sound, soft", "v=spf1 ip4:192.0.2.1 ip6:2001:db8::1 ~all", "", ""},
		{"upper case", "v=spf1 IP4:192.0.2.1 A:a.Example.NET INCLUDE:one.example.net -ALL", "", ""},
		{"redirect", "v=spf1 redirect=two.example.net", "", ""},
		{"unknown modifier", "v=spf1 x-note=1 ip4:192.0.2.1 -all", "", ""},
		{"other host on behalf of the mail", "v=spf1 exists:%{i}._spf.%{d} include:%{l}.example.net -all", "", ""},

		{"version in upper case", "V=SPF1 ip4:192.0.2.1 -all", "N version-case", `"v=spf1 ip4:192.0.2.1 -all"`},
		{"syntax", "v=spf1 ipv4:192.0.2.1 -all", "P syntax", `Publish example.com. TXT "v=spf1 ip4:192.0.2.1 -all"`},
		{"two errors, one mended", "v=spf1 ipv4:192.0.2.1 foo -all", "P syntax, P syntax", `Write ip4:192.0.2.1 in place of "ipv4:192.0.2.1"`},
		{"equals sign", "v=spf1 include=one.example.net ip4=192.0.2.9 -all", "P not-a-modifier", `"v=spf1 include:one.example.net ip4:192.0.2.9 -all"`},
		{"two records in one", "v=spf1 ip4:192.0.2.1 v=spf1 ip4:192.0.2.2 -all", "W not-a-modifier", `"v=spf1 ip4:192.0.2.1 ip4:192.0.2.2 -all"`},

		{"pass all", "v=spf1 mx:mail.example.net +all", "P pass-all", `"v=spf1 mx:mail.example.net ~all"`},
		{"pass all without sign", "v=spf1 all", "P pass-all", `"v=spf1 ~all"`},
		{"whole Internet", "v=spf1 ip4:0.0.0.0/0 -all", "P pass-all", `"v=spf1 -all"`},
		{"included pass all", "v=spf1 include:all.example.net -all", "P pass-all", `"v=spf1 -all"`},
		{"included pass all that refuses", "v=spf1 -include:all.example.net ~all", "", ""},
		{"neutral all", "v=spf1 ip4:192.0.2.1 ?all", "W neutral-all", `"v=spf1 ip4:192.0.2.1 ~all"`},
		{"no end", "v=spf1 ip4:192.0.2.1", "W no-end", `"v=spf1 ip4:192.0.2.1 ~all"`},
		{"after all", "v=spf1 ip4:192.0.2.1 -all exp=text.example.net ip4:192.0.2.2", "W after-all", `"v=spf1 ip4:192.0.2.1 exp=text.example.net ip4:192.0.2.2 -all"`},
		{"after all, another all", "v=spf1 ip4:192.0.2.1 -all ~all", "W after-all", `"v=spf1 ip4:192.0.2.1 -all"`},
		{"after pass all", "v=spf1 +all ip4:192.0.2.1", "P pass-all", `"v=spf1 ip4:192.0.2.1 ~all"`},
		{"redirect beside all", "v=spf1 redirect=one.example.net ~all", "W after-all", `"v=spf1 ~all"`},
		{"look-ups after all do not count", "v=spf1 include:five.example.net -all a:a.example.net mx:mail.example.net include:one.example.net", "W after-all", "let them stand before -all. "},

		{"ptr", "v=spf1 ptr ip4:192.0.2.1 -all", "W ptr", `"v=spf1 ip4:192.0.2.1 -all"`},
		{"p macro", "v=spf1 exists:%{p}.example.net -all", "W ptr", `"v=spf1 -all"`},
		{"ptr of others", "v=spf1 include:ptr.example.net -all", "", ""},
		{"duplicates", "v=spf1 ip4:192.0.2.1 IP4:192.0.2.1/32 ip4:192.0.2.1 -all", "W duplicate", `"v=spf1 ip4:192.0.2.1 -all"`},
		{"private addresses", "v=spf1 ip4:10.0.0.0/8 ip4:192.168.1.1 ip4:100.64.0.1 ip4:127.0.0.1 ip6:fe80::1 ip6:fd00::1 ip4:192.0.2.1 -all", "W not-public", `"v=spf1 ip4:192.0.2.1 -all"`},
		{"private address", "v=spf1 ip4:192.168.1.1 ip4:192.0.2.1 -all", "W not-public", `"v=spf1 ip4:192.0.2.1 -all"`},
		{"wide network", "v=spf1 ip4:32.0.0.0/11 ip6:2000::/19 ip4:32.0.0.0/12 ip6:2600::/20 -all", "W wide-network", `"v=spf1 ip4:32.0.0.0/12 ip6:2600::/20 -all"`},
		{"whole Internet, refused", "v=spf1 ?ip4:0.0.0.0/0 -all", "", ""},
		{"mapped", "v=spf1 ip6:::ffff:192.0.2.1 -all", "W mapped", `"v=spf1 ip4:192.0.2.1 -all"`},
		{"several strings", long, "", ""},
		{"450 octets", longer, "N long", "include:"},
		{"512 octets", longest, "W long", "include:"},

		{"nine", "v=spf1 include:five.example.net a:a.example.net mx:mail.example.net -all", "", ""},
		{"nine look-ups", "v=spf1 include:five.example.net a:a.example.net mx:mail.example.net include:one.example.net -all", "W many-lookups", "include:five.example.net takes most: 6."},
		{"eleven look-ups", "v=spf1 include:five.example.net include:two.example.net a:a.example.net mx:mail.example.net -all", "P too-many-lookups", "include:five.example.net takes most: 6."},
		{"two void", "v=spf1 a:nil.example.net mx:nil.example.net -all", "W void", `"v=spf1 -all"`},
		{"three void", "v=spf1 a:nil.example.net mx:nil.example.net exists:nil.example.net -all", "P too-many-voids", `"v=spf1 -all"`},
		{"void for IPv6 alone", "v=spf1 a:v4.example.net a:v4.example.net/24 a:v4.example.net/16 ip6:2001:db8::1 -all", "N void", "ip6:"},
		{"loop", "v=spf1 ip4:192.0.2.1 include:example.com -all", "P loop", `"v=spf1 ip4:192.0.2.1 -all"`},
		{"redirect loop", "v=spf1 ip4:192.0.2.1 redirect=example.com", "P loop", `"v=spf1 ip4:192.0.2.1"`},
		{"loop further down", "v=spf1 include:back.example.net -all", "P loop", "keep the record of back.example.net"},
		{"include of nothing", "v=spf1 include:nil.example.net -all", "P bad-include", `"v=spf1 -all"`},
		{"include of two", "v=spf1 include:twice.example.net -all", "P bad-include", ""},
		{"include of a spoiled one", "v=spf1 include:spoiled.example.net -all", "P bad-include", ""},
		{"redirect to nothing", "v=spf1 redirect=nil.example.net", "P bad-include", ""},
		{"include of no name", "v=spf1 include:a..example.net -all", "P bad-include", ""},
		{"DNS in trouble", "v=spf1 include:trouble.example.net a:trouble.example.net mx:trouble.example.net -all", "W lookup-failed", "--nameserver"},
		{"eleven MX hosts", "v=spf1 mx:crowd.example.net -all", "P many-hosts", "ip4:"},
		{"explanation", "v=spf1 -all exp=text.example.net", "", ""},
		{"explanation that is spoiled", "v=spf1 -all exp=badtext.example.net", "N explanation", `"v=spf1 -all"`},
		{"explanation that is missing", "v=spf1 -all exp=nil.example.net", "N explanation", `"v=spf1 -all"`},
		{"explanation in trouble", "v=spf1 -all exp=trouble.example.net", "", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			z := newZone(t, inspected)
			z.at("example.com").txt = []string{"site-verification=1", tc.record}
			r := Inspect(t.Context(), z, "example.com")
			if got := codes(r.Findings); got != tc.codes {
				t.Fatalf("%s, want %s\n%s", got, tc.codes, told(r.Findings))
			}
			if tc.codes != "" && !strings.Contains(r.Findings[0].Fix, tc.fix) {
				t.Errorf("the fix is %s, want %s", r.Findings[0].Fix, tc.fix)
			}
			for _, f := range r.Findings {
				record, ok := mended(t, f.Fix)
				if !ok {
					continue
				}
				z := newZone(t, inspected)
				z.at("example.com").txt = []string{record}
				after := Inspect(t.Context(), z, "example.com")
				if after.Has(f.Code) || after.Findings.Worst() == finding.Problem && r.Findings.Worst() != finding.Problem {
					t.Errorf("%s: %s\nleaves %s", f.Code, f.Fix, told(after.Findings))
				}
			}
		})
	}
}

func codes(list finding.List) string {
	var out []string
	for _, f := range list {
		out = append(out, strings.ToUpper(string(f.Level[:1]))+" "+string(f.Code))
	}
	return strings.Join(out, ", ")
}

func told(list finding.List) string {
	var b strings.Builder
	for _, f := range list {
		fmt.Fprintf(&b, "%s %s: %s | %s | %s\n", f.Level, f.Code, f.Text, f.Effect, f.Fix)
	}
	return b.String()
}

// mended is the record at the end of a Fix, which must be sound unless the Fix says what
// is to be corrected in it first.
func mended(t *testing.T, fix string) (record string, ok bool) {
	t.Helper()
	at := strings.LastIndex(fix, `. TXT "`)
	if at < 0 || strings.HasPrefix(fix, "Correct ") {
		return "", false
	}
	rr, err := dns.NewRR(fix[strings.LastIndexByte(fix[:at], ' ')+1:])
	if err != nil {
		t.Errorf("the fix is no line of a zone file: %s: %v", fix, err)
		return "", false
	}
	record = resolver.Text(rr.(*dns.TXT))
	if _, errs := Parse(record); len(errs) > 0 {
		t.Errorf("the fix is no record: %s: %v", record, errs[0])
	}
	return record, true
}

func TestInspectWithoutRecord(t *testing.T) {
	for _, tc := range []struct{ name, zone, codes, fix string }{
		{"nothing", ``, "P no-record", `example.com. TXT "v=spf1 mx ~all"`},
		{"other text", `example.com TXT google-site-verification=abc`, "P no-record", ""},
		{"Sender ID", `example.com TXT spf2.0/pra ip4:192.0.2.1 -all`, "P no-record", ""},
		{"text about SPF", `example.com TXT spf is published at our provider`, "P no-record", ""},
		{"two", "example.com TXT v=spf1 ip4:192.0.2.1 mx -all\nexample.com TXT v=spf1 mx include:one.example.net ~all", "P several-records", `"v=spf1 ip4:192.0.2.1 mx include:one.example.net ~all"`},
		{"two strict", "example.com TXT v=spf1 a -all\nexample.com TXT v=spf1 redirect=one.example.net", "P several-records", `"v=spf1 a include:one.example.net -all"`},
		{"two open", "example.com TXT v=spf1 a +all\nexample.com TXT v=spf1 mx", "P several-records", `"v=spf1 a mx ~all"`},
		{"two spoiled", "example.com TXT v=spf1 ipv4:192.0.2.1 -all\nexample.com TXT v=spf1 mx -all", "P several-records", `"v=spf1 ip4:192.0.2.1 mx -all"`},
		{"version 2", `example.com TXT v=spf2 ip4:192.0.2.1 -all`, "P bad-version", `"v=spf1 ip4:192.0.2.1 -all"`},
		{"no v=", `example.com TXT spf1 ip4:192.0.2.1 -all`, "P bad-version", `"v=spf1 ip4:192.0.2.1 -all"`},
		{"blanks around =", `example.com TXT v = spf1 ip4:192.0.2.1 -all`, "P bad-version", `"v=spf1 ip4:192.0.2.1 -all"`},
		{"semicolon", `example.com TXT v=spf1; ip4:192.0.2.1 -all`, "P bad-version", `"v=spf1 ip4:192.0.2.1 -all"`},
		{"quotes", `example.com TXT "v=spf1 ip4:192.0.2.1 -all"`, "P bad-version", `"v=spf1 ip4:192.0.2.1 -all"`},
		{"no version", `example.com TXT ip4:192.0.2.1 include:one.example.net ~all`, "P bad-version", `"v=spf1 ip4:192.0.2.1 include:one.example.net ~all"`},
		{"at _spf", `_spf.example.com TXT v=spf1 -all`, "P misplaced", `"v=spf1 -all"`},
		{"domain twice", `example.com.example.com TXT v=spf1 -all`, "P misplaced", `"v=spf1 -all"`},
		{"type 99", `example.com SPF v=spf1 mx -all`, "P wrong-type", `"v=spf1 mx -all"`},
		{"trouble", `example.com FAIL`, "P lookup-failed", "--nameserver"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := Inspect(t.Context(), newZone(t, tc.zone), "Example.COM.")
			if got := codes(r.Findings); got != tc.codes || r.Domain != "example.com" || r.Record != nil {
				t.Fatalf("%s: %s, want %s\n%s", r.Domain, got, tc.codes, told(r.Findings))
			}
			if !strings.Contains(r.Findings[0].Fix, tc.fix) {
				t.Errorf("the fix is %s, want %s", r.Findings[0].Fix, tc.fix)
			}
			mended(t, r.Findings[0].Fix)
		})
	}
}

func TestInspectBadName(t *testing.T) {
	for _, name := range []string{"", "localhost", "a..example", "exa mple.com", "\x1b[2J.example", strings.Repeat("a", 64) + ".example"} {
		z := newZone(t, "")
		if r := Inspect(t.Context(), z, name); codes(r.Findings) != "P bad-name" || z.asked.Load() != 0 {
			t.Errorf("%q: %s after %d questions", name, codes(r.Findings), z.asked.Load())
		}
	}
}

// The tree shows each term with its own cost and that of all below it.
func TestTree(t *testing.T) {
	z := newZone(t, inspected)
	z.at("example.com").txt = []string{"v=spf1 a:nil.example.net include:five.example.net exists:%{i}.example.net include:trouble.example.net -all"}
	r := Inspect(t.Context(), z, "example.com")
	var b strings.Builder
	var draw func(n *Node, depth int)
	draw = func(n *Node, depth int) {
		fmt.Fprintf(&b, "%*s%s %s %d %d %v %s\n", depth, "", n.Term, n.Name, n.Cost, n.Lookups, n.Void, n.Trouble)
		for _, c := range n.Below {
			draw(c, depth+1)
		}
	}
	draw(r.Tree, 0)
	const want = ` example.com 0 9 false 
 a:nil.example.net nil.example.net 1 1 true 
 include:five.example.net five.example.net 1 6 false 
  include:two.example.net two.example.net 1 3 false 
   a:a.example.net a.example.net 1 1 false 
   include:one.example.net one.example.net 1 1 false 
  a:a.example.net a.example.net 1 1 false 
  mx:mail.example.net mail.example.net 1 1 false 
 exists:%{i}.example.net  1 1 false depends on the mail
 include:trouble.example.net trouble.example.net 1 1 false DNS gives no answer
`
	if b.String() != want || r.Lookups != 9 || r.Voids != 1 {
		t.Errorf("%d look-ups, %d void\n%s", r.Lookups, r.Voids, b.String())
	}
	if got := codes(r.Findings); got != "W many-lookups, W lookup-failed, W void" {
		t.Error(told(r.Findings))
	}
}

func TestAddresses(t *testing.T) {
	machine := []netip.Addr{netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("2001:db8::1"), netip.MustParseAddr("::ffff:192.0.2.1"),
		netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("127.0.0.1"), netip.MustParseAddr("fe80::1%eth0")}
	for _, tc := range []struct{ name, record, more, codes, fix string }{
		{"both pass", "v=spf1 ip4:192.0.2.0/24 ip6:2001:db8::/32 -all", "", "", ""},
		{"neither", "v=spf1 ip4:198.51.100.1 -all", "", "P not-allowed", `"v=spf1 ip4:198.51.100.1 ip4:192.0.2.1 ip6:2001:db8::1 -all"`},
		{"IPv6 is missing", "v=spf1 a:a.example.net ip4:192.0.2.1 ~all", "", "P not-allowed", `"v=spf1 a:a.example.net ip4:192.0.2.1 ip6:2001:db8::1 ~all"`},
		{"neutral", "v=spf1 redirect=else.example.net", "else.example.net TXT v=spf1 ?all", "P not-allowed", `"v=spf1 ip4:192.0.2.1 ip6:2001:db8::1 redirect=else.example.net"`},
		{"two records", "v=spf1 -all", "example.com TXT v=spf1 ~all", "P several-records", ""},
		{"no record", "", "", "P no-record", ""},
		{"spoiled", "v=spf1 ip4 -all", "", "P syntax", ""},
		{"bad include first", "v=spf1 include:nil.example.net ip4:192.0.2.1 -all", "", "P bad-include", ""},
		{"DNS in trouble", "v=spf1 include:trouble.example.net -all", "trouble.example.net FAIL", "W lookup-failed", ""},
		{"spoiled by the mail", "v=spf1 include:%{i}.example.net -all", "", "P not-allowed, P not-allowed", `"v=spf1 ip4:192.0.2.1 include:%{i}.example.net -all"`},
		{"HELO passes", "v=spf1 +ip4:192.0.2.1 ip6:2001:db8::1 -all", "mx.example.com TXT v=spf1 ip4:192.0.2.1 ip6:2001:db8::1 -all", "", ""},
		{"HELO fails", "v=spf1 +ip4:192.0.2.1 ip6:2001:db8::1 -all", "mx.example.com TXT v=spf1 ip4:192.0.2.1 -all", "P helo-not-allowed", `Publish mx.example.com. TXT "v=spf1 ip4:192.0.2.1 ip6:2001:db8::1 -all"`},
		{"HELO in trouble", "v=spf1 +ip4:192.0.2.1 ip6:2001:db8::1 -all", "mx.example.com FAIL", "", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			z := newZone(t, "a.example.net A 192.0.2.7\na.example.net AAAA 2001:db8::7\n"+tc.more)
			if tc.record != "" {
				z.at("example.com").txt = append(z.at("example.com").txt, tc.record)
			}
			r := Inspect(t.Context(), z, "example.com")
			before := len(r.Findings)
			added := r.Addresses(t.Context(), z, "mx.example.com", machine)
			if got := codes(r.Findings); got != tc.codes || len(added) != len(r.Findings)-before {
				t.Fatalf("%s, want %s\n%s", got, tc.codes, told(r.Findings))
			}
			if tc.codes != "" && !strings.Contains(r.Findings[0].Fix, tc.fix) {
				t.Errorf("the fix is %s, want %s", r.Findings[0].Fix, tc.fix)
			}
			for _, f := range added {
				mended(t, f.Fix)
			}
		})
	}
}

func TestPropose(t *testing.T) {
	addrs := []netip.Addr{netip.MustParseAddr("2001:db8::1"), netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.168.0.1"), netip.MustParseAddr("192.0.2.1")}
	for _, tc := range []struct {
		name     string
		addrs    []netip.Addr
		existing string
		want     string
		note     string // stands in the note
	}{
		{"new", addrs, "", "v=spf1 ip4:192.0.2.1 ip6:2001:db8::1 ~all", "DMARC reports"},
		{"no public address", addrs[2:3], "", "v=spf1 mx ~all", "no public address"},
		{"none at all", nil, "", "v=spf1 mx ~all", "no public address"},
		{"stands, as it is", addrs, "V=spf1  ip4:192.0.2.0/24   ip6:2001:db8::/32 -all ", "V=spf1  ip4:192.0.2.0/24   ip6:2001:db8::/32 -all ", ""},
		{"before all", addrs, "v=spf1 MX include:_spf.example.net -all", "v=spf1 MX include:_spf.example.net ip4:192.0.2.1 ip6:2001:db8::1 -all", ""},
		{"one is missing", addrs, "v=spf1 ip4:192.0.2.1 ~all exp=x.example.net", "v=spf1 ip4:192.0.2.1 ip6:2001:db8::1 ~all exp=x.example.net", ""},
		{"refused by address", addrs[1:2], "v=spf1 mx -ip4:192.0.2.0/24 +all", "v=spf1 mx ip4:192.0.2.1 -ip4:192.0.2.0/24 +all", ""},
		{"without all", addrs[1:2], "v=spf1 mx", "v=spf1 mx ip4:192.0.2.1", ""},
		{"redirect", addrs[1:2], "v=spf1 redirect=example.net", "v=spf1 ip4:192.0.2.1 redirect=example.net", ""},
		{"mended", addrs[1:2], "v=spf1 ipv4:192.0.2.9 -all", "v=spf1 ip4:192.0.2.9 ip4:192.0.2.1 -all", "mends it"},
		{"beyond mending", addrs[1:2], "v=spf1 what -all", "v=spf1 what -all", "Mend it first"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			record, note := Propose(tc.addrs, tc.existing)
			if record != tc.want || !strings.Contains(note, tc.note) || tc.note == "" && note != "" {
				t.Errorf("%q, %q", record, note)
			}
			if again, _ := Propose(tc.addrs, record); again != record {
				t.Errorf("%q at the second time", again)
			}
		})
	}
}
