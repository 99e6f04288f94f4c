package mailbox

import (
	"strings"
	"unicode/utf8"
)

// Parse reads one addr-spec, user@host; white space and comments around it are
// permitted, a display name and angle brackets are not. The error wraps
// ErrSyntax.
func Parse(addrSpec string) (Address, error) {
	l := &lexer{s: addrSpec}
	l.next()
	a, err := readAddrSpec(l)
	if err != nil {
		return Address{}, err
	}
	if l.tok.kind != end {
		return Address{}, syntaxError(l.tok.at, "unexpected %s after the address", l.tok)
	}
	return a, nil
}

// readAddrSpec reads local-part "@" domain (RFC 5322 §3.4.1, §4.4) and leaves
// the token after it. Dots in odd places of the local part stay: such
// addresses exist, and String quotes them.
func readAddrSpec(l *lexer) (Address, error) {
	start := l.tok.at
	var local strings.Builder
	for previous := end; l.tok.kind != '@'; l.next() {
		t := l.tok
		switch t.kind {
		case '.':
		case atom, quoted:
			if previous != end && previous != '.' {
				return Address{}, syntaxError(t.at, "unexpected %s, want %q or a dot", t, "@")
			}
		case broken:
			return Address{}, syntaxError(t.at, "%s", t.text)
		default:
			return Address{}, syntaxError(t.at, "want an address with %q, found %s", "@", t)
		}
		local.WriteString(t.text)
		previous = t.kind
	}
	if l.tok.at == start {
		return Address{}, syntaxError(start, "nothing before the %q", "@")
	}
	l.next()
	domain, err := readDomain(l)
	if err != nil {
		return Address{}, err
	}
	a := Address{local.String(), toLower(domain)}
	if !utf8.ValidString(a.Local) || !utf8.ValidString(a.Domain) {
		return Address{}, syntaxError(start, "the address %.80q is no UTF-8", a.Local+"@"+a.Domain)
	}
	return a, nil
}

// readDomain reads a host name or domain literal behind the "@".
func readDomain(l *lexer) (string, error) {
	if l.tok.kind == literal {
		domain := l.tok.text
		l.next()
		return domain, nil
	}
	var b strings.Builder
	for {
		if l.tok.kind != atom {
			return "", syntaxError(l.tok.at, "want a domain, found %s", l.tok)
		}
		b.WriteString(l.tok.text)
		l.next()
		if l.tok.kind != '.' {
			return b.String(), nil
		}
		b.WriteByte('.')
		l.next()
	}
}
