package dkim

import (
	"strings"
	"testing"
)

func TestASCIIName(t *testing.T) {
	label63 := strings.Repeat("a", 63)
	tests := []struct {
		name, in, want string // want "": refused
	}{
		{"plain", "example.com", "example.com"},
		{"letter case", "Example.COM", "example.com"},
		{"one label", "localhost", "localhost"},
		{"underscore", "s_1", "s_1"},
		{"digits and hyphens", "2024-05.ex-ample.com", "2024-05.ex-ample.com"},
		{"A-label", "XN--bcher-kva.example", "xn--bcher-kva.example"},
		{"U-label", "bücher.example", "xn--bcher-kva.example"},
		{"U-label in upper case", "BÜCHER.example", "xn--bcher-kva.example"},
		{"sharp s stays itself", "faß.example", "xn--fa-hia.example"},
		{"U-label beside an underscore", "_x.bücher.example", "_x.xn--bcher-kva.example"},
		{"longest label", label63 + ".example", label63 + ".example"},

		{"empty", "", ""},
		{"final dot", "example.com.", ""},
		{"first dot", ".example.com", ""},
		{"two dots", "example..com", ""},
		{"parenthesis", "legit.com(.example.com", ""},
		{"blank", "exam ple.com", ""},
		{"fold", "exam\r\n ple.com", ""},
		{"semicolon", "a;b.example", ""},
		{"no-break space", "exam\u00a0ple.com", ""},
		{"no-break space in Latin-1", "exam\xa0ple.com", ""},
		{"fullwidth letters", "ｅｘａｍｐｌｅ.com", ""},
		{"ideographic full stop", "example。com", ""},
		{"Kelvin sign", "\u212aelvin.example", ""},
		{"hyphen first", "-a.example", ""},
		{"hyphen last", "a-.example", ""},
		{"label too long", label63 + "a.example", ""},
		{"name too long", strings.Repeat(label63+".", 4) + "example", ""},
		{"U-label too long", strings.Repeat("ü", 200) + ".example", ""},
		{"far too long", strings.Repeat("ü.", 100000), ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := DomainName(tt.in)
			if got != tt.want || (err == nil) != (tt.want != "") {
				t.Errorf("DomainName(%s) = %q, %v; want %q", excerpt(tt.in), got, err, tt.want)
			}
		})
	}
}

func TestWithin(t *testing.T) {
	tests := []struct {
		name, domain string
		want         bool
	}{
		{"example.com", "example.com", true},
		{"a.example.com", "example.com", true},
		{"a.b.example.com", "example.com", true},
		{"badexample.com", "example.com", false},
		{"example.com", "a.example.com", false},
		{"example.org", "example.com", false},
		{"com", "example.com", false},
	}
	for _, tt := range tests {
		if got := Within(tt.name, tt.domain); got != tt.want {
			t.Errorf("Within(%q, %q) = %v", tt.name, tt.domain, got)
		}
	}
}
