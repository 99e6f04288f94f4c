package authres

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// parser walks over a field value once. comment keeps the first comment since
// commented was cleared.
type parser struct {
	s         string
	i         int
	comment   string
	commented bool
}

func (p *parser) end() bool { return p.i == len(p.s) }

// peek gives the octet at the place reached, 0 at the end; a NUL in the value
// is refused wherever 0 is not asked for.
func (p *parser) peek() byte {
	if p.end() {
		return 0
	}
	return p.s[p.i]
}

func (p *parser) fail(format string, args ...any) error {
	return fmt.Errorf("%w at octet %d: %s", ErrSyntax, p.i, fmt.Sprintf(format, args...))
}

// found names what stands at the place reached.
func (p *parser) found() string {
	if p.end() {
		return "the end"
	}
	return fmt.Sprintf("%q", p.s[p.i:min(p.i+20, len(p.s))])
}

func (p *parser) expect(c byte) error {
	if p.peek() != c {
		return p.fail("want %q, found %s", string(rune(c)), p.found())
	}
	p.i++
	return nil
}

// equals reads [CFWS] "=" [CFWS].
func (p *parser) equals() error {
	if err := p.skip(); err != nil {
		return err
	}
	if err := p.expect('='); err != nil {
		return err
	}
	return p.skip()
}

// skip reads [CFWS]: blanks, folds and comments (RFC 5322 §3.2.2). A line end
// at the very end of the value counts as a fold.
func (p *parser) skip() error {
	for !p.end() {
		switch p.s[p.i] {
		case ' ', '\t':
			p.i++
		case '\r', '\n':
			if err := p.fold(); err != nil {
				return err
			}
		case '(':
			if err := p.readComment(); err != nil {
				return err
			}
		default:
			return nil
		}
	}
	return nil
}

// fold reads CRLF or LF if a blank or the end follows it.
func (p *parser) fold() error {
	rest := strings.TrimPrefix(p.s[p.i:], "\r")
	if rest == "" || rest[0] != '\n' {
		return p.fail("bare CR")
	}
	if rest = rest[1:]; rest != "" && rest[0] != ' ' && rest[0] != '\t' {
		return p.fail("line end without a blank after it")
	}
	p.i = len(p.s) - len(rest)
	return nil
}

// quoted reads a quoted-string (RFC 5322 §3.2.4, RFC 6532 §3.2).
func (p *parser) quoted() (string, error) {
	start := p.i
	p.i++
	var b strings.Builder
	for !p.end() {
		if p.s[p.i] == '"' {
			p.i++
			return b.String(), nil
		}
		if err := p.char(&b); err != nil {
			return "", err
		}
	}
	p.i = start
	return "", p.fail("quoted string without end")
}

// readComment reads a comment with those inside it.
func (p *parser) readComment() error {
	start, depth := p.i, 0
	var b strings.Builder
	for !p.end() {
		switch p.s[p.i] {
		case '(':
			if depth++; depth > maxNesting {
				return fmt.Errorf("%w: comments nested deeper than %d", ErrTooLarge, maxNesting)
			}
		case ')':
			depth--
		default:
			if err := p.char(&b); err != nil {
				return err
			}
			continue
		}
		p.i++
		if depth == 0 {
			if !p.commented {
				p.comment, p.commented = b.String()[1:], true
			}
			return nil
		}
		b.WriteByte(p.s[p.i-1])
	}
	p.i = start
	return p.fail("comment without end")
}

// char reads one character of a quoted string or comment: a fold vanishes, its
// blank stays, TAB reads as a blank, a backslash takes the next character.
func (p *parser) char(b *strings.Builder) error {
	switch c := p.s[p.i]; {
	case c == '\r' || c == '\n':
		return p.fold()
	case c == ' ' || c == '\t':
		b.WriteByte(' ')
		p.i++
		return nil
	case c == '\\':
		if p.i+1 == len(p.s) {
			return p.fail("backslash at the end")
		}
		p.i++
	}
	r, size := utf8.DecodeRuneInString(p.s[p.i:])
	switch {
	case r == '\t':
		r = ' '
	case r < ' ' || r == 0x7f:
		return p.fail("control character %q", r)
	case r == utf8.RuneError && size == 1:
		return p.fail("octet %#x is no UTF-8", p.s[p.i])
	}
	b.WriteRune(r)
	p.i += size
	return nil
}

// text gives what was read since start, which must be UTF-8.
func (p *parser) text(start int) (string, error) {
	s := p.s[start:p.i]
	if !utf8.ValidString(s) {
		p.i = start
		return "", p.fail("%q is no UTF-8", s[:min(len(s), 20)])
	}
	return s, nil
}
