// Package roff writes manual pages in the language of man(7), which groff and
// mandoc read. What it is given is text: nothing in it is taken for a request or
// an escape, and no word of it is hyphenated or lost.
package roff

import (
	"fmt"
	"strings"
	"time"
	"unicode"
)

// Head is what stands at the edges of a page.
type Head struct {
	// Name is the page's, without the section.
	Name    string
	Section int
	// Date is the zero time where there is none.
	Date time.Time
	// Source is the program with its version, Manual the collection of pages.
	Source, Manual string
}

// Page is one that is being written.
type Page struct {
	b strings.Builder
	// after is what the last lines were.
	after part
}

// part is a kind of lines, for the space between two of them.
type part int

const (
	heading part = iota // needs no space behind it
	block               // a paragraph or lines as they are
	item                // an item of a list
)

// New begins a page.
func New(h Head) *Page {
	p := new(Page)
	date := ""
	if !h.Date.IsZero() {
		date = h.Date.UTC().Format(time.DateOnly)
	}
	// A date with escaped hyphens is none to mandoc.
	p.line(fmt.Sprintf(`.TH "%s" "%d" "%s" "%s" "%s"`, escape(strings.ToUpper(h.Name)), h.Section, date, escape(h.Source), escape(h.Manual)))
	// A name that is broken with a hyphen cannot be copied, nor one in a line that
	// is filled with blanks. groff asks HY at each paragraph.
	p.line(".nr HY 0")
	p.line(".nh")
	p.line(".ad l")
	return p
}

// String is the page.
func (p *Page) String() string { return p.b.String() }

// Section begins a section.
func (p *Page) Section(title string) { p.head("SH", title) }

// Subsection begins a part of a section.
func (p *Page) Subsection(title string) { p.head("SS", title) }

func (p *Page) head(name, title string) {
	p.line("." + name + ` "` + escape(title) + `"`)
	p.after = heading
}

// Text writes paragraphs with an empty line between them. Lines that begin with
// two blanks stay as they are.
func (p *Page) Text(text string) {
	for _, lines := range blocks(text) {
		if p.after != heading {
			p.line(".PP")
		}
		p.block(lines)
		p.after = block
	}
}

// Item writes an item of a list: terms, each on a line of its own, and a text as
// for [Page.Text].
func (p *Page) Item(terms []Term, text string) {
	for i, t := range terms {
		if i == 0 {
			p.line(".TP")
		} else {
			p.line(".TQ")
		}
		p.line(start(string(t)))
	}
	for i, lines := range blocks(text) {
		if i > 0 {
			p.line(".IP")
		}
		p.block(lines)
	}
	p.after = item
}

// block writes a paragraph, or lines as they are, a little to the right.
func (p *Page) block(lines []string) {
	if !strings.HasPrefix(lines[0], indent) {
		for _, l := range lines {
			p.line(start(escape(l)))
		}
		return
	}
	p.line(".EX")
	for _, l := range dedent(lines) {
		p.line(indent + indent + escape(l))
	}
	p.line(".EE")
}

// Line writes one line of text with fonts as a paragraph.
func (p *Page) Line(t Term) {
	if p.after != heading {
		p.line(".PP")
	}
	p.line(start(string(t)))
	p.after = block
}

func (p *Page) line(s string) {
	p.b.WriteString(s)
	p.b.WriteByte('\n')
}

// Term is a line of text, or a piece of one, with its font; pieces add up.
type Term string

// Plain is text in the page's own font.
func Plain(text string) Term { return Term(escape(text)) }

// Bold is text that is typed as it stands.
func Bold(text string) Term { return Term(`\fB` + escape(text) + `\fP`) }

// Italic is text that stands for another, or a file.
func Italic(text string) Term { return Term(`\fI` + escape(text) + `\fP`) }

// indent is how a line begins that stays as it is.
const indent = "  "

// blocks parts text into paragraphs and runs of indented lines.
func blocks(text string) [][]string {
	var list [][]string
	var lines []string
	flush := func() {
		if len(lines) > 0 {
			list = append(list, lines)
		}
		lines = nil
	}
	for line := range strings.SplitSeq(text, "\n") {
		line = strings.TrimRightFunc(line, unicode.IsSpace)
		if line == "" {
			flush()
			continue
		}
		if len(lines) > 0 && strings.HasPrefix(line, indent) != strings.HasPrefix(lines[0], indent) {
			flush()
		}
		lines = append(lines, line)
	}
	flush()
	return list
}

// dedent takes off the blanks that all lines begin with.
func dedent(lines []string) []string {
	least := len(lines[0])
	for _, l := range lines {
		least = min(least, len(l)-len(strings.TrimLeft(l, " ")))
	}
	out := make([]string, len(lines))
	for i, l := range lines {
		out[i] = l[least:]
	}
	return out
}

// start protects a line whose first character would make it a request.
func start(line string) string {
	if strings.HasPrefix(line, ".") {
		return `\&` + line
	}
	return line
}

// escape writes text so that each character stands for itself, as the one that
// can be copied: a hyphen is that of the keyboard, and no line is broken at it.
func escape(text string) string {
	var b strings.Builder
	for _, c := range text {
		switch c {
		case '\\':
			b.WriteString(`\e`)
		case '-':
			b.WriteString(`\-`)
		case '"':
			b.WriteString(`\(dq`)
		case '\'':
			b.WriteString(`\(aq`)
		case '`':
			b.WriteString(`\(ga`)
		case '^':
			b.WriteString(`\(ha`)
		case '~':
			b.WriteString(`\(ti`)
		default:
			switch {
			case c == unicode.ReplacementChar || !unicode.IsPrint(c):
				fmt.Fprintf(&b, `\[u%04X]`, unicode.ReplacementChar)
			case c > unicode.MaxASCII:
				fmt.Fprintf(&b, `\[u%04X]`, c)
			default:
				b.WriteRune(c)
			}
		}
	}
	return b.String()
}
