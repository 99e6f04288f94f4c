package spf

import (
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

const (
	// MaxRecord bounds a record that is parsed, in octets: what a TXT record holds.
	MaxRecord = 65535
	// MaxSyntaxErrors is how many errors of one record are told.
	MaxSyntaxErrors = 20
)

// SyntaxError is a place in a record that RFC 7208 §12 does not allow. One anywhere
// in a record makes every check of it permerror (§4.6).
type SyntaxError struct {
	// Offset is where the place begins and End where it ends, in octets.
	Offset, End int
	// Term is what stands there.
	Term string
	// Reason says what is wrong with it.
	Reason string
	// Better is what was probably meant, "" if nobody can know. It is sound syntax.
	Better string
}

// Error names the place, counted from 1, and the reason.
func (e *SyntaxError) Error() string {
	return fmt.Sprintf("character %d, %s: %s", e.Offset+1, excerpt(e.Term), e.Reason)
}

// IsRecord reports whether a TXT record is an SPF record: it begins with the
// version, in whatever case, and goes on with a blank or ends (RFC 7208 §4.5).
func IsRecord(txt string) bool {
	if len(txt) < len(Version) || !strings.EqualFold(txt[:len(Version)], Version) {
		return false
	}
	return len(txt) == len(Version) || txt[len(Version)] == ' '
}

// Parse reads a record strictly by the grammar of RFC 7208 §12. It returns what
// could be read, and at most MaxSyntaxErrors errors in the order of their places.
func Parse(text string) (*Record, []*SyntaxError) {
	r := new(Record)
	switch {
	case len(text) > MaxRecord:
		return r, []*SyntaxError{{End: len(text), Term: text, Reason: fmt.Sprintf("the record has %d octets, more than DNS holds", len(text))}}
	case !IsRecord(text):
		return r, []*SyntaxError{{End: len(text), Term: text, Reason: `it does not begin with "v=spf1" and a blank`}}
	}
	var errs []*SyntaxError
	seen := map[Kind]bool{}
	for offset, word := range words(text, len(Version)) {
		if len(errs) == MaxSyntaxErrors {
			break
		}
		t, err := parseTerm(word)
		if err == nil && seen[t.Kind] && (t.Kind == Redirect || t.Kind == Exp) {
			err = fmt.Errorf("%s= stands twice (RFC 7208 §6)", t.Kind)
		}
		if err != nil {
			errs = append(errs, &SyntaxError{Offset: offset, End: offset + len(word), Term: word, Reason: err.Error()})
			continue
		}
		seen[t.Kind] = true
		t.Offset, t.Text = offset, word
		r.Terms = append(r.Terms, t)
	}
	return r, errs
}

// words are the terms of a record from an offset on, each with its own offset. They
// are parted by blanks and nothing else.
func words(text string, from int) func(yield func(int, string) bool) {
	return func(yield func(int, string) bool) {
		for from < len(text) {
			if text[from] == ' ' {
				from++
				continue
			}
			end := strings.IndexByte(text[from:], ' ')
			if end < 0 {
				end = len(text) - from
			}
			if !yield(from, text[from:from+end]) {
				return
			}
			from += end
		}
	}
}

// parseTerm reads one directive or modifier.
func parseTerm(word string) (Term, error) {
	for i := 0; i < len(word); i++ {
		if c := word[i]; c < 0x21 || c > 0x7e {
			return Term{}, fmt.Errorf("%q at character %d of it is no visible ASCII character", firstRune(word[i:]), i+1)
		}
	}
	if name, value, ok := modifier(word); ok {
		return parseModifier(name, value)
	}
	t := Term{Qualifier: '+', Bits4: 32, Bits6: 128}
	if strings.IndexByte("+-~?", word[0]) >= 0 {
		t.Qualifier, word = word[0], word[1:]
	}
	end := strings.IndexAny(word, ":/")
	if end < 0 {
		end = len(word)
	}
	t.Kind = Kind(strings.ToLower(word[:end]))
	rest := word[end:]
	var err error
	switch t.Kind {
	case All:
		if rest != "" {
			err = errors.New(`nothing may follow "all"`)
		}
	case Include, Exists:
		if !strings.HasPrefix(rest, ":") {
			return t, fmt.Errorf("%s needs a domain: %s:example.com", t.Kind, t.Kind)
		}
		t.Target, err = parseDomainSpec(rest[1:])
	case PTR:
		if strings.HasPrefix(rest, ":") {
			t.Target, err = parseDomainSpec(rest[1:])
		} else if rest != "" {
			err = errors.New("ptr takes no prefix length")
		}
	case A, MX:
		err = t.parseHost(rest)
	case IP4, IP6:
		err = t.parseNetwork(rest)
	default:
		err = fmt.Errorf("%s is no mechanism of RFC 7208", excerpt(word[:end]))
	}
	return t, err
}

// modifier parts NAME=VALUE. The "=" stands before any ":" or "/" (RFC 7208 §4.6.1).
func modifier(word string) (name, value string, ok bool) {
	name, value, ok = strings.Cut(word, "=")
	if !ok || name == "" || !isAlpha(name[0]) {
		return "", "", false
	}
	for i := 0; i < len(name); i++ {
		if !isAlnum(name[i]) && strings.IndexByte("-_.", name[i]) < 0 {
			return "", "", false
		}
	}
	return name, value, true
}

func parseModifier(name, value string) (t Term, err error) {
	switch t.Kind = Kind(strings.ToLower(name)); t.Kind {
	case Redirect, Exp:
		t.Target, err = parseDomainSpec(value)
	default:
		t.Kind, t.Name = Unknown, name
		t.Target, err = parseMacro(value)
	}
	return t, err
}

// parseHost reads [":" domain-spec] [dual-cidr-length]. A "/" may be part of a
// domain-spec, so the lengths are what reads as such at the end.
func (t *Term) parseHost(rest string) error {
	domain, bits4, bits6 := cutLengths(rest)
	if domain != "" && domain[0] != ':' {
		return fmt.Errorf("%s is no prefix length; write /24 for IPv4, //64 for IPv6, or /24//64", excerpt(rest))
	}
	var err error
	if t.Bits4, err = prefixLength(bits4, 32); err != nil {
		return err
	}
	if t.Bits6, err = prefixLength(bits6, 128); err != nil {
		return err
	}
	if domain != "" {
		t.Target, err = parseDomainSpec(domain[1:])
	}
	return err
}

// cutLengths parts "/24//64" from the end of s: "24" and "64", "" where there is
// none.
func cutLengths(s string) (before, bits4, bits6 string) {
	before = strings.TrimRight(s, "0123456789")
	if digits := s[len(before):]; digits != "" && strings.HasSuffix(before, "//") {
		s, bits6 = before[:len(before)-2], digits
		before = strings.TrimRight(s, "0123456789")
	}
	if digits := s[len(before):]; digits != "" && strings.HasSuffix(before, "/") && !strings.HasSuffix(before, "//") {
		return before[:len(before)-1], digits, bits6
	}
	return s, "", bits6
}

// prefixLength reads the digits of a prefix length; none mean the longest.
func prefixLength(digits string, longest int) (int, error) {
	if digits == "" {
		return longest, nil
	}
	if len(digits) > 1 && digits[0] == '0' {
		return 0, fmt.Errorf("the prefix length %s begins with a zero", excerpt(digits))
	}
	n, err := strconv.Atoi(digits)
	if err != nil || n > longest {
		return 0, fmt.Errorf("the prefix length %s is above %d", excerpt(digits), longest)
	}
	return n, nil
}

// parseNetwork reads ":" and an address with or without a prefix length.
func (t *Term) parseNetwork(rest string) error {
	longest, other, example := 32, IP6, "192.0.2.1"
	if t.Kind == IP6 {
		longest, other, example = 128, IP4, "2001:db8::1"
	}
	if len(rest) < 2 || rest[0] != ':' {
		return fmt.Errorf("%s needs an address: %s:%s", t.Kind, t.Kind, example)
	}
	text, digits, masked := strings.Cut(rest[1:], "/")
	addr, err := netip.ParseAddr(text)
	if err != nil || addr.Zone() != "" {
		return fmt.Errorf("%s is no address", excerpt(text))
	}
	if addr.BitLen() != longest {
		return fmt.Errorf("%s is an address for %s", excerpt(text), other)
	}
	if masked && (digits == "" || strings.Trim(digits, "0123456789") != "") {
		return fmt.Errorf("%s is no prefix length", excerpt("/"+digits))
	}
	bits, err := prefixLength(digits, longest)
	t.Network = netip.PrefixFrom(addr, bits)
	return err
}

// parseDomainSpec reads a domain-spec (RFC 7208 §7.1): a macro-string that ends in a
// macro, or in a dot and a top label.
func parseDomainSpec(s string) (Macro, error) {
	if s == "" {
		return nil, errors.New("the domain is missing")
	}
	m, err := parseMacro(s)
	if err != nil {
		return nil, err
	}
	if m.uses(expLetters) {
		return nil, errors.New("the macros c, r and t belong into the text of an explanation alone")
	}
	end := m[len(m)-1]
	if end.Letter != 0 {
		return m, nil
	}
	text := strings.TrimSuffix(end.Literal, ".")
	dot := strings.LastIndexByte(text, '.')
	if dot < 0 {
		return nil, fmt.Errorf("%s is no domain of two labels", excerpt(s))
	}
	if !isTopLabel(text[dot+1:]) {
		return nil, fmt.Errorf("%s is no top-level domain", excerpt(text[dot+1:]))
	}
	return m, nil
}

// isTopLabel: letters, digits and hyphens, none at an end, and not digits alone.
func isTopLabel(s string) bool {
	if s == "" || s[0] == '-' || s[len(s)-1] == '-' {
		return false
	}
	letter := false
	for i := 0; i < len(s); i++ {
		if !isAlnum(s[i]) && s[i] != '-' {
			return false
		}
		letter = letter || isAlpha(s[i]) || s[i] == '-'
	}
	return letter
}

func isAlpha(c byte) bool { return 'a' <= c|0x20 && c|0x20 <= 'z' }
func isAlnum(c byte) bool { return isAlpha(c) || '0' <= c && c <= '9' }
