package mailbox

import (
	"errors"
	"slices"
	"strings"
	"testing"
)

func TestManyAddresses(t *testing.T) {
	for _, tt := range []struct {
		n  int
		ok bool
	}{{MaxAddresses, true}, {MaxAddresses + 1, false}} {
		got, err := ParseList(strings.Repeat("a@b.com,", tt.n))
		if len(got) != MaxAddresses || tt.ok != (err == nil) || err != nil && !errors.Is(err, ErrTooMany) {
			t.Errorf("%d: got %d addresses, %v", tt.n, len(got), err)
		}
	}
}

// A megabyte of each is read in one pass; square time would not end here.
func TestHostile(t *testing.T) {
	const size = 1 << 20
	for _, part := range []string{
		"(", "()", "(()", `"`, `""`, "[", "[]", "<", "<>", ",", ";", ":", "G:", "G:;", "@", ".", "a ", "a.", "a@", "a@b ",
		"<a@b", "<a@b,", "<@", "<@x,", "<mailto:,", "<mailto:a>", "mailto:a ", "mailto:", "<x://,", "\\", "\r\n ", "\r", "\x00", "\xff",
	} {
		got, _ := ParseList(strings.Repeat(part, size/len(part)))
		if len(got) != 0 {
			t.Errorf("%q: %d addresses", part, len(got))
		}
	}
	long := strings.Repeat("a.", size/2) + "a"
	if got, err := ParseList(long + "@" + long); err != nil || len(got) != 1 || got[0] != (Address{long, long}) {
		t.Errorf("long address: %d addresses, %v", len(got), err)
	}
}

// FuzzParseList: every address that is found, written out, is read back as
// itself, also among others.
func FuzzParseList(f *testing.F) {
	for _, s := range []string{
		`"Name" <a@b.com>, "a b"@c.com`, "G: a@b, c@[1.2.3.4];", "<@x,@y:a@b>", "(c (d)) a . b @ c (", "<mailto:l@e?x=y>",
		"=?utf-8?q?x?= <用户@例え.テスト>", "\"\r\n \\\"\"@x", ".a.@b", "a@b c@d", "a@b <a@b>",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, value string) {
		found, _ := ParseList(value)
		var all []string
		for _, a := range found {
			s := a.String()
			all = append(all, "\"x, <y@z>\" <"+s+">")
			if got, err := ParseList(s); err != nil || !slices.Equal(got, []Address{a}) {
				t.Errorf("%q: found %+v, again %+v, %v", value, a, got, err)
			}
			if got, err := Parse(s); err != nil || got != a {
				t.Errorf("%q: found %+v, alone %+v, %v", value, a, got, err)
			}
			if strings.ContainsAny(s, "\r\n\x00") {
				t.Errorf("%q: control characters in %q", value, s)
			}
		}
		if got, err := ParseList(strings.Join(all, ",\r\n\t")); err != nil || !slices.Equal(got, found) {
			t.Errorf("%q: found %+v, again %+v, %v", value, found, got, err)
		}
	})
}
