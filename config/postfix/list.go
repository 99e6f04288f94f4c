package postfix

import (
	"errors"
	"strings"
)

// The two lists of milters: of mail that comes by SMTP, and
// of mail that comes in any other way.
const (
	smtpList  = "smtpd_milters"
	otherList = "non_smtpd_milters"
)

// defaultAction is what happens to mail while a milter is away.
const defaultAction = "milter_default_action"

// maxElements bounds a list of milters, also once its references are followed.
const maxElements = 1000

var errList = errors.New("a list of milters has more than 1000 elements")

// element is one element of a list of milters.
type element struct {
	// text is how it is written.
	text string
	// address is the milter's: "inet:HOST:PORT" or "unix:PATH". It is empty where the
	// element is a reference.
	address string
	// reference is the NAME of an element $NAME, ${NAME} or $(NAME).
	reference string
	// settings are those within braces: "default_action".
	settings map[string]string
}

// parseList divides a list of milters as Postfix does: at blanks and commas that are
// not within braces.
func parseList(s string) ([]element, error) {
	var list []element
	for _, text := range tokens(s) {
		if len(list) == maxElements {
			return nil, errList
		}
		list = append(list, parseElement(text))
	}
	return list, nil
}

// tokens are what stands between blanks and commas; what is within braces stays
// together, as far as a brace that is never closed.
func tokens(s string) []string {
	var list []string
	start, depth := -1, 0
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case depth <= 0 && strings.IndexByte(blanks+",", c) >= 0:
			if start >= 0 {
				list = append(list, s[start:i])
			}
			start = -1
			continue
		case c == '{':
			depth++
		case c == '}' && depth > 0:
			depth--
		}
		if start < 0 {
			start = i
		}
	}
	if start >= 0 {
		list = append(list, s[start:])
	}
	return list
}

func parseElement(text string) element {
	e := element{text: text, reference: reference(text)}
	inner, braces := strings.CutPrefix(text, "{")
	if !braces {
		if e.reference == "" {
			e.address = text
		}
		return e
	}
	e.settings = map[string]string{}
	for i, t := range tokens(strings.TrimSuffix(inner, "}")) {
		if i == 0 {
			e.address = t
			continue
		}
		// { NAME = VALUE } has braces of its own.
		t = strings.TrimSuffix(strings.TrimPrefix(t, "{"), "}")
		if name, value, ok := strings.Cut(t, "="); ok {
			e.settings[strings.Trim(name, blanks)] = strings.Trim(value, blanks)
		}
	}
	return e
}

// reference is the NAME of $NAME, ${NAME} and $(NAME), "" of anything else.
func reference(text string) string {
	name, ok := strings.CutPrefix(text, "$")
	if !ok {
		return ""
	}
	for _, pair := range []string{"{}", "()"} {
		if len(name) > 1 && name[0] == pair[0] && name[len(name)-1] == pair[1] {
			name = name[1 : len(name)-1]
			break
		}
	}
	for i := 0; i < len(name); i++ {
		if c := name[i]; !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '_') {
			return ""
		}
	}
	return name
}

// joinList writes a list.
func joinList(list []element) string {
	texts := make([]string, len(list))
	for i, e := range list {
		texts[i] = e.text
	}
	return strings.Join(texts, ", ")
}

// packed is a list as an option of master.cf holds it: postconf takes no blanks there,
// and nothing within braces needs them.
func packed(s string) string {
	s = strings.Join(words(s), ",")
	return strings.NewReplacer("{,", "{", ",}", "}", ",=,", "=", ",=", "=", "=,", "=").Replace(s)
}
