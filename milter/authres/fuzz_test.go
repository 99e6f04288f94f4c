package authres

import (
	"regexp"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
)

// readable is what a value of the caller must come back as, said in other
// words than the code's.
func readable(s string) string {
	var b strings.Builder
	for len(s) > 0 {
		r, n := utf8.DecodeRuneInString(s)
		switch {
		case strings.ContainsRune("\t\r\n", r):
			r = ' '
		case unicode.IsControl(r), r > unicode.MaxASCII:
			r = '?'
		}
		b.WriteRune(r)
		s = s[n:]
	}
	return b.String()
}

func word(s string) string {
	s = regexp.MustCompile(`[^a-zA-Z0-9]`).ReplaceAllString(readable(s), "")
	return strings.ToLower("k" + s[:min(len(s), 30)])
}

// FuzzRoundTrip: what String writes from any strings, Parse reads back, and no
// line end gets out but as a fold.
func FuzzRoundTrip(f *testing.F) {
	f.Add("mx.example.org", "pass", "key revoked", "2048-bit key", "header", "d", "example.com", "@example.com", 0)
	f.Add("@mx", "pass", "", "", "header", "d", "", "", 0)
	f.Add("mx/1", "", "a\r\nb", "c) dkim=pass (", "smtp", "mailfrom", `"; x=y`, `\`, 1)
	f.Add("", "x", " ", "()", "a", "b", "\"a b\"@c", strings.Repeat(" long words", 60), 2)
	f.Fuzz(func(t *testing.T, id, value, reason, comment, ptype, name, v1, v2 string, version int) {
		for _, s := range []string{id, reason, comment, v1, v2} {
			if len(s) > MaxValue/3 {
				t.Skip("would be cut")
			}
		}
		raw := Header{AuthservID: id, Version: version, Results: []Result{
			{Method: "dkim", Value: value, Reason: reason, Comment: comment, Properties: []Property{{ptype, name, v1}}},
			{Method: ptype, Version: version, Value: name, Properties: []Property{{name, ptype, v2}, {ptype, value, id}}},
		}}
		checkFolds(t, raw.String())
		if _, err := Parse(raw.String()); err != nil {
			t.Fatalf("%q: %v", raw.String(), err)
		}

		version = max(version, 0) % 1e9
		in := Header{AuthservID: id, Version: version, Results: []Result{
			{Method: "dkim", Version: version, Value: word(value), Reason: reason, Comment: comment, Properties: []Property{{word(ptype), word(name), v1}, {"header", "i", v2}}},
			{Method: word(ptype), Value: "none", Properties: []Property{{"header", "i", "@" + v2}, {"header", "b", id}}},
		}}
		want := Header{AuthservID: readable(id), Version: version, Results: []Result{
			{Method: "dkim", Version: version, Value: word(value), Reason: readable(reason), Comment: readable(comment), Properties: []Property{{word(ptype), word(name), readable(v1)}, {"header", "i", readable(v2)}}},
			{Method: word(ptype), Value: "none", Properties: []Property{{"header", "i", "@" + readable(v2)}, {"header", "b", readable(id)}}},
		}}
		text := in.String()
		checkFolds(t, text)
		got, err := Parse(text)
		if err != nil {
			t.Fatalf("%q: %v", text, err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%q: -want +got\n%s", text, diff)
		}
		if name := strings.TrimLeft(id, " "); name != "" && word(name[:1]) != "k" && !Claims(text, readable(id)) {
			t.Errorf("%q does not claim %q", text, id)
		}
	})
}

func checkFolds(t *testing.T, text string) {
	t.Helper()
	if strings.ContainsFunc(text, func(r rune) bool { return r > unicode.MaxASCII }) {
		t.Errorf("%q is not ASCII", text)
	}
	flat := strings.ReplaceAll(text, "\r\n\t", "")
	if i := strings.IndexFunc(flat, unicode.IsControl); i >= 0 {
		t.Errorf("%q has a control character outside of folds", text)
	}
	for _, line := range strings.Split(text, "\r\n") {
		if len(line) > 998 || strings.TrimSpace(line) == "" {
			t.Errorf("line %q", line)
		}
	}
}

// FuzzParse: what Parse accepts, String writes so that it reads the same.
func FuzzParse(f *testing.F) {
	f.Add("mx.example.org; dkim=pass (2048-bit key) header.d=example.com header.i=@example.com; spf=none")
	f.Add("(a)\"mx\" 1;\r\n\tdkim/1 = fail reason=\"a\\\"b\" header . b = \"a/b\"")
	f.Add("mx; none")
	f.Fuzz(func(t *testing.T, value string) {
		h, err := Parse(value)
		if err != nil || len(value) > maxKeyword {
			return
		}
		again, err := Parse(h.String())
		if err != nil {
			t.Fatalf("%q: %v", h.String(), err)
		}
		// What is not ASCII is legal in, and replaced on the way out.
		if plain := readable(value); strings.Count(plain, "?") == strings.Count(value, "?") {
			if diff := cmp.Diff(h, again); diff != "" {
				t.Errorf("%q: -first +again\n%s", value, diff)
			}
		}
		if !Claims(value, h.AuthservID) && Claims(Header{AuthservID: h.AuthservID}.String(), h.AuthservID) {
			t.Errorf("%q does not claim %q", value, h.AuthservID)
		}
	})
}
