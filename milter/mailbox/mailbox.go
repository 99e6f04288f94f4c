// Package mailbox reads the addresses of From, Sender, Reply-To and similar
// header fields (RFC 5322 §3.4, with the obsolete forms of §4.4 and the 8-bit
// forms of RFC 6532), to find out who wrote a message.
package mailbox

import (
	"errors"
	"strings"
)

// MaxAddresses is the number of addresses that ParseList reads in one field.
const MaxAddresses = 1000

var (
	// ErrSyntax is wrapped by errors that name a place where a value is no list
	// of addresses.
	ErrSyntax = errors.New("address syntax error")
	// ErrNoDomain is wrapped when an element that is no address names somebody
	// without an "@", such as "root" or the first half of an unquoted "Doe, John".
	ErrNoDomain = errors.New("no domain")
	// ErrTooMany is wrapped when a value holds more than MaxAddresses.
	ErrTooMany = errors.New("too many addresses")
)

// Address is a mailbox without its display name.
type Address struct {
	// Local is the part before the "@", without quotes and escapes, in the case
	// of letters it came in.
	Local string
	// Domain is the part behind the "@", its ASCII letters in lower case: a
	// host name (with U-labels or A-labels, as it came), or a domain literal
	// with its brackets.
	Domain string
}

// String gives the address as RFC 5322 §3.4.1 writes it: the local part quoted
// if it is no dot-atom. ParseList and Parse read it back.
func (a Address) String() string {
	if isDotAtom(a.Local) {
		return a.Local + "@" + a.Domain
	}
	var b strings.Builder
	b.WriteByte('"')
	for i := 0; i < len(a.Local); i++ {
		if a.Local[i] == '"' || a.Local[i] == '\\' {
			b.WriteByte('\\')
		}
		b.WriteByte(a.Local[i])
	}
	b.WriteString(`"@`)
	b.WriteString(a.Domain)
	return b.String()
}

// SameLocal tells whether two local parts are alike but for the case of ASCII
// letters, as nearly all systems compare them (RFC 5321 §2.4 leaves it to each).
func (a Address) SameLocal(b Address) bool { return toLower(a.Local) == toLower(b.Local) }

// isDotAtom tells whether s is a dot-atom (RFC 5322 §3.2.3, RFC 6532 §3.2).
func isDotAtom(s string) bool {
	for i := 0; i < len(s); i++ {
		if !isAtom(s[i]) && (s[i] != '.' || i == 0 || s[i-1] == '.') {
			return false
		}
	}
	return s != "" && s[len(s)-1] != '.'
}

// isAtom tells whether c may stand in an atom; 8-bit octets may (RFC 6532 §3.2).
func isAtom(c byte) bool {
	return c > ' ' && c != 0x7f && strings.IndexByte(`()<>[]:;@\,."`, c) < 0
}

// toLower makes ASCII letters small and leaves all others alone.
func toLower(s string) string {
	b := []byte(s)
	for i, c := range b {
		if 'A' <= c && c <= 'Z' {
			b[i] = c + 'a' - 'A'
		}
	}
	return string(b)
}
