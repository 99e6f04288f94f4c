package mailbox

import (
	"fmt"
	"strings"
)

// kind is the kind of a token: one of these, or the special character itself.
type kind byte

const (
	end     kind = 0
	atom    kind = 'a'
	quoted  kind = 'q'
	literal kind = 'l'
	bad     kind = 'x' // a character that belongs nowhere
	broken  kind = 'b' // a quote or comment or literal without its end; last of all
)

// token is one lexical token. text is its meaning: without quotes, escapes and
// folds; a domain literal keeps its brackets.
type token struct {
	kind kind
	text string
	at   int // the octet where it begins
}

// lexer cuts a value into tokens; white space, folds and comments vanish
// (RFC 5322 §3.2).
type lexer struct {
	s   string
	i   int
	tok token
}

func (l *lexer) next() {
	l.tok = l.read()
}

func (l *lexer) read() token {
	if at, ok := l.skip(); !ok {
		return token{broken, "comment without end", at}
	}
	start := l.i
	if start == len(l.s) {
		return token{kind: end, at: start}
	}
	switch c := l.s[start]; {
	case isAtom(c):
		for l.i < len(l.s) && isAtom(l.s[l.i]) {
			l.i++
		}
		return token{atom, l.s[start:l.i], start}
	case c == '"':
		return l.delimited(quoted, '"', "quoted string without end")
	case c == '[':
		t := l.delimited(literal, ']', "domain literal without end")
		if t.kind == literal {
			t.text = "[" + t.text + "]"
		}
		return t
	case strings.IndexByte("<>@,;:.", c) >= 0:
		l.i++
		return token{kind(c), l.s[start:l.i], start}
	}
	l.i++
	return token{bad, l.s[start:l.i], start}
}

// skip goes over white space, folds and comments with those inside them. ok is
// false if the comment that begins at the octet at has no end.
func (l *lexer) skip() (at int, ok bool) {
	for l.i < len(l.s) {
		switch c := l.s[l.i]; c {
		case ' ', '\t':
			l.i++
		case '\r', '\n':
			n := foldLen(l.s[l.i:])
			if n == 0 {
				return 0, true
			}
			l.i += n
		case '(':
			at := l.i
			if !l.comment() {
				l.i = len(l.s)
				return at, false
			}
		default:
			return 0, true
		}
	}
	return 0, true
}

func (l *lexer) comment() bool {
	for depth := 0; l.i < len(l.s); l.i++ {
		switch l.s[l.i] {
		case '\\':
			l.i++
		case '(':
			depth++
		case ')':
			if depth--; depth == 0 {
				l.i++
				return true
			}
		}
	}
	return false
}

// delimited reads up to the closing octet. Folds vanish but for their blank,
// and in a domain literal the blanks too.
// Control characters make the token a bad one.
func (l *lexer) delimited(k kind, closing byte, missing string) token {
	start := l.i
	var b strings.Builder
	for l.i++; l.i < len(l.s); l.i++ {
		c := l.s[l.i]
		switch {
		case c == closing:
			l.i++
			return token{k, b.String(), start}
		case c == '[' && k == literal:
			k = bad
		case (c == ' ' || c == '\t') && k == literal:
			continue
		case c == '\r' || c == '\n':
			if n := foldLen(l.s[l.i:]); n > 0 {
				l.i += n - 1
				continue
			}
			k = bad
		case c == '\\':
			if l.i++; l.i == len(l.s) {
				return token{broken, missing, start}
			}
			if c = l.s[l.i]; k == literal {
				k = bad // RFC 5322 §4.1 has escapes there, for nothing
			}
		}
		if c < ' ' && c != '\t' || c == 0x7f {
			k = bad
		}
		b.WriteByte(c)
	}
	return token{broken, missing, start}
}

// foldLen gives the length of the CRLF or LF that s begins with if a blank or
// the end follows, else 0.
func foldLen(s string) int {
	rest := strings.TrimPrefix(s, "\r")
	if rest == "" || rest[0] != '\n' {
		return 0
	}
	if rest = rest[1:]; rest != "" && rest[0] != ' ' && rest[0] != '\t' {
		return 0
	}
	return len(s) - len(rest)
}

// isWord tells whether the token can stand in a name that is no address: an
// "@" in quotes is one to some readers.
func (t token) isWord() bool {
	return t.kind == atom || t.kind == '.' || t.kind == quoted && strings.IndexByte(t.text, '@') < 0
}

// String names the token for people.
func (t token) String() string {
	if t.kind == end {
		return "the end"
	}
	return fmt.Sprintf("%q", t.text[:min(len(t.text), 40)])
}

// syntaxError wraps ErrSyntax with the place.
func syntaxError(at int, format string, args ...any) error {
	return fmt.Errorf("%w at octet %d: %s", ErrSyntax, at, fmt.Sprintf(format, args...))
}
