package dkim

import (
	"errors"
	"fmt"
	"strings"
)

// Bounds of a tag list. A signature has about 15 tags and a key record 8; the
// longest tags in the wild (z= and p=) stay far below 64 KiB.
const (
	maxTagListBytes = 64 << 10
	maxTags         = 100
)

// tag is one tag=value of a list (RFC 6376 §3.2).
type tag struct {
	name  string
	value string // without the white space around it
	// start and end are the offsets, in the text that was parsed, of everything
	// between "=" and the ";" or the end: the value with the white space around it.
	start, end int
}

// tagList is a parsed list, its tags in the order of the text and no name twice.
type tagList []tag

// parseTagList reads a tag-list (RFC 6376 §3.2). A ";" may end the list.
// A name that is no tag-name, a name that comes twice, and control characters
// spoil the whole list. White space is SP, HT and line ends, and nothing else.
func parseTagList(s string) (tagList, error) {
	if len(s) > maxTagListBytes {
		return nil, fmt.Errorf("tag list of %d octets; at most %d are read", len(s), maxTagListBytes)
	}
	if err := checkTagText(s); err != nil {
		return nil, err
	}
	list := make(tagList, 0, 16)
	for pos := 0; pos < len(s); {
		end := len(s)
		if i := strings.IndexByte(s[pos:], ';'); i >= 0 {
			end = pos + i
		}
		spec := s[pos:end]
		if end == len(s) && trimFWS(spec) == "" && len(list) > 0 {
			break // white space after the last ";"
		}
		name, value, ok := strings.Cut(spec, "=")
		if !ok {
			return list, fmt.Errorf("tag without %q: %s", "=", excerpt(trimFWS(spec)))
		}
		start := pos + len(name) + 1
		name = trimFWS(name)
		if !isTagName(name) {
			return list, fmt.Errorf("tag name %s is not a letter followed by letters, digits and _", excerpt(name))
		}
		if _, twice := list.get(name); twice {
			return list, fmt.Errorf("tag %s= comes twice", name)
		}
		if len(list) == maxTags {
			return list, fmt.Errorf("more than %d tags", maxTags)
		}
		list = append(list, tag{name: name, value: trimFWS(value), start: start, end: end})
		pos = end + 1
	}
	if len(list) == 0 {
		return list, errors.New("no tag")
	}
	return list, nil
}

// get returns the value of a tag. Names compare with their case (RFC 6376 §3.2).
// The list has at most maxTags tags, so looking at each costs less than a map.
func (l tagList) get(name string) (string, bool) {
	for i := range l {
		if l[i].name == name {
			return l[i].value, true
		}
	}
	return "", false
}

// checkTagText refuses what no tag-list holds: control characters other than
// HT and line ends, and a CR that ends no line. Octets above 126 are let
// through, as RFC 8616 §4 has UTF-8 in d=, i= and s=.
func checkTagText(s string) error {
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c >= ' ' && c != 0x7f || c == '\t' || c == '\n' {
			continue
		}
		if c == '\r' && i+1 < len(s) && s[i+1] == '\n' {
			continue
		}
		return fmt.Errorf("control character %q", c)
	}
	return nil
}

// isTagName checks tag-name = ALPHA *(ALPHA / DIGIT / "_").
func isTagName(s string) bool {
	for i := 0; i < len(s); i++ {
		switch c := lower(s[i]); {
		case 'a' <= c && c <= 'z':
		case i > 0 && ('0' <= c && c <= '9' || c == '_'):
		default:
			return false
		}
	}
	return s != ""
}

// colonList splits the value of a tag such as h= or q= at its colons.
func colonList(value string) []string {
	items := strings.Split(value, ":")
	for i := range items {
		items[i] = trimFWS(items[i])
	}
	return items
}

const fwsCutset = " \t\r\n"

func isFWS(c byte) bool {
	return c == ' ' || c == '\t' || c == '\r' || c == '\n'
}

func trimFWS(s string) string {
	return strings.Trim(s, fwsCutset)
}

// stripFWS removes white space from everywhere in s, as base64 and
// quoted-printable values ask for.
func stripFWS(s string) string {
	if !strings.ContainsAny(s, fwsCutset) {
		return s
	}
	out := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if !isFWS(s[i]) {
			out = append(out, s[i])
		}
	}
	return string(out)
}

// maxExcerpt is how much of somebody's text an error repeats.
const maxExcerpt = 64

// excerpt quotes the beginning of a text from mail or DNS.
func excerpt(s string) string {
	if len(s) > maxExcerpt {
		return fmt.Sprintf("%q…", s[:maxExcerpt])
	}
	return fmt.Sprintf("%q", s)
}
