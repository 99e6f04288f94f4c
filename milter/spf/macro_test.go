package spf

import (
	"net/netip"
	"strings"
	"testing"
)

// The examples of RFC 7208 §7.4, and what stands in §7.3.
func TestMacro(t *testing.T) {
	f := facts{
		local: "strong-bad", sender: "email.example.com", domain: "email.example.com", helo: "mx.example.org",
		client: netip.MustParseAddr("192.0.2.3"), ownName: func(domain string) string { return "own." + domain },
	}
	six := f
	six.client = netip.MustParseAddr("2001:db8::cb01")
	odd := f
	odd.local, odd.helo = "a+b=c/d\x00\xff", "[192.0.2.3]"
	for _, tt := range []struct {
		facts      facts
		text, want string
	}{
		{f, "%{s}", "strong-bad@email.example.com"},
		{f, "%{o}", "email.example.com"},
		{f, "%{d}", "email.example.com"},
		{f, "%{d4}", "email.example.com"},
		{f, "%{d3}", "email.example.com"},
		{f, "%{d2}", "example.com"},
		{f, "%{d1}", "com"},
		{f, "%{dr}", "com.example.email"},
		{f, "%{d2r}", "example.email"},
		{f, "%{l}", "strong-bad"},
		{f, "%{l-}", "strong.bad"},
		{f, "%{lr}", "strong-bad"},
		{f, "%{lr-}", "bad.strong"},
		{f, "%{l1r-}", "strong"},
		{f, "%{ir}.%{v}._spf.%{d2}", "3.2.0.192.in-addr._spf.example.com"},
		{f, "%{lr-}.lp._spf.%{d2}", "bad.strong.lp._spf.example.com"},
		{f, "%{lr-}.lp.%{ir}.%{v}._spf.%{d2}", "bad.strong.lp.3.2.0.192.in-addr._spf.example.com"},
		{f, "%{ir}.%{v}.%{l1r-}.lp._spf.%{d2}", "3.2.0.192.in-addr.strong.lp._spf.example.com"},
		{f, "%{d2}.trusted-domains.example.net", "example.com.trusted-domains.example.net"},
		{six, "%{ir}.%{v}._spf.%{d2}", "1.0.b.c.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6._spf.example.com"},

		{f, "%{I}.%{V}.%{H}.%{P}", "192.0.2.3.in-addr.mx.example.org.own.email.example.com"},
		{f, "%{S}", "strong-bad%40email.example.com"},
		{f, "%{i1}.%{i2r}.%{d128}.%{d99999999999999999999}", "3.0.192.email.example.com.email.example.com"},
		{f, "%%%_%-.%{D2R-.}", "% %20.example.email"},
		{odd, "%{l1r+}.%{L}.%{l=/+}", "a.a%2Bb%3Dc%2Fd%00%FF.a.b.c.d\x00\xff"},
		{odd, "%{hr}", "3].2.0.[192"},
	} {
		m, err := parseMacro(tt.text)
		if err != nil || m.expand(tt.facts) != tt.want {
			t.Errorf("%s is %q, %v", tt.text, m.expand(tt.facts), err)
		}
	}
}

// A name that is too long loses labels on the left, and no more than it has to.
func TestShortened(t *testing.T) {
	label := strings.Repeat("a", 49) + "."
	for _, tt := range []struct{ name, want string }{
		{"example.com.", "example.com"},
		{strings.Repeat(label, 5) + "abc", strings.Repeat(label, 5) + "abc"},
		{strings.Repeat(label, 5) + "abcd", strings.Repeat(label, 4) + "abcd"},
		{strings.Repeat(label, 40) + "com", strings.Repeat(label, 5) + "com"},
		{strings.Repeat("a", 300), strings.Repeat("a", 300)},
	} {
		if got := shortened(tt.name); got != tt.want {
			t.Errorf("%d octets become %d: %s", len(tt.name), len(got), got)
		}
	}
	m, _ := parseMacro(strings.Repeat("%{d}.", 40) + "mail.example.com")
	if got := shortened(m.expand(facts{domain: "t.example.com"})); len(got) > maxName || len(got) <= maxName-len("t.example.com.") || !strings.HasSuffix(got, ".t.example.com.mail.example.com") {
		t.Errorf("%d octets: %s", len(got), got)
	}
}
