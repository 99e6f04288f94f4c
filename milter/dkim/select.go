package dkim

import (
	"errors"
	"fmt"
	"strings"
)

// maxFieldName bounds the names that h= can hold: a name cannot be folded, and
// no line may pass 998 octets (RFC 5322 §2.1.1).
const maxFieldName = 900

// HeaderSelection decides which header fields a signature covers
// (RFC 6376 §5.4). It is immutable and may be shared.
type HeaderSelection struct {
	sign, omit namePatterns
	always     map[string]bool // From and the names in oversign, in lower case
	oversign   []string        // in the case of the configuration, no name twice
}

// NewHeaderSelection reads three lists of header field names, in any letter
// case. Fields in sign are signed and fields in omit are not; names in these
// two may end in "*", which stands for any rest, and omit wins. Names
// in oversign are literal: they are signed where present, whatever the other
// lists say, and once more, so that none can be added unseen (RFC 6376 §8.15).
//
// From is always signed (RFC 6376 §5.4): omitting it is an error. So is
// oversigning DKIM-Signature, as the signature itself would be the added one.
func NewHeaderSelection(sign, omit, oversign []string) (*HeaderSelection, error) {
	s := new(HeaderSelection)
	var errs []error
	read := func(p *namePatterns, list string, names []string) {
		for _, name := range names {
			if err := p.add(name); err != nil {
				errs = append(errs, fmt.Errorf("header fields to %s: %w", list, err))
			}
		}
	}
	read(&s.sign, "sign", sign)
	read(&s.omit, "omit", omit)
	if s.omit.match([]byte("from")) {
		errs = append(errs, errors.New("header fields to omit: From must be signed; take it, or the pattern that matches it, out"))
	}
	seen := make(map[string]bool)
	for _, name := range oversign {
		name = strings.TrimSpace(name)
		switch err := checkFieldName(name); {
		case err != nil:
			errs = append(errs, fmt.Errorf("header fields to oversign: %w", err))
		case asciiEqualFold(name, "DKIM-Signature"):
			errs = append(errs, errors.New("header fields to oversign: the signature itself would break a signature that oversigns DKIM-Signature; take it out"))
		case !seen[asciiLower(name)]:
			s.oversign = append(s.oversign, name)
			seen[asciiLower(name)] = true
		}
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	seen["from"] = true
	s.always = seen
	return s, nil
}

// Names returns what h= lists for a message with these fields: every instance
// of every field to be signed, from the top of the message to its bottom and in
// the message's letter case, then each name to be oversigned once, in the
// configuration's. Fields whose name h= cannot hold are left out: empty,
// longer than 900 octets, with a ";" or with anything but printable ASCII.
func (s *HeaderSelection) Names(fields []Field) []string {
	names := make([]string, 0, len(fields)+len(s.oversign))
	var buf [64]byte
	for _, f := range fields {
		name := trimName(f.Name)
		if checkFieldName(name) == nil && s.signs(appendLower(buf[:0], name)) {
			names = append(names, name)
		}
	}
	return append(names, s.oversign...)
}

// signs and match want name in lower case.
func (s *HeaderSelection) signs(name []byte) bool {
	return s.always[string(name)] || s.sign.match(name) && !s.omit.match(name)
}

// namePatterns is a list of header field names, in lower case.
type namePatterns struct {
	exact    map[string]bool
	prefixes []string // of the names that ended in "*"
}

func (p *namePatterns) add(name string) error {
	name = strings.TrimSpace(name)
	prefix, wild := strings.CutSuffix(name, "*")
	if !wild || prefix != "" {
		if err := checkFieldName(prefix); err != nil {
			return err
		}
	}
	if strings.Contains(prefix, "*") {
		return fmt.Errorf("%q: a * can only end a name", name)
	}
	if wild {
		p.prefixes = append(p.prefixes, asciiLower(prefix))
		return nil
	}
	if p.exact == nil {
		p.exact = make(map[string]bool)
	}
	p.exact[asciiLower(name)] = true
	return nil
}

func (p *namePatterns) match(name []byte) bool {
	if p.exact[string(name)] {
		return true
	}
	for _, prefix := range p.prefixes {
		if len(name) >= len(prefix) && string(name[:len(prefix)]) == prefix {
			return true
		}
	}
	return false
}

// checkFieldName checks that h= can hold name (RFC 6376 §3.5, RFC 5322 §3.6.8).
func checkFieldName(name string) error {
	switch {
	case name == "":
		return errors.New("a name is empty")
	case len(name) > maxFieldName:
		return fmt.Errorf("%s is longer than %d octets", excerpt(name), maxFieldName)
	case !isFieldName(name) || strings.Contains(name, ";"):
		return fmt.Errorf("%s is no header field name; it holds printable ASCII without blanks, \":\" and \";\"", excerpt(name))
	}
	return nil
}
