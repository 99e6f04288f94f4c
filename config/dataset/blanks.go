package dataset

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// PlainBlanks makes a plain blank of each blank that web pages and word
// processors put into text: U+00A0, the widths of U+2000 and on, and those of no
// width. False means that line has none and is returned as it is.
func PlainBlanks(line string) (string, bool) {
	for i := 0; i < len(line); i++ {
		if line[i] >= utf8.RuneSelf && strings.IndexFunc(line[i:], isWebBlank) >= 0 {
			return strings.Map(func(r rune) rune {
				if isWebBlank(r) {
					return ' '
				}
				return r
			}, line), true
		}
	}
	return line, false
}

func isWebBlank(r rune) bool {
	switch r {
	case ' ':
		return false
	case '\u200b', '\u2060', '\ufeff':
		return true
	}
	return unicode.Is(unicode.Zs, r)
}

// mostLines is how many lines a remark names.
const mostLines = 5

// BlankLines is the remark on lines with such blanks.
func BlankLines(lines []int) string {
	var list strings.Builder
	for i, line := range lines {
		switch {
		case i == mostLines:
			fmt.Fprintf(&list, " and %d more", len(lines)-i)
		case i == 0:
			fmt.Fprintf(&list, "%d", line)
		case i < mostLines:
			fmt.Fprintf(&list, ", %d", line)
		}
	}
	word := "line"
	if len(lines) > 1 {
		word = "lines"
	}
	return fmt.Sprintf("blanks such as U+00A0, which come from web pages, count as plain blanks (%s %s); replace them, since OpenDKIM takes them for letters", word, list.String())
}
