package main

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode"
)

func TestShown(t *testing.T) {
	for _, tt := range []struct{ in, want string }{
		{"example.com", "example.com"},
		{"", `""`},
		{"a b", `"a b"`},
		{"\x1b[2J", `"\x1b[2J"`},
		{"\u202egro.elpmaxe", `"\u202egro.elpmaxe"`},
		{"\u009b2J", `"\u009b2J"`},
		{`a"b`, `"a\"b"`},
		{"bücher.example", `"bücher.example"`},
		{"\xff", `"\xff"`},
	} {
		if got := shown(tt.in); got != tt.want {
			t.Errorf("shown(%q) = %s, want %s", tt.in, got, tt.want)
		}
	}
}

func TestPrintable(t *testing.T) {
	for _, tt := range []struct{ in, want string }{
		{`the domain "example.com"`, `the domain "example.com"`},
		{"line\nline", `line\nline`},
		{"a \"b\" \x1b[2J", `a "b" \x1b[2J`},
		{"a\u009bb", `a\u009bb`},
	} {
		if got := printable(tt.in); got != tt.want {
			t.Errorf("printable(%q) = %s, want %s", tt.in, got, tt.want)
		}
	}
}

func TestMboxLine(t *testing.T) {
	for _, tt := range []struct {
		name, in string
		want     int
	}{
		{"none", "From: a@b.example\n\n", 0},
		{"mbox", "From a@b.example Mon Nov  2 10:00:00 2026\nTo: c\n", 42},
		{"obsolete field", "From : a@b.example\n\n", 0},
		{"obsolete field with a tab", "From \t: a@b.example\n\n", 0},
		{"no line end", "From a@b.example", 16},
		{"empty", "", 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := mboxLine([]byte(tt.in)); got != tt.want {
				t.Errorf("mboxLine(%q) = %d, want %d", tt.in, got, tt.want)
			}
		})
	}
}

func FuzzEscapeControls(f *testing.F) {
	f.Add("a\u009b\u202e\u007f")
	f.Add("\U000e0001 é 漢")
	f.Fuzz(func(t *testing.T, s string) {
		s = strings.ToValidUTF8(s, "?")
		plain, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		safe := escapeControls(plain)
		var back string
		if err := json.Unmarshal(safe, &back); err != nil || back != s {
			t.Errorf("%q came back as %q: %v", s, back, err)
		}
		for _, c := range string(safe) {
			if !unicode.IsPrint(c) {
				t.Errorf("%q holds %q", safe, c)
			}
		}
	})
}
