package dkim

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"golang.org/x/net/idna"
)

const (
	maxNameBytes  = 253  // a domain name in A-label form, without the final dot (RFC 1035 §2.3.4)
	maxLabelBytes = 63   // one label of it
	maxNameText   = 1024 // a name as written: A-label form makes UTF-8 shorter, but not by this much
)

// DomainName returns a domain name or selector in the form that is looked up
// and compared: lower case, U-labels as A-labels (RFC 8616 §4, §5). It refuses
// what is no name: empty labels, a final dot, blanks, quotes, parentheses. What
// it returns is letters, digits, "-", "_" and single dots between labels, so
// it can neither leave a folder nor break a tag list.
//
// RFC 6376 §3.5 wants two labels in d= and RFC 5321 no underscore anywhere.
// Selectors with underscores are common, and a single label is what tests and
// closed networks use, so both are taken.
func DomainName(s string) (string, error) {
	if s == "" {
		return "", errors.New("empty name")
	}
	if len(s) > maxNameText {
		return "", fmt.Errorf("name of %d octets", len(s))
	}
	if !utf8.ValidString(s) {
		return "", fmt.Errorf("%s is not UTF-8", excerpt(s))
	}
	name := make([]byte, 0, maxNameBytes+1) // on the stack, if it is a name
	for label := range strings.SplitSeq(s, ".") {
		ascii, err := asciiLabel(label)
		if err != nil {
			return "", fmt.Errorf("%s: %w", excerpt(s), err)
		}
		name = append(append(name, ascii...), '.')
	}
	name = name[:len(name)-1]
	if len(name) > maxNameBytes {
		return "", fmt.Errorf("%s: longer than %d octets", excerpt(s), maxNameBytes)
	}
	if string(name) == s {
		return s, nil
	}
	return string(name), nil
}

func asciiLabel(label string) (string, error) {
	if isASCII(label) {
		label = asciiLower(label)
	} else {
		a, err := idna.Lookup.ToASCII(label)
		if err != nil {
			return "", fmt.Errorf("label %q: %w", label, err)
		}
		// Mapping may turn look-alikes of ASCII letters and of the dot into
		// ASCII; such a label is none of RFC 5890 §2.3.2.1.
		if !strings.HasPrefix(a, "xn--") {
			return "", fmt.Errorf("label %q is no U-label", label)
		}
		label = a
	}
	switch {
	case label == "":
		return "", errors.New("two dots side by side, or one at an end")
	case len(label) > maxLabelBytes:
		return "", fmt.Errorf("label longer than %d octets", maxLabelBytes)
	case label[0] == '-' || label[len(label)-1] == '-':
		return "", fmt.Errorf("label %q begins or ends with a hyphen", label)
	}
	for i := 0; i < len(label); i++ {
		c := label[i]
		if 'a' <= c && c <= 'z' || '0' <= c && c <= '9' || c == '-' || c == '_' {
			continue
		}
		return "", fmt.Errorf("%q cannot stand in a domain name", c)
	}
	return label, nil
}

// Within reports whether name is domain or below it. Both are in DomainName's form.
func Within(name, domain string) bool {
	rest, ok := strings.CutSuffix(name, domain)
	return ok && (rest == "" || strings.HasSuffix(rest, "."))
}

func isASCII(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] >= 0x80 {
			return false
		}
	}
	return true
}

func asciiLower(s string) string {
	for i := 0; i < len(s); i++ {
		if s[i] != lower(s[i]) {
			b := []byte(s)
			for j := range b {
				b[j] = lower(b[j])
			}
			return string(b)
		}
	}
	return s
}
