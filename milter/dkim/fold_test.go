package dkim

import (
	"strings"
	"testing"
)

func TestQuotedPrintable(t *testing.T) {
	for in, want := range map[string]string{
		"":               "",
		"joe@example":    "joe@example",
		"a b;c=d|e":      "a=20=62=3Bc=3Dd=7Ce",
		"\x00\t\r\n\x7f": "=00=09=0D=0A=7F",
		"ü":              "=C3=BC",
		"b":              "b",
		"abbc":           "abbc",
		"bb b":           "=62=62=20b",
		"B b.":           "B=20b.",
	} {
		if got := quotedPrintable(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

// What is quoted reads back as it was, holds nothing that ends a tag or a
// line, and nothing that looks like the tag b=.
func FuzzQuotedPrintable(f *testing.F) {
	for _, seed := range []string{"", "joe=x", "club news", "bbbb bbb;b", "\x00\xff|", "=62"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		quoted := quotedPrintable(s)
		if strings.Contains(quoted, "b=") || strings.ContainsAny(quoted, ";|\r\n\t ") {
			t.Errorf("%q becomes %q", s, quoted)
		}
		back, err := decodeQuotedPrintable(quoted)
		if control := strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f }); (err != nil) != control || err == nil && back != s {
			t.Errorf("%q becomes %q and reads as %q, %v", s, quoted, back, err)
		}
	})
}
