package dataset

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
)

// Spec says where a data set comes from, as the configuration has it: a value
// such as "refile:/etc/postseal/signing.table", or a list of elements. The
// zero Spec means that the configuration says nothing.
type Spec struct {
	// Text is the value where it was one string: with a type before a colon, a
	// path, or a comma separated list.
	Text string
	// Items are the elements where it was an array. They are taken as they
	// stand: no type is looked for in them, and commas do not split them.
	Items []string
	set   bool
}

// List is the Spec of a list with these elements; without any, of an empty list.
func List(items ...string) Spec { return Spec{Items: items, set: true} }

// Text is the Spec of one value, as a configuration file writes it.
func Text(s string) Spec { return Spec{Text: s, set: true} }

// IsSet reports whether the configuration says anything, be it an empty list.
func (s Spec) IsSet() bool { return s.set || s.Text != "" || s.Items != nil }

// Elements are those of a list, blanks around them included; nil for a file and
// for a value that Open refuses.
func (s Spec) Elements() []string {
	if s.Items != nil {
		return s.Items
	}
	if kind, rest, err := detect(s.Text); err == nil && kind == kindCSL {
		return strings.Split(rest, ",")
	}
	return nil
}

// String is the value in the one-string form, for messages and listings.
func (s Spec) String() string {
	if s.Items != nil {
		return "csl:" + strings.Join(s.Items, ",")
	}
	return s.Text
}

// UnmarshalTOML takes a string or an array of strings.
func (s *Spec) UnmarshalTOML(v any) error {
	switch v := v.(type) {
	case string:
		*s = Text(v)
		return nil
	case []any:
		items := make([]string, len(v))
		for i, e := range v {
			item, ok := e.(string)
			if !ok {
				return fmt.Errorf("element %d is not a string: put it in quotes", i+1)
			}
			items[i] = item
		}
		*s = List(items...)
		return nil
	}
	return errors.New("this takes a string or an array of strings")
}

// The kinds of data set that this build reads.
const (
	kindCSL    = "csl"
	kindFile   = "file"
	kindRefile = "refile"
)

const known = "this build reads the types file, refile and csl"

// ErrType is the error of a value whose type is not one of ours.
var ErrType = errors.New("unknown data set type")

// detect splits a value into its kind and the rest, by OpenDKIM's rules: a
// colon with no comma before it ends a type; without one, ".db" at the end is
// a Berkeley DB, a slash at the start a file, and all else a list.
func detect(text string) (kind, rest string, err error) {
	text = strings.Trim(text, blanks)
	colon := strings.IndexByte(text, ':')
	comma := strings.IndexByte(text, ',')
	if colon < 0 || comma >= 0 && comma < colon {
		switch {
		case strings.HasSuffix(text, ".db"):
			return "", "", fmt.Errorf("%w: %q is a Berkeley DB; %s: dump it into a text file", ErrType, text, known)
		case strings.HasPrefix(text, "/"):
			return kindFile, text, nil
		}
		return kindCSL, text, nil
	}
	kind, rest = lower(strings.TrimRight(text[:colon], blanks)), strings.TrimLeft(text[colon+1:], blanks)
	switch kind {
	case kindCSL, kindFile, kindRefile:
		return kind, rest, nil
	case "bdb", "db", "dsn", "erlang", "ldap", "ldapi", "ldaps", "lua", "mdb", "memcache", "repute", "socket":
		// The rest may hold a password: it is not repeated.
		return "", "", fmt.Errorf("%w: %q is not among them; %s: write the rows into a text file", ErrType, kind, known)
	}
	if looksLikeAddress(text) {
		return "", "", fmt.Errorf("%w: the colons of an address look like one; write %q", ErrType, "csl:"+text)
	}
	return "", "", fmt.Errorf("%w %q; %s: put csl: before a list whose first element has a colon, file: or refile: before a path", ErrType, kind, known)
}

// looksLikeAddress reports whether the first element of a list is an IPv6
// address or network, perhaps with "!" or brackets.
func looksLikeAddress(text string) bool {
	first, _, _ := strings.Cut(text, ",")
	first = strings.Trim(strings.TrimPrefix(strings.Trim(first, blanks), "!"), blanks)
	first, _, _ = strings.Cut(first, "/")
	_, err := netip.ParseAddr(strings.Trim(first, "[]"))
	return err == nil
}
