package spf

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// What was probably meant by a term that is none.
func TestCorrect(t *testing.T) {
	for _, tc := range []struct{ record, want string }{
		{"v=spf1 ipv4:192.0.2.1 IPv6:2001:db8::1 -all", "v=spf1 ip4:192.0.2.1 ip6:2001:db8::1 -all"},
		{"v=spf1 ip:192.0.2.1 -ip:2001:db8::1 -all", "v=spf1 ip4:192.0.2.1 -ip6:2001:db8::1 -all"},
		{"v=spf1 ip4:2001:db8::/32 ip6:192.0.2.0/24 -all", "v=spf1 ip6:2001:db8::/32 ip4:192.0.2.0/24 -all"},
		{"v=spf1 192.0.2.1 2001:db8::/32 -all", "v=spf1 ip4:192.0.2.1 ip6:2001:db8::/32 -all"},
		{"v=spf1 a:192.0.2.1 mx:192.0.2.0/24 include:192.0.2.9 -all", "v=spf1 ip4:192.0.2.1 ip4:192.0.2.0/24 ip4:192.0.2.9 -all"},
		{"v=spf1 ip4:mail.example.com -all", "v=spf1 a:mail.example.com -all"},
		{"v=spf1 ip4:192.0.2.1/032 ip4:192.0.2.1/ ip4:192.0.2.0//24 -all", "v=spf1 ip4:192.0.2.1/32 ip4:192.0.2.1 ip4:192.0.2.0/24 -all"},
		{"v=spf1 ip4:192.0.2/24 ip4:192.0.2.1:25 ip4:0.0.0.0/00 -all", "v=spf1 ip4:192.0.2.0/24 ip4:192.0.2.1 ip4:0.0.0.0/0 -all"},
		{"v=spf1 a/24/64 mx:example.com/24/64 -all", "v=spf1 a/24//64 mx:example.com/24//64 -all"},
		{"v=spf1 include:_spf.example.com, -all", "v=spf1 include:_spf.example.com -all"},
		{"v=spf1 ip4:192.0.2.1,ip4:192.0.2.2;-all", "v=spf1 ip4:192.0.2.1 ip4:192.0.2.2 -all"},
		{"v=spf1 mx -all; -all. ~all\"", "v=spf1 mx -all -all ~all"},
		{"v=spf1 mx \u2013all", "v=spf1 mx -all"},
		{"v=spf1 mx\u00a0ip4:192.0.2.1\t-all\r\n", "v=spf1 mx ip4:192.0.2.1 -all  "},
		{"v=spf1 redirect:_spf.example.com", "v=spf1 redirect=_spf.example.com"},
		{"v=spf1 -all exp:_spf.example.com", "v=spf1 -all exp=_spf.example.com"},
		{"v=spf1 -include=_spf.example.com ~all", "v=spf1 -include:_spf.example.com ~all"},
		{"v=spf1 includes:_spf.example.com host:mail.example.com ~all", "v=spf1 include:_spf.example.com a:mail.example.com ~all"},
		{"v=spf1 include:_spf.example.com/24 ~all", "v=spf1 include:_spf.example.com ~all"},
		{"v=spf1 include: _spf.example.com ip4: 192.0.2.1 - all", "v=spf1 include:_spf.example.com ip4:192.0.2.1 -all"},
		{"v=spf1 a:bücher.example -all", "v=spf1 a:xn--bcher-kva.example -all"},
		{"v=spf1 what -all", ""},
		{"v=spf1 ip4:300.0.2.1 -all", ""},
		{"v=spf1 redirect=a.example.com redirect=b.example.com", ""},
		{"v=spf1 include:", ""},
		{"v=spf1 " + strings.Repeat("ip:192.0.2.1 ", MaxSyntaxErrors), ""},
	} {
		t.Run(tc.record, func(t *testing.T) {
			_, errs := Parse(tc.record)
			got, ok := corrected(tc.record, errs)
			if len(errs) == 0 || ok != (tc.want != "") || ok && got != tc.want {
				t.Errorf("%q, %v after %v", got, ok, errs)
			}
		})
	}
}

// A record keeps its meaning when it is written anew.
func TestRecordString(t *testing.T) {
	for text, want := range map[string]string{
		"V=SPF1   +A -MX:Mail.Example.com/24//64 ?PTR ~ALL": "v=spf1 a -mx:Mail.Example.com/24//64 ?ptr ~all",
		"v=spf1 ip4:192.0.2.1/32 IP6:2001:DB8:0::/32":       "v=spf1 ip4:192.0.2.1 ip6:2001:db8::/32",
		"v=spf1 a//64 mx/0 exists:%{IR-.}.%%%_%-.a.com.":    "v=spf1 a//64 mx/0 exists:%{Ir-.}.%%%_%-.a.com.",
		"v=spf1 Redirect=%{d02} X-y=a:b%{c}":                "v=spf1 redirect=%{d2} X-y=a:b%{c}",
		"v=spf1":                                            "v=spf1",
	} {
		r, errs := Parse(text)
		if got := r.String(); got != want || len(errs) > 0 {
			t.Errorf("%q: %q, %v", text, got, errs)
		}
	}
}

func TestParseLimits(t *testing.T) {
	for _, tc := range []struct {
		name, text string
		terms      int
		errs       int
	}{
		{"largest record", "v=spf1" + strings.Repeat(" a", (MaxRecord-6)/2), (MaxRecord - 6) / 2, 0},
		{"too large", "v=spf1 " + strings.Repeat("a", MaxRecord), 0, 1},
		{"nothing but errors", "v=spf1" + strings.Repeat(" !", 30000), 0, MaxSyntaxErrors},
		{"one long error", "v=spf1 " + strings.Repeat("!", 60000), 0, 1},
		{"one long macro", "v=spf1 x=" + strings.Repeat("%%", 30000), 1, 0},
		{"no version", "v=spf10", 0, 1},
		{"empty", "", 0, 1},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r, errs := Parse(tc.text)
			if len(r.Terms) != tc.terms || len(errs) != tc.errs {
				t.Fatalf("%d terms, %d errors", len(r.Terms), len(errs))
			}
			for _, e := range errs {
				if len(e.Error()) > 500 {
					t.Errorf("an error of %d octets", len(e.Error()))
				}
			}
		})
	}
}

// FuzzParse: a record that is written anew is parsed to the same terms; a correction
// is a record without errors; errors lie in the record, one behind the other.
func FuzzParse(f *testing.F) {
	for _, s := range []string{
		"v=spf1 a mx:example.com/24//64 -ip4:192.0.2.0/24 ?ip6:::1 ~exists:%{ir}.%{v}.example.com ptr include:a.b redirect=%{d2r-} exp=a.b x=%% +all",
		"V=SPF1 ipv4:192.0.2.1/032 include: a.b -all; a/24/64 –all", "v=spf1 a:%{", "v=spf1 a:b.%{x}", "v=spf1 ip4:1.2/8 host:a.b,mx",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		r, errs := Parse(text)
		again, more := Parse(r.String())
		if len(more) > 0 {
			t.Fatalf("%q is written as %q: %v", text, r, more[0])
		}
		if diff := cmp.Diff(plain(r), plain(again)); diff != "" {
			t.Fatalf("%q is written as %q:\n%s", text, r, diff)
		}
		end := 0
		for _, e := range errs {
			if e.Offset < end || e.End < e.Offset || e.End > len(text) || text[e.Offset:e.End] != e.Term {
				t.Fatalf("%q: error at %d to %d", text, e.Offset, e.End)
			}
			end = e.End
		}
		if better, ok := corrected(text, errs); ok {
			if _, errs := Parse(better); len(errs) > 0 && IsRecord(text) {
				t.Fatalf("%q is corrected to %q: %v", text, better, errs[0])
			}
		}
		for _, fix := range []string{merged([]string{text, text})} {
			if strings.Count(fix, Version) == 0 {
				t.Fatalf("%q is merged to %q", text, fix)
			}
		}
		if record, ok := meant(text); ok {
			if _, errs := Parse(record); len(errs) > 0 {
				t.Fatalf("%q was meant to be %q: %v", text, record, errs[0])
			}
		}
	})
}

// plain are the terms without their places.
func plain(r *Record) []string {
	var list []string
	for _, t := range r.Terms {
		t.Text, t.Offset = "", 0
		list = append(list, fmt.Sprintf("%+v", t))
	}
	return list
}
