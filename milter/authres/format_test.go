package authres

import (
	"strings"
	"testing"
)

func one(p ...Property) []Result {
	return []Result{{Method: "dkim", Value: "pass", Properties: p}}
}

func TestString(t *testing.T) {
	for _, tt := range []struct {
		name string
		in   Header
		want string
	}{
		{"no result", Header{AuthservID: "mx.example.org"}, " mx.example.org; none"},
		{"full", Header{AuthservID: "mx.example.org", Results: []Result{
			{Method: "dkim", Value: "pass", Comment: "2048-bit key", Properties: []Property{
				{"header", "d", "example.com"}, {"header", "i", "@example.com"},
				{"header", "a", "rsa-sha256"}, {"header", "s", "s1"}, {"header", "b", "AbCdEfGh"}}},
			{Method: "dkim", Value: "fail", Reason: "key revoked", Properties: []Property{{"header", "d", "example.net"}}},
		}}, " mx.example.org;\r\n" +
			"\tdkim=pass (2048-bit key) header.d=example.com header.i=@example.com\r\n" +
			"\theader.a=rsa-sha256 header.s=s1 header.b=AbCdEfGh;\r\n" +
			"\tdkim=fail reason=\"key revoked\" header.d=example.net"},
		{"versions", Header{AuthservID: "mx", Version: 1, Results: []Result{{Method: "spf", Version: 2, Value: "none"}}},
			" mx 1;\r\n\tspf/2=none"},
		{"job id is no token", Header{AuthservID: "mx.example.org/4Fq"}, ` "mx.example.org/4Fq"; none`},
		{"empty id", Header{}, ` ""; none`},
		{"token value", Header{AuthservID: "mx", Results: one(Property{"header", "b", "ab+cd"})}, " mx;\r\n\tdkim=pass header.b=ab+cd"},
		{"slash", Header{AuthservID: "mx", Results: one(Property{"header", "b", "ab/cd"})}, " mx;\r\n\tdkim=pass header.b=\"ab/cd\""},
		{"padding", Header{AuthservID: "mx", Results: one(Property{"header", "b", "ab="})}, " mx;\r\n\tdkim=pass header.b=\"ab=\""},
		{"empty value", Header{AuthservID: "mx", Results: one(Property{"smtp", "mailfrom", ""})}, " mx;\r\n\tdkim=pass smtp.mailfrom=\"\""},
		{"address", Header{AuthservID: "mx", Results: one(Property{"smtp", "mailfrom", "a.b+c@example.com"})}, " mx;\r\n\tdkim=pass smtp.mailfrom=a.b+c@example.com"},
		{"address with tspecial", Header{AuthservID: "mx", Results: one(Property{"smtp", "mailfrom", "a/b@example.com"})}, " mx;\r\n\tdkim=pass smtp.mailfrom=\"a/b@example.com\""},
		{"two at signs", Header{AuthservID: "mx", Results: one(Property{"header", "i", "a@b@c"})}, " mx;\r\n\tdkim=pass header.i=\"a@b@c\""},
		{"empty label", Header{AuthservID: "mx", Results: one(Property{"header", "i", "@example..com"})}, " mx;\r\n\tdkim=pass header.i=\"@example..com\""},
		{"escapes", Header{AuthservID: "mx", Results: one(Property{"smtp", "mailfrom", `x(\"; dkim=pass header.d=paypal.com (@evil.com`})},
			" mx;\r\n\tdkim=pass smtp.mailfrom=\"x(\\\\\\\"; dkim=pass header.d=paypal.com (@evil.com\""},
		{"comment escapes", Header{AuthservID: "mx", Results: []Result{{Method: "dkim", Value: "pass", Comment: `a) b\ (c`}}},
			" mx;\r\n\tdkim=pass (a\\) b\\\\ \\(c)"},
		{"line ends and controls", Header{AuthservID: "mx", Results: one(Property{"header", "i", "a\r\nBcc: x\x00\x7f\u0085"})},
			" mx;\r\n\tdkim=pass header.i=\"a  Bcc: x???\""},
		{"8-bit", Header{AuthservID: "mx", Results: one(Property{"header", "d", "bücher.example"}, Property{"header", "i", "@b\xfc"})},
			" mx;\r\n\tdkim=pass header.d=\"b?cher.example\" header.i=\"@b?\""},
		{"keywords are mended", Header{AuthservID: "mx", Results: []Result{{Method: "DKIM;x", Value: "Pass -", Properties: []Property{
			{"header", "", "x"}, {"", "d", "x"}, {"Header", "D=", "x"}}}}}, " mx;\r\n\tdkim-x=pass header.d=x"},
		{"nothing but unusable results", Header{AuthservID: "mx", Results: []Result{{Method: "dkim"}, {Value: "pass"}, {Method: "-", Value: "x"}}}, " mx; none"},
		{"no fold among blanks", Header{AuthservID: "mx", Results: []Result{{Method: "dkim", Value: "fail", Reason: strings.Repeat(" ", 90)}}},
			" mx;\r\n\tdkim=fail\r\n\treason=\"" + strings.Repeat(" ", 89) + "\r\n\t\""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := tt.in.String(); got != tt.want {
				t.Errorf("got  %q\nwant %q", got, tt.want)
			}
		})
	}
}

func TestStringLines(t *testing.T) {
	long := Header{AuthservID: strings.Repeat("m", 2000), Results: []Result{
		{Method: "dkim", Value: "fail", Reason: strings.Repeat("word \"", 400), Comment: strings.Repeat("(", 5000),
			Properties: []Property{{"header", "i", strings.Repeat("é", 3000)}, {strings.Repeat("t", 99), strings.Repeat("n", 99), strings.Repeat("v", 2000)}}},
	}}
	for i, line := range strings.Split("Authentication-Results:"+long.String(), "\r\n") {
		if len(line) > 998 {
			t.Errorf("line %d has %d octets", i, len(line))
		}
	}

	words := Header{AuthservID: "mx.example.org"}
	for range 30 {
		words.Results = append(words.Results, Result{Method: "dkim", Value: "fail", Reason: strings.Repeat("several words ", 20),
			Comment: strings.Repeat("and more ", 20), Properties: []Property{{"header", "d", "example.com"}, {"header", "i", "someone@example.com"}}})
	}
	for i, line := range strings.Split("Authentication-Results:"+words.String(), "\r\n") {
		if len(line) > lineWidth {
			t.Errorf("line %d has %d octets though it has blanks: %q", i, len(line), line)
		}
		if strings.Trim(line, " \t") == "" {
			t.Errorf("line %d is blank", i)
		}
	}
}

func TestSplit(t *testing.T) {
	long := Result{Method: "dkim", Value: "fail", Reason: strings.Repeat("x", 300)}
	short := Result{Method: "dkim", Value: "pass"}
	for _, tt := range []struct {
		name string
		in   []Result
		want string // the results of each field, l or s
	}{
		{"none", nil, ""},
		{"one", []Result{short}, "s"},
		{"together", []Result{short, short, short}, "sss"},
		{"too long alone", []Result{long}, "l"},
		{"between long ones", []Result{long, short, long, short, short, long}, "l s l ss l"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var got []string
			for _, h := range (Header{AuthservID: "mx", Version: 1, Results: tt.in}).Split(200) {
				field := ""
				for _, r := range h.Results {
					field += map[bool]string{true: "l", false: "s"}[r.Reason != ""]
				}
				if h.AuthservID != "mx" || h.Version != 1 {
					t.Errorf("a field of %q %d", h.AuthservID, h.Version)
				}
				got = append(got, field)
			}
			if s := strings.Join(got, " "); s != tt.want {
				t.Errorf("got %q, want %q", s, tt.want)
			}
		})
	}
}
