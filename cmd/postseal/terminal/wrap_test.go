package terminal

import (
	"strings"
	"testing"
)

func TestColumns(t *testing.T) {
	for _, row := range []struct {
		name, text string
		want       int
	}{
		{"nothing", "", 0},
		{"ASCII", "abc", 3},
		{"Latin", "Müller", 6},
		{"combining mark", "Mu\u0308ller", 6},
		{"wide", "日本", 4},
		{"fullwidth", "ＡＢ", 4},
		{"halfwidth", "ｱｲ", 2},
		{"ambiguous is narrow", "αβ", 2},
		{"zero-width joiner", "a\u200db", 2},
		{"emoji", "📧", 2},
		{"not UTF-8", "\xff\xfe", 2},
		{"colours", Palette{on: true}.Bad("no") + "!", 3},
		{"no colour", "\x1b[2J", 4},
		{"a colour that does not end", "\x1b[1;3", 5},
	} {
		t.Run(row.name, func(t *testing.T) {
			if got := Columns(row.text); got != row.want {
				t.Errorf("%q has %d columns, want %d", row.text, got, row.want)
			}
		})
	}
}

func TestWrap(t *testing.T) {
	on := Palette{on: true}
	for _, row := range []struct {
		name, text string
		width      int
		indent     string
		want       string
	}{
		{"fits", "one two", 7, "  ", "one two"},
		{"hangs", "one two three", 7, "  ", "one two\n  three"},
		{"each line", "one two\nthree four", 8, "  ", "one two\n  three\n  four"},
		{"blanks before are kept", "  one two", 6, "    ", "  one\n    two"},
		{"blanks behind are not", "one   ", 9, "", "one"},
		{"double blanks are kept within a line", "a  b", 9, "", "a  b"},
		{"a long word stays whole", "a 0123456789 b", 5, " ", "a\n 0123456789\n b"},
		{"wide characters", "日本 日本", 8, "", "日本\n日本"},
		{"colours take no room", on.Bad("one") + " two", 7, "", on.Bad("one") + " two"},
		{"empty", "", 7, "  ", ""},
		{"an empty line", "a\n\nb", 7, "  ", "a\n  \n  b"},
	} {
		t.Run(row.name, func(t *testing.T) {
			if got := Wrap(row.text, row.width, row.indent); got != row.want {
				t.Errorf("%q, want %q", got, row.want)
			}
		})
	}
}

// Whatever the text: no word is lost, and no line is wider than it has to be.
func FuzzWrap(f *testing.F) {
	f.Add("one two  three", 7, "  ")
	f.Add("日本 \x1b[31mred\x1b[0m\nx", 4, "> ")
	f.Fuzz(func(t *testing.T, text string, width int, indent string) {
		if len(text) > 1<<12 || len(indent) > 10 || strings.ContainsAny(indent, "\n") {
			return
		}
		got := Wrap(text, width, indent)
		if strings.TrimSpace(indent) == "" && strings.Join(strings.Fields(got), " ") != strings.Join(strings.Fields(text), " ") {
			t.Fatalf("%q became %q", text, got)
		}
		for i, line := range strings.Split(got, "\n") {
			if i > 0 {
				line = strings.TrimPrefix(line, indent)
			}
			words := strings.Split(strings.Trim(line, " "), " ")
			if len(words) > 1 && strings.TrimSpace(indent) == "" && Columns(indent)+Columns(strings.Trim(line, " ")) > max(width, 0)+Columns(indent) {
				t.Fatalf("the line %q is wider than %d", line, width)
			}
		}
	})
}
