package terminal

import (
	"io"
	"os"
)

// Palette puts text into colours; the zero Palette leaves it as it is. It does not
// escape: text from elsewhere is made printable before.
type Palette struct{ on bool }

// Colors is the palette for what is written to w: colours on a terminal, plain text
// in a pipe or a file, where NO_COLOR is set to anything (no-color.org), or where
// TERM says that the terminal is dumb.
func Colors(w io.Writer) Palette {
	return Palette{on: Is(w) && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"}
}

// Good is for what is in order: green.
func (p Palette) Good(s string) string { return p.paint("32", s) }

// Warn is for what works and should be better: yellow.
func (p Palette) Warn(s string) string { return p.paint("33", s) }

// Bad is for what does not work: bold red.
func (p Palette) Bad(s string) string { return p.paint("1;31", s) }

// Bold is for headings, and for the words that the eye should find.
func (p Palette) Bold(s string) string { return p.paint("1", s) }

// Faint is for what can be skipped.
func (p Palette) Faint(s string) string { return p.paint("2", s) }

// paint wraps s in a "select graphic rendition" of ECMA-48 and the reset.
func (p Palette) paint(code, s string) string {
	if !p.on || s == "" {
		return s
	}
	return "\x1b[" + code + "m" + s + "\x1b[0m"
}
