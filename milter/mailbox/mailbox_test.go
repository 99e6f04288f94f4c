package mailbox

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func addresses(s ...string) []Address {
	var as []Address
	for _, text := range s {
		i := strings.LastIndexByte(text, '@')
		as = append(as, Address{text[:i], text[i+1:]})
	}
	return as
}

// The addresses of want are local@domain without quotes.
func TestParseList(t *testing.T) {
	for _, tt := range []struct {
		name, in string
		want     []Address
	}{
		{"plain", " a@b.com", addresses("a@b.com")},
		{"case", "A.Bc@B.COM", addresses("A.Bc@b.com")},
		{"display name", ` "Name" <a@b.com>`, addresses("a@b.com")},
		{"atoms for a name", "John Q. Public <a@b.com>", addresses("a@b.com")},
		{"comma in a quoted name", `"Doe, John" <a@b.com>`, addresses("a@b.com")},
		{"angle in a quoted name", `"<x@y.com>" <a@b.com>`, addresses("a@b.com")},
		{"address for a quoted name", `"victim@bank.com" <evil@x.com>`, addresses("evil@x.com")},
		{"its own address for a name", "a@b.com <a@B.com>", addresses("a@b.com")},
		{"escapes in a name", `"a\"<x@y.com>,\\" <a@b.com>`, addresses("a@b.com")},
		{"brackets in a name", "[Team] Name <a@b.com>", addresses("a@b.com")},
		{"encoded word", "=?utf-8?q?victim=40bank.com?= <a@b.com>", addresses("a@b.com")},
		{"Latin-1 name", "Jos\xe9 <a@b.com>", addresses("a@b.com")},
		{"angle alone", "<a@b.com>", addresses("a@b.com")},
		{"blanks in angles", "< a@b.com >", addresses("a@b.com")},
		{"comments everywhere", "(x@y.com)N(a)<(b)a(c)@(d)b(e).(f)com(g (h, \\) <x@y>))(i)>(j),(k)", addresses("a@b.com")},
		{"comment for a name", "a@b.com (Name, <x@y.com>)", addresses("a@b.com")},
		{"folds and tabs", "\r\n\tName\r\n <a\t@\r\n b.com>\r\n", addresses("a@b.com")},
		{"LF folds", "Name\n\t<a@b.com>", addresses("a@b.com")},
		{"two", "a@b.com, c@d.com", addresses("a@b.com", "c@d.com")},
		{"empty elements", ", ,a@b.com,, c@d.com,", addresses("a@b.com", "c@d.com")},
		{"semicolon for a comma", "a@b.com; c@d.com;", addresses("a@b.com", "c@d.com")},
		{"group", "G h: a@b.com, Name <c@d.com>;", addresses("a@b.com", "c@d.com")},
		{"groups", "G: a@b.com;, \"H\": c@d.com;, e@f.com", addresses("a@b.com", "c@d.com", "e@f.com")},
		{"group without end", "G: a@b.com", addresses("a@b.com")},
		{"empty group", "undisclosed-recipients:;", nil},
		{"empty", "", nil},
		{"blanks", " \r\n\t(c)", nil},
		{"null address", "<>", nil},
		{"null address with a name", "Name < (c) >, a@b.com", addresses("a@b.com")},
		{"route", "<@x.com,@y.com:a@b.com>", addresses("a@b.com")},
		{"quoted local part", `"a b"@c.com`, addresses("a b@c.com")},
		{"at sign in the local part", `<"victim@bank.com"@evil.com>`, addresses("victim@bank.com@evil.com")},
		{"empty local part in quotes", `""@c.com`, addresses("@c.com")},
		{"local part of words", `a . "b" . c@d.com`, addresses("a.b.c@d.com")},
		{"odd dots", ".a..b.@c.com", addresses(".a..b.@c.com")},
		{"fold in quotes", "\"a\r\n b\"@c.com", addresses("a b@c.com")},
		{"domain literal", "a@[ 192.0.2.1 ], b@[IPv6:::1]", addresses("a@[192.0.2.1]", "b@[ipv6:::1]")},
		{"8-bit", "用户@例え.テスト, Bücher <b@Bücher.example>", addresses("用户@例え.テスト", "b@bücher.example")},
		{"mailto", "<mailto:List@Example.org>", addresses("List@example.org")},
		{"mailto with a query", "<MAILTO:list@example.org?subject=a,b;c@d>", addresses("list@example.org")},
		{"mailto without angles", "mailto:list@example.org?subject=x, a@b.com", addresses("list@example.org", "a@b.com")},
		{"mailto is a group's name", "mailto: a@b.com;", addresses("a@b.com")},
		{"mailto after another URI", "<https://example.org/a,b@c>, <mailto:list@example.org> (comment)", addresses("list@example.org")},
		{"no posting", " no (closed)", nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := ParseList(tt.in)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("-want +got\n%s", diff)
			}
		})
	}
}

func TestParseListErrors(t *testing.T) {
	for _, tt := range []struct {
		name, in string
		want     []Address
		err      string
	}{
		{"at sign in quotes alone", `"a@b.com", c@d.com`, addresses("c@d.com"), `at octet 9: want an address with "@", found ","`},
		{"at sign before a local name", "a@b.com <root>, c@d.com", addresses("c@d.com"), `an unquoted "@"`},
		{"at sign in quotes in angles", `<"a@b.com">, c@d.com`, addresses("c@d.com"), `found ">"`},
		{"text after a local name", "<root> x, c@d.com", addresses("c@d.com"), `unexpected "x" after an address`},
		{"broken after a local name", "root, a@b..com", nil, `want a domain, found "."`},
		{"broken before a local name", "a@b..com, root", nil, `want a domain, found "."`},
		{"no local part", "@b.com", nil, `at octet 0: nothing before the "@"`},
		{"no domain", "a@", nil, "want a domain, found the end"},
		{"empty label", "a@b..com", nil, `want a domain, found "."`},
		{"final dot", "a@b.com.", nil, "want a domain, found the end"},
		{"quoted domain", `a@"b.com"`, nil, `want a domain, found "b.com"`},
		{"two at signs", "a@b.com@c.com", nil, `unexpected "@" after the address`},
		{"two at signs in angles", "<a@b.com@c.com>", nil, `found "@"`},
		{"two without a comma", "a@b.com c@d.com", nil, `at octet 8: unexpected "c" after the address "b.com"`},
		{"two words before the at sign", "a b@c.com", nil, `at octet 2: unexpected "b", want "@" or a dot`},
		{"another address for a name", "victim@bank.com <evil@x.com>", nil, `at octet 6: an unquoted "@"`},
		{"two angles", "<a@b.com> <c@d.com>", nil, `at octet 10: unexpected "<" after an address`},
		{"angle in an angle", "<<a@b.com>>", nil, `found "<"`},
		{"text after the angle", "<a@b.com> c@d.com", nil, `unexpected "c" after an address`},
		{"angle without end", "Name <a@b.com", nil, `want ">" after the address that begins at octet 5, found the end`},
		{"angle without end before another", "<a@b.com, <c@d.com>", addresses("c@d.com"), `want ">"`},
		{"quote without end", `"Name <a@b.com>`, nil, "at octet 0: quoted string without end"},
		{"comment without end", "(a@b.com", nil, "at octet 0: comment without end"},
		{"comment without end later", "a@b.com, c@d.com (", addresses("a@b.com"), "at octet 17: comment without end"},
		{"literal without end", "a@[192.0.2.1", nil, "domain literal without end"},
		{"backslash at the end", `"a\`, nil, "quoted string without end"},
		{"closing parenthesis", "a@b.com)", nil, `at octet 7: unexpected ")"`},
		{"backslash", `a\b@c.com`, nil, `unexpected "\\"`},
		{"control in quotes", "\"a\x01\"@b.com", nil, `at octet 0: unexpected "a\x01"`},
		{"NUL", "a@b.com (\x00), c@d.com", addresses("a@b.com", "c@d.com"), "at octet 9: a NUL"},
		{"line end without blank", "a@b.com\r\nc@d.com", nil, `unexpected "\r"`},
		{"bare CR in quotes", "\"a\rb\"@c.com", nil, `unexpected "a\rb"`},
		{"local part that is no UTF-8", "jos\xe9@b.com", nil, `"jos\xe9@b.com" is no UTF-8`},
		{"group in a group", "G: H: a@b.com, c@d.com;", addresses("c@d.com"), "at octet 4: a group within a group"},
		{"group without a name", ": a@b.com;", nil, `want the name of a group before ":"`},
		{"group named by an address", "a@b.com: c@d.com;", nil, "in the name of a group"},
		{"unknown URI", "<news:a@b.com>", nil, `found ":"`},
		{"bad mailto", "<mailto:root>, a@b.com", addresses("a@b.com"), `mailto:"root"`},
		{"bad route", "<@x.com;a@b.com>", nil, `unexpected ";" in a route`},
		{"the rest is read", "a@, a@b.com", addresses("a@b.com"), "want a domain"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := ParseList(tt.in)
			if !errors.Is(err, ErrSyntax) {
				t.Fatalf("got %v, %v; want a syntax error", got, err)
			}
			if !strings.Contains(err.Error(), tt.err) {
				t.Errorf("got %q, want it to contain %q", err, tt.err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("-want +got\n%s", diff)
			}
		})
	}
}

func TestNoDomain(t *testing.T) {
	for _, tt := range []struct {
		name, in string
		want     []Address
		err      string
	}{
		{"alone", " root", nil, `no domain: "root" has no "@"`},
		{"in angles", "Name <root>", nil, `"root" has no "@"`},
		{"words", "Undisclosed \"sender, x\" Jr.", nil, `"Undisclosed \"sender, x\" Jr." has no "@"`},
		{"after an address", "a@b.com, root", addresses("a@b.com"), `"root" has no "@"`},
		{"after an address, in angles", "a@b.com, Cron <root>", addresses("a@b.com"), `"root" has no "@"`},
		{"before an address", "root, a@b.com", addresses("a@b.com"), `"root" has no "@"`},
		{"name without quotes", "Doe, John <a@b.com>", addresses("a@b.com"), `"Doe" has no "@"`},
		{"in a group", "G: root, a@b.com; c@d.com", addresses("a@b.com", "c@d.com"), `"root" has no "@"`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := ParseList(tt.in)
			if !errors.Is(err, ErrNoDomain) || errors.Is(err, ErrSyntax) || !strings.Contains(err.Error(), tt.err) {
				t.Errorf("got %v, want %q", err, tt.err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("-want +got\n%s", diff)
			}
		})
	}
}

func TestParse(t *testing.T) {
	for _, tt := range []struct {
		in   string
		want Address
	}{
		{"a@b.com", Address{"a", "b.com"}},
		{" (c) \"a b\"@B.com ", Address{"a b", "b.com"}},
	} {
		if got, err := Parse(tt.in); err != nil || got != tt.want {
			t.Errorf("Parse(%q) = %+v, %v", tt.in, got, err)
		}
	}
	for _, in := range []string{"", "a", "<a@b.com>", "Name <a@b.com>", "a@b.com, c@d.com", "a@b.com (", "a@b@c"} {
		if got, err := Parse(in); !errors.Is(err, ErrSyntax) || got != (Address{}) {
			t.Errorf("Parse(%q) = %+v, %v; want a syntax error", in, got, err)
		}
	}
}

func TestAddressString(t *testing.T) {
	for _, tt := range []struct {
		in   Address
		want string
	}{
		{Address{"a.b+c", "d.com"}, "a.b+c@d.com"},
		{Address{"a b", "d.com"}, `"a b"@d.com`},
		{Address{`a"\`, "d.com"}, `"a\"\\"@d.com`},
		{Address{"", "d.com"}, `""@d.com`},
		{Address{".a", "d.com"}, `".a"@d.com`},
		{Address{"a.", "d.com"}, `"a."@d.com`},
		{Address{"a..b", "d.com"}, `"a..b"@d.com`},
		{Address{"a@b", "d.com"}, `"a@b"@d.com`},
		{Address{"用户", "[192.0.2.1]"}, "用户@[192.0.2.1]"},
	} {
		if got := tt.in.String(); got != tt.want {
			t.Errorf("%+v: got %s, want %s", tt.in, got, tt.want)
		}
	}
}
