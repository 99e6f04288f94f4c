package dkim

import (
	"regexp"
	"strings"
	"testing"
)

func TestAppendHeader(t *testing.T) {
	tests := []struct {
		name  string
		field Field
		want  string // relaxed
	}{
		// RFC 6376 §3.4.5
		{"RFC example A", Field{"A", " X"}, "a:X\r\n"},
		{"RFC example B", Field{"B ", " Y\t\r\n\tZ  "}, "b:Y Z\r\n"},
		{"empty value", Field{"Subject", ""}, "subject:\r\n"},
		{"blank value", Field{"Subject", " \t "}, "subject:\r\n"},
		{"value of folds", Field{"Subject", "\r\n \r\n\t\r\n "}, "subject:\r\n"},
		{"no blank after the colon", Field{"Subject", "x"}, "subject:x\r\n"},
		{"folded at once", Field{"Subject", "\r\n x"}, "subject:x\r\n"},
		{"fold in blanks", Field{"To", " a, \t\r\n \t b"}, "to:a, b\r\n"},
		{"fold at the end", Field{"To", " a\r\n "}, "to:a\r\n"},
		{"tab before the colon", Field{"SUBJect\t ", " A  B"}, "subject:A B\r\n"},
		{"colons in the value", Field{"Subject", " a : b:c "}, "subject:a : b:c\r\n"},
		{"bare CR and LF stay", Field{"X", " a\rb\nc \r \n d\r"}, "x:a\rb\nc \r \n d\r\r\n"},
		{"CRLF without blank stays", Field{"X", " a\r\nb\r\n"}, "x:a\r\nb\r\n\r\n"},
		{"NUL, 8 bit and other spaces stay", Field{"X\u00c9", " \x00 \xe9\v\f\u00a0 \u00a0"}, "x\u00c9:\x00 \xe9\v\f\u00a0 \u00a0\r\n"},
		{"Unicode does not fold", Field{"\u212aey", " x"}, "\u212aey:x\r\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := string(Relaxed.AppendHeader([]byte("+"), tt.field)); got != "+"+tt.want {
				t.Errorf("relaxed: %q, want %q", got, "+"+tt.want)
			}
			want := "+" + tt.field.Name + ":" + tt.field.Value + "\r\n"
			if got := string(Simple.AppendHeader([]byte("+"), tt.field)); got != want {
				t.Errorf("simple: %q, want %q", got, want)
			}
		})
	}
}

func TestHeaderIndex(t *testing.T) {
	fields := []Field{
		{"Received", " 1"}, {"received ", " 2"}, {"From", " a"}, {"RECEIVED", " 3"},
		{strings.Repeat("Long", 40), ""}, {"", " nameless"}, {"to", " b"},
	}
	type pick struct {
		name string
		want int
	}
	picks := []pick{
		{"Received", 3}, {"from", 2}, {"reCEIVED\t", 1}, {"received", 0}, {"Received", -1}, {"Received", -1},
		{"From", -1}, {"Cc", -1}, {strings.Repeat("lONG", 40), 4}, {strings.Repeat("long", 40), -1}, {"", 5}, {"To", 6},
	}
	x := newHeaderIndex(fields)
	fresh := x.picker()
	for round, x := range []*headerIndex{x, fresh, x.picker(), newHeaderIndex(fields)} {
		for _, p := range picks {
			if i, ok := x.pick(p.name); i != p.want || ok != (p.want >= 0) {
				t.Errorf("round %d: pick(%q) = %d, %t; want %d", round, p.name, i, ok, p.want)
			}
		}
	}
	if i, ok := newHeaderIndex(nil).pick("From"); i != -1 || ok {
		t.Errorf("pick of no fields = %d, %t", i, ok)
	}
}

// relaxedHeader is the plain reading of RFC 6376 §3.4.2.
func relaxedHeader(f Field) string {
	name := regexp.MustCompile(`[A-Z]`).ReplaceAllStringFunc(strings.TrimRight(f.Name, " \t"), strings.ToLower)
	value := regexp.MustCompile(`\r\n([ \t])`).ReplaceAllString(f.Value, "$1")
	value = regexp.MustCompile(`[ \t]+`).ReplaceAllString(value, " ")
	return name + ":" + strings.Trim(value, " ") + "\r\n"
}

func FuzzAppendHeader(f *testing.F) {
	f.Add("Subject ", " a \t\r\n\t b\r\nc\r\r\n \n")
	f.Add("X", "\r\n \r\n \r\n")
	f.Fuzz(func(t *testing.T, name, value string) {
		if len(value) > 5000 {
			t.Skip("long enough is long enough")
		}
		dense := strings.Map(func(o rune) rune { return rune(" \t\r\n\r\nab"[uint32(o)%8]) }, value)
		for _, v := range []string{value, dense} {
			field := Field{name, v}
			got := string(Relaxed.AppendHeader(nil, field))
			if want := relaxedHeader(field); got != want {
				t.Errorf("%q: %q, want %q", field, got, want)
			}
			if strings.Contains(name, ":") || strings.Contains(v, "\r\n\r\n") {
				continue // no field of any message
			}
			name, v, _ := strings.Cut(strings.TrimSuffix(got, "\r\n"), ":")
			if again := string(Relaxed.AppendHeader(nil, Field{name, v})); again != got {
				t.Errorf("%q is not stable: %q", got, again)
			}
		}
	})
}
