package spf

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// Macro is a macro-string (RFC 7208 §7.1): literal text and macros.
type Macro []Part

// Part is a piece of a macro-string.
type Part struct {
	// Literal is text that stands for itself, "" in a macro.
	Literal string
	// Letter is the macro letter as written: an upper one wants its value escaped as
	// in a URL. The escapes %%, %_ and %- are '%', '_' and '-'. It is 0 in a literal.
	Letter byte
	// Keep is how many parts on the right hand are kept, 0 all.
	Keep int
	// Reverse turns the order of the parts.
	Reverse bool
	// Delimiters part the value, "" means ".".
	Delimiters string
}

const (
	macroLetters = "slodiphvcrt"
	expLetters   = "crt" // in an explanation alone (RFC 7208 §7.2)
	delimiters   = ".-+,/_="
	maxKeep      = 128 // parts that a name can have (RFC 7208 §7.3)
)

// parseMacro reads a macro-string. The error says what is wrong with it.
func parseMacro(s string) (Macro, error) {
	var m Macro
	for s != "" {
		i := strings.IndexByte(s, '%')
		if i < 0 {
			i = len(s)
		}
		if i > 0 {
			m, s = append(m, Part{Literal: s[:i]}), s[i:]
			continue
		}
		part, rest, err := parseExpand(s)
		if err != nil {
			return nil, err
		}
		m, s = append(m, part), rest
	}
	return m, nil
}

// parseExpand reads a macro-expand at the beginning of s.
func parseExpand(s string) (p Part, rest string, err error) {
	if len(s) < 2 {
		return p, "", errors.New(`a "%" stands alone; a percent sign is written "%%"`)
	}
	if strings.IndexByte("%_-", s[1]) >= 0 {
		return Part{Letter: s[1]}, s[2:], nil
	}
	if s[1] != '{' {
		return p, "", fmt.Errorf(`%s is no macro; one is written "%%{letter}", a percent sign "%%%%"`, excerpt(s[:2]))
	}
	end := strings.IndexByte(s, '}')
	if end < 0 {
		return p, "", fmt.Errorf(`the macro %s has no "}"`, excerpt(s))
	}
	body, rest := s[2:end], s[end+1:]
	bad := func(why string) (Part, string, error) {
		return p, "", fmt.Errorf("the macro %s %s", excerpt(s[:end+1]), why)
	}
	if body == "" || strings.IndexByte(macroLetters, body[0]|0x20) < 0 {
		return bad("is unknown; the letters are s, l, o, d, i, p, v and h")
	}
	p.Letter, body = body[0], body[1:]
	digits := len(body) - len(strings.TrimLeft(body, "0123456789"))
	if digits > 0 {
		if n := strings.TrimLeft(body[:digits], "0"); n == "" {
			return bad("keeps no part: the number must not be 0")
		} else if len(n) > len(strconv.Itoa(maxKeep)) {
			p.Keep = maxKeep
		} else {
			p.Keep, _ = strconv.Atoi(n) // digits, and few
			p.Keep = min(p.Keep, maxKeep)
		}
	}
	body = body[digits:]
	if body != "" && body[0]|0x20 == 'r' {
		p.Reverse, body = true, body[1:]
	}
	if strings.Trim(body, delimiters) != "" {
		return bad(`has something other than a number, "r" and delimiters after its letter`)
	}
	p.Delimiters = body
	return p, rest, nil
}

// String is the macro-string as it is written.
func (m Macro) String() string {
	var b strings.Builder
	for _, p := range m {
		b.WriteString(p.String())
	}
	return b.String()
}

// String is the part as it is written.
func (p Part) String() string {
	switch {
	case p.Letter == 0:
		return p.Literal
	case strings.IndexByte("%_-", p.Letter) >= 0:
		return "%" + string(p.Letter)
	}
	s := "%{" + string(p.Letter)
	if p.Keep > 0 {
		s += strconv.Itoa(p.Keep)
	}
	if p.Reverse {
		s += "r"
	}
	return s + p.Delimiters + "}"
}

// uses reports whether there is a macro with one of the letters.
func (m Macro) uses(letters string) bool {
	return slices.ContainsFunc(m, func(p Part) bool {
		return 'A' <= p.Letter && strings.IndexByte(letters, p.Letter|0x20) >= 0
	})
}

// facts are what macros stand for (RFC 7208 §7.2).
type facts struct {
	local, sender string // the local part, and the domain of the sender
	domain        string // whose record it is
	helo          string
	client        netip.Addr
	ownName       func(domain string) string // the client's name, best one at domain
}

// expand puts in what the macros stand for (RFC 7208 §7.3). Of what is too long for a
// name, the right end is enough: it begins there.
func (m Macro) expand(f facts) string {
	var parts []string
	size := 0
	for _, p := range slices.Backward(m) {
		text := p.expand(f)
		parts = append(parts, text)
		if size += len(text); size > 2*maxName {
			break
		}
	}
	slices.Reverse(parts)
	return strings.Join(parts, "")
}

func (p Part) expand(f facts) string {
	switch p.Letter {
	case 0:
		return p.Literal
	case '%':
		return "%"
	case '_':
		return " "
	case '-':
		return "%20"
	}
	value := f.value(p.Letter | 0x20)
	if p.Keep > 0 || p.Reverse || p.Delimiters != "" {
		cut := p.Delimiters
		if cut == "" {
			cut = "."
		}
		parts := splitAny(value, cut)
		if p.Reverse {
			slices.Reverse(parts)
		}
		if p.Keep > 0 && p.Keep < len(parts) {
			parts = parts[len(parts)-p.Keep:]
		}
		value = strings.Join(parts, ".")
	}
	if p.Letter < 'a' {
		value = escapeURL(value)
	}
	return value
}

func (f facts) value(letter byte) string {
	switch letter {
	case 's':
		return f.local + "@" + f.sender
	case 'l':
		return f.local
	case 'o':
		return f.sender
	case 'd':
		return f.domain
	case 'h':
		return f.helo
	case 'i':
		return dotted(f.client)
	case 'p':
		return f.ownName(f.domain)
	case 'v':
		if f.client.Is4() {
			return "in-addr"
		}
		return "ip6"
	}
	return "" // c, r, t: an explanation is never expanded
}

// dotted is an address as %{i} has it: IPv6 as nibbles with dots between them.
func dotted(a netip.Addr) string {
	if a.Is4() {
		return a.String()
	}
	text := a.StringExpanded()
	return strings.Join(strings.Split(strings.ReplaceAll(text, ":", ""), ""), ".")
}

// splitAny cuts s at each octet of cut.
func splitAny(s, cut string) []string {
	var parts []string
	for {
		i := strings.IndexAny(s, cut)
		if i < 0 {
			return append(parts, s)
		}
		parts, s = append(parts, s[:i]), s[i+1:]
	}
}

// escapeURL escapes all but the unreserved characters of RFC 3986 §2.3.
func escapeURL(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		c := s[i]
		if isAlnum(c) || strings.IndexByte("-._~", c) >= 0 {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String()
}
