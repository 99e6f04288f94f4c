package authres

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParse(t *testing.T) {
	dkim := func(r Result) Header {
		r.Method = "dkim"
		return Header{AuthservID: "mx", Results: []Result{r}}
	}
	for _, tt := range []struct {
		name, in string
		want     Header
	}{
		{"none", " mx.example.org; none", Header{AuthservID: "mx.example.org"}},
		{"none with CFWS", "(a) mx (b) 1 (c) ; (d) NONE (e)\r\n", Header{AuthservID: "mx", Version: 1}},
		{"method called none", "mx; none=pass", Header{AuthservID: "mx", Results: []Result{{Method: "none", Value: "pass"}}}},
		{"quoted id", ` "mx\.example \"org"; none`, Header{AuthservID: `mx.example "org`}},
		{"job id", " mx.example.org/4Fq; none", Header{AuthservID: "mx.example.org/4Fq"}},
		{"version", "mx 12; none", Header{AuthservID: "mx", Version: 12}},
		{"blanks everywhere", "mx ; dkim / 1 = pass header . d = example.com",
			dkim(Result{Version: 1, Value: "pass", Properties: []Property{{"header", "d", "example.com"}}})},
		{"comments everywhere", "mx;(a)dkim(b)/(c)1(d)=(e)pass(f)reason(g)=(h)x(i)header(j).(k)d(l)=(m)y(n)",
			dkim(Result{Version: 1, Value: "pass", Reason: "x", Comment: "f", Properties: []Property{{"header", "d", "y"}}})},
		{"folds", "mx;\r\n\tdkim=pass\r\n\theader.d=a;\n spf=none", Header{AuthservID: "mx", Results: []Result{
			{Method: "dkim", Value: "pass", Properties: []Property{{"header", "d", "a"}}}, {Method: "spf", Value: "none"}}}},
		{"fold and TAB in quotes", "mx; dkim=fail reason=\"a\r\n\tb\tc\"", dkim(Result{Value: "fail", Reason: "a b c"})},
		{"nested comment with escapes", `mx; dkim=pass (a (b \) ;) \\ c)`, dkim(Result{Value: "pass", Comment: `a (b ) ;) \ c`})},
		{"a result in quotes is none", `mx; dkim=fail reason="x; dkim=pass header.d=paypal.com"`,
			dkim(Result{Value: "fail", Reason: "x; dkim=pass header.d=paypal.com"})},
		{"a property in a comment is none", "mx; dkim=fail ( header.d=paypal.com )", dkim(Result{Value: "fail", Comment: " header.d=paypal.com "})},
		{"case of keywords and values", "MX; DKIM=Pass Header.D=Example.COM",
			Header{AuthservID: "MX", Results: []Result{{Method: "dkim", Value: "pass", Properties: []Property{{"header", "d", "Example.COM"}}}}}},
		{"domain with empty local part", "mx; dkim=pass header.i=@example.com", dkim(Result{Value: "pass", Properties: []Property{{"header", "i", "@example.com"}}})},
		{"quoted local part", `mx; dkim=pass header.i="a b"@example.com`, dkim(Result{Value: "pass", Properties: []Property{{"header", "i", "a b@example.com"}}})},
		{"as OpenDKIM writes it", "mx;\r\n\tdkim=pass (2048-bit key; unprotected) header.d=example.com header.i=@example.com header.a=rsa-sha256 header.s=s1 header.b=Ab/dEf==",
			dkim(Result{Value: "pass", Comment: "2048-bit key; unprotected", Properties: []Property{{"header", "d", "example.com"},
				{"header", "i", "@example.com"}, {"header", "a", "rsa-sha256"}, {"header", "s", "s1"}, {"header", "b", "Ab/dEf=="}}})},
		{"IPv6 address unquoted", "mx; dkim=pass policy.iprev=2001:db8::1", dkim(Result{Value: "pass", Properties: []Property{{"policy", "iprev", "2001:db8::1"}}})},
		{"a property may be called reason", "mx; dkim=pass policy.reason=x", dkim(Result{Value: "pass", Properties: []Property{{"policy", "reason", "x"}}})},
		{"8-bit", "mx; dkim=pass header.d=bücher.example", dkim(Result{Value: "pass", Properties: []Property{{"header", "d", "bücher.example"}}})},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := Parse(tt.in)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("-want +got\n%s", diff)
			}
		})
	}
}

func TestParseErrors(t *testing.T) {
	for _, tt := range []struct {
		name, in, want string
	}{
		{"empty", "", "at octet 0: want a value, found the end"},
		{"no id", " ; none", `at octet 1: want a value, found "; none"`},
		{"id alone", "mx", `at octet 2: want ";", found the end`},
		{"nothing after the semicolon", "mx;", "at octet 3: want a method, found the end"},
		{"semicolon at the end", "mx; dkim=pass;", "at octet 14: want a method, found the end"},
		{"two ids", "mx my; none", `at octet 3: want ";", found "my; none"`},
		{"none and more", "mx; none; dkim=pass", `at octet 8: want "=", found "; dkim=pass"`},
		{"none later", "mx; dkim=pass; none", `want "=", found the end`},
		{"endless version", "mx 12345678901; none", "at octet 3: want a version number"},
		{"no result word", "mx; dkim=", "want a result, found the end"},
		{"hyphen at the end", "mx; dkim-=pass", "the method ends with a hyphen"},
		{"no property", "mx; dkim=pass action=none", `at octet 14: want reason= or ptype.property=, found "action=none"`},
		{"reason twice", "mx; dkim=pass reason=a reason=b", `want reason= or ptype.property=, found "reason=b"`},
		{"reason late", "mx; dkim=pass header.d=x reason=b", `want reason= or ptype.property=, found "reason=b"`},
		{"no value", "mx; dkim=pass header.d=; spf=none", `want a value, found "; spf=none"`},
		{"quote without end", `mx; dkim=pass header.d="x`, "at octet 23: quoted string without end"},
		{"comment without end", "mx; dkim=pass (a (b)", "at octet 14: comment without end"},
		{"backslash at the end", `mx; dkim=pass (a\`, "at octet 16: backslash at the end"},
		{"NUL", "m\x00x; none", `want ";", found "\x00x; none"`},
		{"control in quotes", "mx; dkim=pass header.d=\"\x01\"", "control character"},
		{"octet that is no UTF-8", "mx; dkim=pass header.d=\xff", "at octet 23: \"\\xff\" is no UTF-8"},
		{"such an octet in quotes", "mx; dkim=pass header.d=\"\xff\"", "octet 0xff is no UTF-8"},
		{"bare CR", "mx;\r dkim=pass", "at octet 3: bare CR"},
		{"line end without blank", "mx;\r\ndkim=pass", "line end without a blank after it"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h, err := Parse(tt.in)
			if !errors.Is(err, ErrSyntax) {
				t.Fatalf("got %+v, %v; want a syntax error", h, err)
			}
			if !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %q, want it to contain %q", err, tt.want)
			}
			if h.AuthservID != "" || h.Results != nil {
				t.Errorf("got %+v along with the error", h)
			}
		})
	}
}

func TestParseLimits(t *testing.T) {
	for _, tt := range []struct {
		name, in string
		ok       bool
	}{
		{"results", "mx" + strings.Repeat(";dkim=pass", MaxResults), true},
		{"results and one", "mx" + strings.Repeat(";dkim=pass", MaxResults+1), false},
		{"properties", "mx;dkim=pass" + strings.Repeat(" a.b=c", MaxProperties), true},
		{"properties and one", "mx;dkim=pass" + strings.Repeat(" a.b=c", MaxProperties+1), false},
		{"nesting", "mx" + strings.Repeat("(", maxNesting) + strings.Repeat(")", maxNesting) + "; none", true},
		{"nesting and one", "mx" + strings.Repeat("(", maxNesting+1) + strings.Repeat(")", maxNesting+1) + "; none", false},
		{"octets", strings.Repeat(" ", MaxField-8) + "mx; none", true},
		{"octets and one", strings.Repeat(" ", MaxField-7) + "mx; none", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := Parse(tt.in)
			if tt.ok && err != nil || !tt.ok && !errors.Is(err, ErrTooLarge) {
				t.Errorf("got %v, want success %t", err, tt.ok)
			}
		})
	}
}
