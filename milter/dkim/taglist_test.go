package dkim

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParseTagList(t *testing.T) {
	many := func(n int) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, "t%d=x;", i)
		}
		return b.String()
	}
	tests := []struct {
		name, text string
		want       [][2]string // nil: an error
	}{
		{"one", "v=1", [][2]string{{"v", "1"}}},
		{"semicolon at the end", "v=1; a=b;", [][2]string{{"v", "1"}, {"a", "b"}}},
		{"blanks after the last semicolon", "v=1;\r\n ", [][2]string{{"v", "1"}}},
		{"blanks everywhere", " v = 1 ;\r\n\ta\t= b c ", [][2]string{{"v", "1"}, {"a", "b c"}}},
		{"fold of a bare LF", "v=1;\n a=b", [][2]string{{"v", "1"}, {"a", "b"}}},
		{"empty value", "p=; v=1", [][2]string{{"p", ""}, {"v", "1"}}},
		{"equals signs in a value", "b=ab==", [][2]string{{"b", "ab=="}}},
		{"names with digits and underscore", "x_2=1", [][2]string{{"x_2", "1"}}},
		{"names keep their case", "A=1; a=2", [][2]string{{"A", "1"}, {"a", "2"}}},
		{"UTF-8 value", "d=bücher.example", [][2]string{{"d", "bücher.example"}}},
		{"no-break space is no white space", "d=\u00a0x\u00a0", [][2]string{{"d", "\u00a0x\u00a0"}}},
		{"as many as allowed", many(maxTags), func() (w [][2]string) {
			for i := range maxTags {
				w = append(w, [2]string{fmt.Sprintf("t%d", i), "x"})
			}
			return w
		}()},

		{"nothing", "", nil},
		{"only blanks", " \t", nil},
		{"only a semicolon", ";", nil},
		{"empty tag in the middle", "v=1;;a=b", nil},
		{"empty tag at the start", ";v=1", nil},
		{"two semicolons at the end", "v=1;;", nil},
		{"no equals sign", "v=1; foo", nil},
		{"no name", "=1", nil},
		{"name begins with a digit", "1v=1", nil},
		{"name begins with underscore", "_v=1", nil},
		{"blank in a name", "v w=1", nil},
		{"8-bit name", "é=1", nil},
		{"Kelvin sign is no letter", "\u212a=1", nil},
		{"twice the same", "v=1; v=1", nil},
		{"NUL", "v=1; a=\x00", nil},
		{"vertical tab", "v=\v1", nil},
		{"form feed", "v=1\f", nil},
		{"DEL", "v=\x7f", nil},
		{"bare CR", "v=1;\r a=b", nil},
		{"CR at the end", "v=1\r", nil},
		{"too many tags", many(maxTags + 1), nil},
		{"too long", "v=" + strings.Repeat("x", maxTagListBytes), nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			list, err := parseTagList(tt.text)
			if tt.want == nil {
				if err == nil {
					t.Fatalf("parsed as %v; want an error", list)
				}
				if len(err.Error()) > 300 {
					t.Errorf("error of %d octets repeats the input", len(err.Error()))
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			var got [][2]string
			for _, tag := range list {
				got = append(got, [2]string{tag.name, tag.value})
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("-want +got\n%s", diff)
			}
		})
	}
}

// The offsets of a value and the text between them rebuild the list.
func FuzzTagList(f *testing.F) {
	for _, seed := range []string{
		"v=1; a=rsa-sha256;\r\n b = ab\r\n cd ; bh=x", "p=", "v=1;;", " v = DKIM1 ; ", "z=a|b=c; xb=1; b=", "\xff=1", "a", ";",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		list, err := parseTagList(text)
		if err != nil {
			return
		}
		var rebuilt []string
		for _, tag := range list {
			if trimFWS(text[tag.start:tag.end]) != tag.value {
				t.Fatalf("%q: offsets of %s= enclose %q, the value is %q", text, tag.name, text[tag.start:tag.end], tag.value)
			}
			if text[tag.start-1] != '=' || tag.end < len(text) && text[tag.end] != ';' {
				t.Fatalf("%q: value of %s= is not between = and ;", text, tag.name)
			}
			if v, ok := list.get(tag.name); !ok || v != tag.value {
				t.Fatalf("%q: get(%s) = %q, %v", text, tag.name, v, ok)
			}
			rebuilt = append(rebuilt, tag.name+"="+tag.value)
		}
		again, err := parseTagList(strings.Join(rebuilt, ";"))
		if err != nil || len(again) != len(list) {
			t.Fatalf("%q: rebuilt list %q has %d tags, error %v", text, rebuilt, len(again), err)
		}
		for i := range list {
			if again[i].name != list[i].name || again[i].value != list[i].value {
				t.Fatalf("%q: tag %d is %v after rebuilding, was %v", text, i, again[i], list[i])
			}
		}
	})
}
