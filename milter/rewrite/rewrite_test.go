package rewrite

import (
	"errors"
	"strings"
	"testing"
)

func TestApply(t *testing.T) {
	for _, row := range []struct{ name, rules, value, want string }{
		{"once", "X\tY\n", " aXb", " aYb"},
		{"everywhere", "X\tY\n", " aXbXc", " aYbYc"},
		{"until nothing is left", "aa\ta\n", " baaaaaaab", " bab"},
		{"the last rule comes first", "X\tY\nY\tZ\n", "X", "Y"},
		{"and feeds the one before", "Y\tZ\nX\tY\n", "X", "Z"},
		{"its own text again", "X\tXX\n", "aXb", "aXXb"},
		{"nothing in the text is special", "\\(X\\)b\t<\\1$1&>\n", "aXb", "a<\\1$1&>"},
		{"taken out", "X\t\n", "aXbX", "ab"},
		{"the last TAB divides", "a\tb\tc\n", "a\tb", "c"},
		{"blanks count", "X \t Y\n", "aX Xb", "a YXb"},
		{"a comment", "X\tY # text\n# more\n\n  # again\n", "X", "Y "},
		{"lines end in CRLF", "X\tY\r\n", "X", "Y"},
		{"no end of the last line", "X\tY", "X", "Y"},
		{"the blank before the value", "^ a\tq\n", " aXa", "qXa"},
		{"the end", "c$\tq\n", "cbc", "cbq"},
		{"letter case counts", "x\tq\n", "X", "X"},
		{"across a fold", "a.b\tq\n", "a\r\n b", "a\r\n b"},
		{"a fold is one character", "a. b\tq\n", "a\r\n b", "q"},
		{"folds stay", "X\tY\n", "a\r\n X\r\n\tX", "a\r\n Y\r\n\tY"},
		{"octets that are no text", "[\xe0-\xff]b\t\xe4\n", " a\xe4b\xc3", " a\xe4\xc3"},
		{"an octet is a character", "^.$\tq\n", "\xe4", "q"},
		{"the longest alternative", "a\\|ab\tq\n", "abc", "qc"},
		{"no match", "X\tY\n", " \xe4\r\n b", " \xe4\r\n b"},
		{"a long value", "a\tb\n", strings.Repeat("a", 100_000), strings.Repeat("b", 100_000)},
		{"no rules", "", "x", "x"},
	} {
		t.Run(row.name, func(t *testing.T) {
			r, err := Parse(row.rules)
			if err != nil {
				t.Fatal(err)
			}
			if got, err := r.Header().Apply(row.value); got != row.want || err != nil {
				t.Errorf("got %q, %v; want %q", got, err, row.want)
			}
		})
	}
}

// What OpenDKIM would never get ready with has an end.
func TestApplyEnds(t *testing.T) {
	for _, row := range []struct{ name, rules, value string }{
		{"that grows", "ab\tbbaa\n", strings.Repeat("a", 1000) + strings.Repeat("b", 1000)},
		{"that grows at once", "X\t" + strings.Repeat("y", 1000) + "\n", strings.Repeat("X", 100)},
		{"that sorts", "ba\tab\n", strings.Repeat("b", 100) + strings.Repeat("a", 100)},
	} {
		t.Run(row.name, func(t *testing.T) {
			r, err := Parse(row.rules)
			if err != nil {
				t.Fatal(err)
			}
			got, err := r.Header().Apply(row.value)
			if !errors.Is(err, ErrEndless) || !strings.Contains(err.Error(), "line 1") || got != row.value {
				t.Errorf("got %d octets, %v; want the value as it was and ErrEndless with its line", len(got), err)
			}
		})
	}
	r, err := Parse("a\tbbbbbbbbbb\n")
	if err != nil {
		t.Fatal(err)
	}
	header, grown := r.Header(), 0
	for range 1000 {
		got, _ := header.Apply(strings.Repeat("a", 100))
		grown += len(got) - 100
	}
	if grown > maxGrowth || grown < maxGrowth-1000 {
		t.Errorf("a header grew by %d octets", grown)
	}
	if r, err = Parse("y\\|y.*x\tq\n"); err != nil {
		t.Fatal(err)
	}
	header = r.Header()
	header.work = 1000
	for _, row := range []struct {
		length int
		ends   bool
	}{{20, true}, {40, false}, {10, true}, {1000, false}, {1, false}} { // the last finds nothing left
		if _, err := header.Apply(strings.Repeat("y", row.length)); errors.Is(err, ErrEndless) == row.ends {
			t.Errorf("%d octets, each with a look at the rest: %v", row.length, err)
		}
	}
	for _, rules := range []string{"X\tX\n", "a*\tq\n", "$\tx\n", ".*\tq\n"} {
		r, err := Parse("# text\n" + rules)
		if err != nil {
			t.Fatal(err)
		}
		if n := r.Notes(); len(n) != 1 || !strings.HasPrefix(n[0], "line 2: ") {
			t.Errorf("%q: notes %q; want one for line 2", rules, n)
		}
		if _, err := r.Header().Apply("Xa"); err != nil {
			t.Errorf("%q: %v", rules, err)
		}
	}
}

func TestParseErrors(t *testing.T) {
	for _, row := range []struct{ name, rules, want string }{
		{"no TAB", "X Y\n", "line 1: it has no TAB"},
		{"no TAB before a comment", "a\tb\nX#\tY\n", "line 2: it has no TAB"},
		{"no pattern", "\tY\n", "no pattern"},
		{"a group without end", "\\(a\tq\n", `a \( has no \)`},
		{"an end without group", "a\\)\tq\n", `a \) has no \(`},
		{"a set without end", "[a\tq\n", "a [ has no ]"},
		{"a class without end", "[[:alpha:\tq\n", "a [: has no :]"},
		{"an unknown class", "[[:foo:]]\tq\n", "no class [:foo:]"},
		{"a collating element", "[[.space.]]\tq\n", "more than one character"},
		{"a range in reverse", "[z-a]\tq\n", "the range z-a"},
		{"a range of ranges", "[a-b-c]\tq\n", "follows the range a-b"},
		{"a star after a star", "a**\tq\n", "nothing to repeat"},
		{"an interval at the beginning", "\\{1\\}X\tq\n", "nothing to repeat"},
		{"an interval without end", "a\\{2\tq\n", `\{ has no \}`},
		{"an interval without number", "a\\{\\}\tq\n", `\{ has no number`},
		{"an interval in reverse", "a\\{2,1\\}\tq\n", "wrong order"},
		{"many repetitions", "a\\{256\\}\tq\n", "more than 255 times"},
		{"repetitions of repetitions", "\\(\\(a\\{255\\}\\)\\{255\\}\\)\\{255\\}\tq\n", "invalid repeat count"},
		{"a back-reference", "\\(.\\)\\1\tq\n", `back-reference \1`},
		{"the beginning of a word", "\\<a\tq\n", `\< is not supported`},
		{"a backslash at the end", "X\\\tq\n", `a \ stands at the end`},
		{"a long line", strings.Repeat("X", maxLine) + "\tY\n", "longer than 4096"},
		{"a NUL", "X\tY\x00\n", "NUL"},
		{"many rules", strings.Repeat("X\tY\n", maxRules+1), "line 1001: there are more than 1000 rules"},
		{"deep groups", strings.Repeat("\\(", 51) + "a" + strings.Repeat("\\)", 51) + "\tq\n", "too many"},
	} {
		t.Run(row.name, func(t *testing.T) {
			if _, err := Parse(row.rules); err == nil || !strings.Contains(err.Error(), row.want) {
				t.Errorf("got %v, want %q in it", err, row.want)
			}
		})
	}
}

// The rows are what regcomp(3) and regexec(3) of the GNU C library find in the
// C locale.
func TestPattern(t *testing.T) {
	for _, row := range []struct {
		pattern, text string
		want          string // the match; "-" for none
	}{
		{`x+y`, "xx+y", "x+y"}, {`x\+y`, "axxy", "xxy"}, {`x?`, "x?", "x?"}, {`ax\?b`, "ab", "ab"},
		{`a{2}`, "aa{2}", "a{2}"}, {`a\{2\}`, "aaa", "aa"}, {`a\{2,\}`, "aaaa", "aaaa"}, {`a\{,2\}b`, "aaab", "aab"},
		{`*a`, "x*a", "*a"}, {`\(*a\)`, "*a", "*a"}, {`^*a`, "*a", "*a"}, {`a\|*b`, "*b", "*b"}, {`\+a`, "+a", "+a"},
		{`a^b`, "a^b", "a^b"}, {`a$b`, "a$b", "a$b"}, {`\(^a\)`, "ba", "-"}, {`a\|^b`, "cb", "-"}, {`^^`, "^", "^"}, {`\(a$\)`, "ab", "-"},
		{`a|b`, "a|b", "a|b"}, {`(a)`, "(a)", "(a)"}, {`[]a]b`, "]b", "]b"}, {`[^]a]b`, "cb", "cb"}, {`[a-]b`, "-b", "-b"}, {`[\n]`, "n", "n"},
		{`[\.]`, `\`, `\`}, {`[[.a.]-c]`, "b", "b"}, {`[[=a=]]`, "a", "a"}, {`[[:upper:][:digit:]_]*`, "A1_b", "A1_"},
		{`\w\W\s\S`, "a- b", "a- b"}, {`\ba\B.`, "xa ab", "ab"}, {"\\`a", "ba", "-"}, {`a\'`, "ab", "-"}, {`\n`, "n", "n"}, {`\.`, "a.", "."},
		{`a*\+b`, "aab", "aab"}, {`\(a\|ab\)\(c\|bcd\)`, "abcd", "abcd"}, {`a.b`, "a\nb", "a\nb"},
	} {
		e, err := compile(row.pattern)
		if err != nil {
			t.Errorf("%s: %v", row.pattern, err)
			continue
		}
		got := "-"
		if at := e.re.FindStringIndex(row.text); at != nil {
			got = row.text[at[0]:at[1]]
		}
		if got != row.want {
			t.Errorf("%s in %q: got %q, want %q", row.pattern, row.text, got, row.want)
		}
	}
}

// Rules that are accepted have an end, keep what they do not match octet by
// octet, and make a value longer by no more than the limit.
func FuzzApply(f *testing.F) {
	f.Add("X\tY\n", " aXbXc\r\n d")
	f.Add("a*\tq\n[[:alpha:]-z]\\{2,3\\}\\|^b$\t\xff # text\n", "aa\xc3\xe4\r\nb")
	f.Add("ab\tbbaa\nba\tab\n", "aaaabbbb")
	f.Fuzz(func(t *testing.T, rules, value string) {
		r, err := Parse(rules)
		if err != nil {
			return
		}
		got, err := r.Header().Apply(value)
		if err != nil && got != value {
			t.Errorf("%v, and the value became %q", err, got)
		}
		if most := 3*len(value) + 3*maxGrowth; len(got) > most {
			t.Errorf("%d octets became %d", len(value), len(got))
		}
		for _, rule := range r.rules {
			if rule.re.MatchString(asRunes(strings.ReplaceAll(value, "\r\n", "\n"))) {
				return
			}
		}
		if got != value {
			t.Errorf("no rule matches, and %q became %q", value, got)
		}
	})
}
