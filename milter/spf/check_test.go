package spf

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"testing"
)

// world is the DNS in which the cases of TestCheck ask.
const world = `
	mail.example.com A 192.0.2.10
	mail.example.com AAAA 2001:db8::10
	v4.example.com A 192.0.2.4
	v6.example.com AAAA 2001:db8::6
	example.com MX mail.example.com
	example.com MX v4.example.com
	null.example.com MX .
	empty.example.com MX nil.example.com
	broken.example.com MX trouble.example.com
	192.0.2.10 PTR mail.example.com.
	192.0.2.10 PTR other.example.net
	192.0.2.66 PTR mail.example.com
	192.0.2.67 FAIL
	2001:db8::10 PTR mail.example.com
	192.0.2.68 PTR trouble.example.com
	trouble.example.com FAIL
	pass.example.net TXT v=spf1 ip4:192.0.2.10 -all
	soft.example.net TXT v=spf1 ~all
	neutral.example.net TXT v=spf1 ?all
	silent.example.net TXT v=spf1
	spoiled.example.net TXT v=spf1 -all nonsense
	twice.example.net TXT v=spf1 -all
	twice.example.net TXT V=SPF1 ~all
	other.example.net TXT v=spf10 +all
	odd/name:x.example.com A 192.0.2.10
	xn--bcher-kva.example TXT v=spf1 ip4:192.0.2.10 -all
	10.2.0.192.in-addr.rbl.example.com A 127.0.0.2
	0.1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.rbl.example.com A 127.0.0.2
	user.who.example.com A 127.0.0.2
	user%2Blist.who.example.com A 127.0.0.2
	mail.example.com.own.example.com A 127.0.0.2
	unknown.own.example.com A 127.0.0.2
	alias.example.com CNAME v4.example.com
`

// The cases are in the order of RFC 7208. Where a case has no sender, the domain is
// t.example.com, whose record is given; the client is 192.0.2.10 where none is named.
func TestCheck(t *testing.T) {
	long := strings.Repeat("a", 64)
	for _, tc := range []struct {
		name   string
		record string
		client string
		from   string
		want   Status
		reason string // stands in the reason
	}{
		// §2.4, §4.3: whom is asked for.
		{"no local part", "v=spf1 exists:%{l}.ok.t.example.com -all", "", "@t.example.com", Pass, "exists"},
		{"null sender", "", "", "<>", None, "helo.example.com has no SPF record"},
		{"at sign in the local part", "v=spf1 ip4:192.0.2.10 -all", "", `"a@b"@t.example.com`, Pass, ""},
		{"single label", "", "", "user@localhost", None, "single label"},
		{"empty label", "", "", "user@a..example.com", None, "no domain name"},
		{"long label", "", "", "user@" + long + ".example.com", None, "no domain name"},
		{"long name", "", "", "user@" + strings.Repeat("abcdefg.", 32) + "com", None, "no domain name"},
		{"domain literal", "", "", "user@[192.0.2.10]", None, "no domain name"},
		{"control character", "", "", "user@a\x1b.example.com", None, `\x1b`},
		{"U-label", "", "", "user@bücher.example", Pass, "ip4:192.0.2.10 in the record of xn--bcher-kva.example"},
		{"final dot", "v=spf1 -all", "", "user@t.example.com.", Fail, ""},
		{"upper case", "v=spf1 -all", "", "user@T.Example.COM", Fail, ""},

		// §4.4: record look-up.
		{"DNS in trouble", "", "", "user@trouble.example.com", TempError, "SERVFAIL"},
		{"no such name", "", "", "user@nil.example.com", None, "has no SPF record"},
		// §4.5: selecting records.
		{"another version", "", "", "user@other.example.net", None, "has no SPF record"},
		{"two records", "", "", "user@twice.example.net", PermError, "has 2 SPF records"},
		{"version alone", "v=spf1", "", "", Neutral, "no mechanism in the record of t.example.com matches"},
		{"version in upper case", "V=SpF1 -all", "", "", Fail, "-all in the record of t.example.com"},
		{"blank before", " v=spf1 -all", "", "", None, ""},
		{"tab behind the version", "v=spf1\t-all", "", "", None, ""},

		// §4.6: a syntax error anywhere counts, also behind a match and behind all.
		{"error behind a match", "v=spf1 ip4:192.0.2.10 nonsense", "", "", PermError, `character 23, "nonsense"`},
		{"error behind all", "v=spf1 -all ip4", "", "", PermError, "ip4 needs an address"},
		{"error in a record that is not reached", "v=spf1 ip4:192.0.2.10 include:spoiled.example.net -all", "", "", Pass, ""},
		{"error in an included record", "v=spf1 include:spoiled.example.net ip4:192.0.2.10 -all", "", "", PermError, "include:spoiled.example.net in the record of t.example.com"},
		{"control character between terms", "v=spf1 ip4:192.0.2.10\r-all", "", "", PermError, `"\r"`},
		{"octet beyond ASCII", "v=spf1 ip4:192.0.2.10 \x80all", "", "", PermError, `"\x80"`},
		{"BOM", "v=spf1 a:\ufeffmail.example.com -all", "", "", PermError, ""},
		{"NUL", "v=spf1 a:mail.example.com\x00 -all", "", "", PermError, ""},
		{"blanks", "v=spf1   ip4:192.0.2.10   -all  ", "", "", Pass, ""},
		{"unknown mechanism", "v=spf1 ipv4:192.0.2.10 -all", "", "", PermError, "no mechanism"},
		{"qualifier alone", "v=spf1 - all", "", "", PermError, ""},
		{"two qualifiers", "v=spf1 +-all", "", "", PermError, ""},
		// §4.6.1, §6: modifiers.
		{"unknown modifier", "v=spf1 x.y-z_0=a:b/c ip4:192.0.2.10 -all", "", "", Pass, ""},
		{"empty modifier", "v=spf1 x= -all", "", "", Fail, ""},
		{"modifier with a digit in front", "v=spf1 1x=a -all", "", "", PermError, ""},
		{"modifier without a name", "v=spf1 =a -all", "", "", PermError, ""},
		{"modifier with a slash", "v=spf1 x/y=a -all", "", "", PermError, ""},
		{"modifier with a macro that is none", "v=spf1 -all x=%a", "", "", PermError, "%"},
		{"qualified modifier", "v=spf1 ip4:192.0.2.10 -x=a", "", "", PermError, ""},
		{"redirect with a colon", "v=spf1 ip4:192.0.2.10 redirect:pass.example.net", "", "", PermError, ""},
		// §4.6.2: qualifiers.
		{"plus", "v=spf1 +ip4:192.0.2.10 -all", "", "", Pass, "+ip4:192.0.2.10"},
		{"minus", "v=spf1 -ip4:192.0.2.10 +all", "", "", Fail, ""},
		{"tilde", "v=spf1 ~ip4:192.0.2.10 +all", "", "", SoftFail, ""},
		{"question mark", "v=spf1 ?ip4:192.0.2.10 +all", "", "", Neutral, "?ip4:192.0.2.10 in the record"},
		// §4.7: default.
		{"nothing matches", "v=spf1 ip4:192.0.2.11", "", "", Neutral, "no mechanism"},

		// §4.6.4: limits.
		{"ten look-ups", "v=spf1" + strings.Repeat(" a:v4.example.com", 10) + " ip4:192.0.2.10 -all", "", "", Pass, ""},
		{"eleven look-ups", "v=spf1" + strings.Repeat(" a:v4.example.com", 11) + " ip4:192.0.2.10 -all", "", "", PermError, "look-up 11"},
		{"eleven look-ups behind a match", "v=spf1 ip4:192.0.2.10" + strings.Repeat(" a:v4.example.com", 11) + " -all", "", "", Pass, ""},
		{"loop", "v=spf1 include:t.example.com", "", "", PermError, "look-up 11"},
		{"redirect loop", "v=spf1 redirect=t.example.com", "", "", PermError, "look-up 11"},
		{"two void", "v=spf1 a:nil.example.com mx:nil.example.com ip4:192.0.2.10 -all", "", "", Pass, ""},
		{"three void", "v=spf1 a:nil.example.com mx:nil.example.com exists:nil.example.com ip4:192.0.2.10 -all", "", "", PermError, "finds nothing"},
		{"void in the family of the client", "v=spf1" + strings.Repeat(" a:v6.example.com", 3) + " ip4:192.0.2.10 -all", "", "", PermError, "finds nothing"},
		{"not void in the family of the client", "v=spf1" + strings.Repeat(" a:v6.example.com", 3) + " ip6:2001:db8::10 -all", "2001:db8::10", "", Pass, ""},
		{"null MX is no void", "v=spf1" + strings.Repeat(" mx:null.example.com", 3) + " -all", "", "", Fail, ""},

		// §4.8: names from domain-specs.
		{"empty label in a name", "v=spf1 a:mail..example.com -all", "", "", Fail, ""},
		{"long label in a name", "v=spf1 a:" + long + ".example.com -all", "", "", Fail, ""},
		{"final dot in a name", "v=spf1 a:mail.example.com. -all", "", "", Pass, ""},
		{"include of no name", "v=spf1 include:a..example.com -all", "", "", PermError, ""},
		{"slash and colon in a name", "v=spf1 a:odd/name:x.example.com/32 -all", "", "", Pass, ""},

		// §5.1: all.
		{"all with a dot", "v=spf1 -all.", "", "", PermError, ""},
		{"all with a value", "v=spf1 -all:t.example.com", "", "", PermError, ""},
		{"all with a length", "v=spf1 -all/8", "", "", PermError, ""},
		{"what is behind all", "v=spf1 ?all ip4:192.0.2.10", "", "", Neutral, ""},
		// §5.2: include.
		{"include that passes", "v=spf1 include:pass.example.net -all", "", "", Pass, "ip4:192.0.2.10 in the record of pass.example.net"},
		{"refusing include that passes", "v=spf1 -include:pass.example.net +all", "", "", Fail, "ip4:192.0.2.10 in the record of pass.example.net"},
		{"include that fails", "v=spf1 include:pass.example.net ~all", "192.0.2.11", "", SoftFail, "~all in the record of t.example.com"},
		{"include that is soft", "v=spf1 include:soft.example.net -all", "", "", Fail, ""},
		{"include that is neutral", "v=spf1 include:neutral.example.net -all", "", "", Fail, ""},
		{"include that matches nothing", "v=spf1 include:silent.example.net -all", "", "", Fail, ""},
		{"include without record", "v=spf1 include:nil.example.com ip4:192.0.2.10 -all", "", "", PermError, "nil.example.com has no SPF record"},
		{"include of two records", "v=spf1 include:twice.example.net -all", "", "", PermError, "2 SPF records"},
		{"include in trouble", "v=spf1 include:trouble.example.com -all", "", "", TempError, "SERVFAIL"},
		{"include without domain", "v=spf1 ip4:192.0.2.10 include", "", "", PermError, ""},
		{"include with empty domain", "v=spf1 ip4:192.0.2.10 include:", "", "", PermError, ""},
		{"include with a length", "v=spf1 include:pass.example.net/24", "", "", PermError, ""},
		// §5.3: a.
		{"a of the domain itself", "v=spf1 a -all", "192.0.2.99", "", Pass, "a in the record of t.example.com"},
		{"a", "v=spf1 a:mail.example.com -all", "", "", Pass, ""},
		{"a with IPv6", "v=spf1 a:mail.example.com -all", "2001:db8::10", "", Pass, ""},
		{"a with an IPv4-mapped client", "v=spf1 a:mail.example.com -all", "::ffff:192.0.2.10", "", Pass, ""},
		{"a of the other family", "v=spf1 a:v6.example.com -all", "", "", Fail, ""},
		{"a with a length", "v=spf1 a:mail.example.com/24 -all", "192.0.2.200", "", Pass, ""},
		{"a with length 0", "v=spf1 a:mail.example.com/0 -all", "203.0.113.1", "", Pass, ""},
		{"a with length 0 of the other family", "v=spf1 a:v6.example.com/0 -all", "203.0.113.1", "", Fail, ""},
		{"a with both lengths", "v=spf1 a:mail.example.com/32//64 -all", "2001:db8::ffff", "", Pass, ""},
		{"a with the other length", "v=spf1 a:mail.example.com/24 -all", "2001:db8::ffff", "", Fail, ""},
		{"a over a CNAME", "v=spf1 a:alias.example.com -all", "192.0.2.4", "", Pass, ""},
		{"a in trouble", "v=spf1 a:trouble.example.com +all", "", "", TempError, "a:trouble.example.com"},
		{"a with 33 bits", "v=spf1 a/33 -all", "", "", PermError, "above 32"},
		{"a with 129 bits", "v=spf1 a//129 -all", "", "", PermError, "above 128"},
		{"a with a zero in front", "v=spf1 a/024 -all", "", "", PermError, "zero"},
		{"a with one slash too few", "v=spf1 a/24/64 -all", "", "", PermError, ""},
		{"a with an endless length", "v=spf1 a/99999999999999999999 -all", "", "", PermError, ""},
		{"a with an empty domain", "v=spf1 a: -all", "", "", PermError, ""},
		{"a with a top-level domain alone", "v=spf1 a:example -all", "", "", PermError, "two labels"},
		{"a with a numeric end", "v=spf1 a:example.123 -all", "", "", PermError, "top-level"},
		{"a with an address", "v=spf1 a:192.0.2.10 -all", "", "", PermError, "top-level"},
		{"a with a hyphen in front of the end", "v=spf1 a:example.-com -all", "", "", PermError, ""},
		{"a with a hyphen at the end", "v=spf1 a:example.com- -all", "", "", PermError, ""},
		{"a with an A-label at the end", "v=spf1 a:example.xn--p1ai ip4:192.0.2.10 -all", "", "", Pass, ""},
		{"a with a port", "v=spf1 a:mail.example.com:25 -all", "", "", PermError, ""},
		// §5.4: mx.
		{"mx", "v=spf1 mx:example.com -all", "192.0.2.4", "", Pass, ""},
		{"mx with IPv6", "v=spf1 mx:example.com//64 -all", "2001:db8::1", "", Pass, ""},
		{"mx without MX does not mean a", "v=spf1 mx:mail.example.com -all", "", "", Fail, ""},
		{"null MX", "v=spf1 mx:null.example.com/0 -all", "", "", Fail, ""},
		{"mx without addresses", "v=spf1 mx:empty.example.com/0 -all", "", "", Fail, ""},
		{"mx in trouble", "v=spf1 mx:trouble.example.com +all", "", "", TempError, ""},
		{"mx host in trouble", "v=spf1 mx:broken.example.com +all", "", "", TempError, "mx:broken.example.com"},
		{"ten MX hosts", "v=spf1 mx:ten.example.com -all", "", "", Pass, ""},
		{"eleven MX hosts", "v=spf1 mx:eleven.example.com -all", "", "", PermError, "more than 10 MX"},
		// §5.5: ptr.
		{"ptr", "v=spf1 ptr:example.com -all", "", "", Pass, ""},
		{"ptr with IPv6", "v=spf1 ptr:example.com -all", "2001:db8::10", "", Pass, ""},
		{"ptr of another domain", "v=spf1 ptr:example.org -all", "", "", Fail, ""},
		{"ptr of a part of a label", "v=spf1 ptr:ample.com -all", "", "", Fail, ""},
		{"ptr of a name that does not lead back", "v=spf1 ptr:example.com -all", "192.0.2.66", "", Fail, ""},
		{"ptr without a name", "v=spf1 ptr:example.com -all", "192.0.2.99", "", Fail, ""},
		{"ptr in trouble", "v=spf1 ptr:example.com -all", "192.0.2.67", "", Fail, ""},
		{"ptr whose name is in trouble", "v=spf1 ptr:example.com -all", "192.0.2.68", "", Fail, ""},
		{"ptr twice", "v=spf1 ptr:example.org ptr:example.com -all", "", "", Pass, "ptr:example.com"},
		{"ptr with a length", "v=spf1 ptr/24 -all", "", "", PermError, ""},
		{"ptr with an empty domain", "v=spf1 ptr: -all", "", "", PermError, ""},
		// §5.6: ip4, ip6.
		{"ip4 network", "v=spf1 ip4:192.0.2.99/24 -all", "", "", Pass, "ip4:192.0.2.99/24"},
		{"ip4 everybody", "v=spf1 ip4:0.0.0.0/0 -all", "", "", Pass, ""},
		{"ip4 with IPv6", "v=spf1 ip4:192.0.2.10 -all", "2001:db8::10", "", Fail, ""},
		{"ip4 with a mapped client", "v=spf1 ip4:192.0.2.10 -all", "::ffff:192.0.2.10", "", Pass, ""},
		{"ip6 with a mapped client", "v=spf1 ip6:::ffff:192.0.2.10 ip6:::/0 -all", "::ffff:192.0.2.10", "", Fail, ""},
		{"ip6 network", "v=spf1 ip6:2001:DB8::/33 -all", "2001:db8::10", "", Pass, ""},
		{"ip6 everybody", "v=spf1 ip6:::/0 -all", "2001:db8::10", "", Pass, ""},
		{"ip4 with 33 bits", "v=spf1 ip4:192.0.2.10/33 -all", "", "", PermError, ""},
		{"ip4 with a zero in front of its length", "v=spf1 ip4:192.0.2.10/032 -all", "", "", PermError, "zero"},
		{"ip4 with an empty length", "v=spf1 ip4:192.0.2.10/ -all", "", "", PermError, ""},
		{"ip4 with a length for IPv6", "v=spf1 ip4:192.0.2.10//32 -all", "", "", PermError, ""},
		{"ip4 with zeros in front of an octet", "v=spf1 ip4:192.0.02.10 -all", "", "", PermError, ""},
		{"ip4 with three octets", "v=spf1 ip4:192.0.2 -all", "", "", PermError, ""},
		{"ip4 with a port", "v=spf1 ip4:192.0.2.10:25 -all", "", "", PermError, ""},
		{"ip4 with an IPv6 address", "v=spf1 ip4:2001:db8::10 -all", "", "", PermError, "address for ip6"},
		{"ip6 with an IPv4 address", "v=spf1 ip6:192.0.2.10 -all", "", "", PermError, "address for ip4"},
		{"ip6 with a zone", "v=spf1 ip6:fe80::1%eth0 -all", "", "", PermError, ""},
		{"ip6 with 129 bits", "v=spf1 ip6:2001:db8::/129 -all", "", "", PermError, ""},
		{"ip6 without address", "v=spf1 -all ip6", "", "", PermError, ""},
		// §5.7: exists.
		{"exists", "v=spf1 exists:mail.example.com -all", "", "", Pass, ""},
		{"exists asks for A with IPv6, too", "v=spf1 exists:v4.example.com -all", "2001:db8::10", "", Pass, ""},
		{"exists of AAAA alone", "v=spf1 exists:v6.example.com -all", "2001:db8::10", "", Fail, ""},
		{"exists in trouble", "v=spf1 exists:trouble.example.com -all", "", "", TempError, ""},
		{"exists without domain", "v=spf1 exists -all", "", "", PermError, ""},
		{"exists with a length", "v=spf1 exists:mail.example.com/24 -all", "", "", PermError, ""},

		// §6.1: redirect.
		{"redirect", "v=spf1 redirect=pass.example.net", "", "", Pass, "ip4:192.0.2.10 in the record of pass.example.net"},
		{"redirect in front", "v=spf1 redirect=soft.example.net ip4:192.0.2.10", "", "", Pass, ""},
		{"redirect beside all", "v=spf1 redirect=pass.example.net ?all", "", "", Neutral, ""},
		{"redirect in upper case", "v=spf1 REDIRECT=soft.example.net", "", "", SoftFail, "~all in the record of soft.example.net"},
		{"redirect to nothing", "v=spf1 redirect=nil.example.com", "", "", PermError, ""},
		{"redirect in trouble", "v=spf1 redirect=trouble.example.com", "", "", TempError, ""},
		{"redirect twice", "v=spf1 ip4:192.0.2.10 redirect=pass.example.net redirect=soft.example.net", "", "", PermError, "stands twice"},
		{"redirect without domain", "v=spf1 ip4:192.0.2.10 redirect=", "", "", PermError, "missing"},
		{"redirect to a top-level domain", "v=spf1 ip4:192.0.2.10 redirect=example", "", "", PermError, ""},
		// §6.2: exp.
		{"exp twice", "v=spf1 -all exp=a.example.com exp=b.example.com", "", "", PermError, "stands twice"},
		{"exp without domain", "v=spf1 -all exp=", "", "", PermError, ""},
		{"exp that leads nowhere", "v=spf1 -all exp=trouble.example.com", "", "", Fail, ""},
		{"exp that is spoiled", "v=spf1 -all exp=%{x}.example.com", "", "", PermError, ""},
		{"exp letters in a name", "v=spf1 a:%{c}.example.com -all", "", "", PermError, "explanation alone"},

		// §7: macros.
		{"address, turned round", "v=spf1 exists:%{ir}.%{v}.rbl.%{o} -all", "", "user@example.com", Pass, ""},
		{"address, IPv6", "v=spf1 exists:%{ir}.%{v}.rbl.%{o} -all", "2001:db8::10", "user@example.com", Pass, ""},
		{"address, mapped", "v=spf1 exists:%{ir}.%{v}.rbl.%{o} -all", "::ffff:192.0.2.10", "user@example.com", Pass, ""},
		{"local part", "v=spf1 exists:%{l}.who.example.com -all", "", "user@t.example.com", Pass, ""},
		{"local part, its beginning", "v=spf1 exists:%{l1r+}.who.example.com -all", "", "user+list@t.example.com", Pass, ""},
		{"local part, its end", "v=spf1 exists:%{l1+}.who.example.com -all", "", "list+user@t.example.com", Pass, ""},
		{"local part, escaped", "v=spf1 exists:%{L}.who.example.com -all", "", "user+list@t.example.com", Pass, ""},
		{"domain, two labels", "v=spf1 a:mail.%{d2} -all", "", "", Pass, ""},
		{"HELO", "v=spf1 a:%{h} -all", "", "", Fail, ""},
		{"sender's domain in an included record", "v=spf1 include:macro.example.net -all", "", "", Pass, "a:mail.%{o2} in the record of macro.example.net"},
		{"percent sign", "v=spf1 a:%%x%_y%-z.example.com -all", "", "", Fail, ""},
		{"name that is too long loses labels", "v=spf1 a:" + strings.Repeat("%{d}.", 40) + "mail.example.com -all", "", "", Fail, ""},
		{"own name", "v=spf1 exists:%{p}.own.example.com -all", "", "", Pass, ""},
		{"no own name", "v=spf1 exists:%{p}.own.example.com -all", "192.0.2.66", "", Pass, ""},
		{"no end", "v=spf1 a:%{d -all", "", "", PermError, "has no"},
		{"no letter", "v=spf1 a:%{}.example.com -all", "", "", PermError, "unknown"},
		{"unknown letter", "v=spf1 a:%{x}.example.com -all", "", "", PermError, "unknown"},
		{"no part", "v=spf1 a:%{d0}.example.com -all", "", "", PermError, "0"},
		{"a letter behind r", "v=spf1 a:%{drx}.example.com -all", "", "", PermError, ""},
		{"round brackets", "v=spf1 a:%(d).example.com -all", "", "", PermError, ""},
		{"percent sign at the end", "v=spf1 a:example.com% -all", "", "", PermError, ""},
		{"macro at the end", "v=spf1 a:mail.%{d2}/24 -all", "192.0.2.77", "", Pass, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			z := newZone(t, world+`
				t.example.com A 192.0.2.99
				postmaster.ok.t.example.com A 127.0.0.2
				macro.example.net TXT v=spf1 a:mail.%{o2} -all
			`)
			for i := range 11 {
				host := "mail.example.com"
				if i < 10 {
					z.at("ten.example.com").mx = append(z.at("ten.example.com").mx, host)
				}
				z.at("eleven.example.com").mx = append(z.at("eleven.example.com").mx, host)
			}
			from := tc.from
			switch from {
			case "":
				from = "user@t.example.com"
			case "<>":
				from = ""
			}
			client := tc.client
			if client == "" {
				client = "192.0.2.10"
			}
			domain := strings.ToLower(from[strings.LastIndex(from, "@")+1:])
			if tc.record != "" {
				z.at(domain).txt = append(z.at(domain).txt, tc.record, "another text")
			}
			got := Check(t.Context(), z, Query{Client: netip.MustParseAddr(client), HELO: "helo.example.com", MailFrom: from})
			if got.Status != tc.want || !strings.Contains(got.Reason(), tc.reason) {
				t.Errorf("%s, %s", got.Status, got.Reason())
			}
			if (got.Err != nil) != (got.Status == None || got.Status == TempError || got.Status == PermError) {
				t.Errorf("%s with the error %v", got.Status, got.Err)
			}
			if asked := z.asked.Load(); asked > MaxQueries {
				t.Errorf("%d questions", asked)
			}
		})
	}
}

// Each identity is checked on its own (RFC 7208 §2.3).
func TestCheckIdentity(t *testing.T) {
	z := newZone(t, `
		helo.example.com TXT v=spf1 exists:%{l}.at.%{o}.%{h} -all
		postmaster.at.helo.example.com.helo.example.com A 127.0.0.2
		example.com TXT v=spf1 -all
	`)
	client := netip.MustParseAddr("192.0.2.1")
	for _, tc := range []struct {
		helo, from, identity, domain string
		want                         Status
	}{
		{"helo.example.com", "", HELO, "helo.example.com", Pass},
		{"helo.example.com", "postmaster", HELO, "helo.example.com", Pass},
		{"HELO.Example.com", "someone", HELO, "helo.example.com", Fail},
		{"helo.example.com", "user@example.com", MailFrom, "example.com", Fail},
		{"[192.0.2.1]", "", HELO, "[192.0.2.1]", None},
		{"", "", HELO, "", None},
		{"helo.example.com", "user@", MailFrom, "", None},
	} {
		got := Check(t.Context(), z, Query{Client: client, HELO: tc.helo, MailFrom: tc.from})
		if got.Status != tc.want || got.Identity != tc.identity || got.Domain != tc.domain {
			t.Errorf("%q %q: %s of %s %q (%s)", tc.helo, tc.from, got.Status, got.Identity, got.Domain, got.Reason())
		}
	}
	if got := Check(t.Context(), z, Query{HELO: "helo.example.com"}); got.Status != None || got.Err == nil {
		t.Errorf("without a client: %s", got.Status)
	}
}

// When the time is over, the result is temperror (RFC 7208 §4.6.4).
func TestCheckOutOfTime(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errors.New("20 seconds are over"))
	got := Check(ctx, newZone(t, "example.com TXT v=spf1 +all"), Query{Client: netip.MustParseAddr("192.0.2.1"), MailFrom: "user@example.com"})
	if got.Status != TempError || !errors.Is(got.Err, context.Canceled) {
		t.Errorf("%s, %v", got.Status, got.Err)
	}
}

// What a stranger's local part puts into a name is quoted where it is told.
func TestCheckQuotes(t *testing.T) {
	z := newZone(t, "example.com TXT v=spf1 include:%{l}.example.com -all")
	z.at("\x1b]0;x.example.com").txt = []string{"v=spf1 +all"}
	for from, want := range map[string]string{
		"\x1b]0;x@example.com":     `+all in the record of "\x1b]0;x.example.com"`,
		"\x1b[2J\r\nx@example.com": `include:%{l}.example.com in the record of example.com: "\x1b[2J\r\nx.example.com" has no SPF record`,
	} {
		if got := Check(t.Context(), z, Query{Client: netip.MustParseAddr("192.0.2.1"), MailFrom: from}).Reason(); got != want {
			t.Errorf("%q", got)
		}
	}
}

// half is DNS that has no answer for addresses of IPv6.
type half struct{ *zone }

func (h half) LookupFamily(ctx context.Context, host string, v4 bool) ([]netip.Addr, error) {
	if !v4 {
		return nil, errServer
	}
	addrs, err := h.LookupIP(ctx, host)
	return family(addrs, true), err
}

// A server that cannot say which IPv6 addresses a host has does not matter to a client
// with IPv4 (RFC 7208 §5.3).
func TestCheckOtherFamily(t *testing.T) {
	z := half{newZone(t, world+"t.example.com TXT v=spf1 a:mail.example.com mx:example.com exists:v4.example.com -all")}
	for client, want := range map[string]Status{"192.0.2.10": Pass, "192.0.2.4": Pass, "2001:db8::10": TempError} {
		if got := Check(t.Context(), z, Query{Client: netip.MustParseAddr(client), MailFrom: "user@t.example.com"}); got.Status != want {
			t.Errorf("%s: %s (%s)", client, got.Status, got.Reason())
		}
	}
}
