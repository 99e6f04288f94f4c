package terminal

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/width"
)

// Columns is how many columns of a terminal s takes: two for the wide characters of
// East Asia, none for combining marks, format characters and the colours of a
// Palette. A control character counts as one; it should have been escaped.
func Columns(s string) int {
	n := 0
	for s != "" {
		if k := colour(s); k > 0 {
			s = s[k:]
			continue
		}
		c, k := utf8.DecodeRuneInString(s)
		n += columns(c)
		s = s[k:]
	}
	return n
}

// Wrap breaks text at blanks into lines of at most width columns; the lines after
// the first begin with indent. Each line of text is broken for itself. A word that
// is wider than a line is not broken: it may be there to be copied.
func Wrap(text string, width int, indent string) string {
	var b strings.Builder
	for i, line := range strings.Split(text, "\n") {
		if i > 0 {
			b.WriteString("\n" + indent)
		}
		wrapLine(&b, line, width, indent, i > 0)
	}
	return b.String()
}

// wrapLine writes line. indented: the line begins behind an indent.
func wrapLine(b *strings.Builder, line string, width int, indent string, indented bool) {
	hang := Columns(indent)
	at := 0
	if indented {
		at = hang
	}
	fresh := true // nothing but blanks is on the line
	for line != "" {
		word := strings.TrimLeft(line, " ")
		blanks := len(line) - len(word)
		if k := strings.IndexByte(word, ' '); k >= 0 {
			word = word[:k]
		}
		line = line[blanks+len(word):]
		if word == "" {
			return // blanks at the end
		}
		need := Columns(word)
		if !fresh && at+blanks+need > width {
			b.WriteString("\n" + indent)
			at, blanks = hang, 0
		}
		b.WriteString(strings.Repeat(" ", blanks))
		b.WriteString(word)
		at += blanks + need
		fresh = false
	}
}

// truncate is as much of s as fits into n columns. s has no colours.
func truncate(s string, n int) string {
	for i, c := range s {
		if n -= columns(c); n < 0 {
			return s[:i]
		}
	}
	return s
}

// colour is the length of the colour code that s begins with, 0 if there is none.
func colour(s string) int {
	if !strings.HasPrefix(s, "\x1b[") {
		return 0
	}
	for i := 2; i < len(s); i++ {
		switch {
		case s[i] == 'm':
			return i + 1
		case s[i] != ';' && (s[i] < '0' || s[i] > '9'):
			return 0
		}
	}
	return 0
}

func columns(c rune) int {
	if c < 0x300 {
		return 1 // the soft hyphen, too, though it is a format character
	}
	if unicode.In(c, unicode.Mn, unicode.Me, unicode.Cf) {
		return 0
	}
	switch width.LookupRune(c).Kind() {
	case width.EastAsianWide, width.EastAsianFullwidth:
		return 2
	}
	return 1
}
