package spf

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"golang.org/x/net/idna"
)

const (
	maxName    = 253 // octets of a domain name without the final dot (RFC 1035 §2.3.4)
	maxLabel   = 63
	maxExcerpt = 60 // octets of a foreign text that are repeated
)

// domainName returns a domain that a sender gave in the form that is looked up:
// lower case, U-labels as A-labels (RFC 7208 §4.3), without a final dot. The error
// says why it is no name of at least two labels.
func domainName(s string) (string, error) {
	name := strings.TrimSuffix(s, ".")
	if len(s) > 4*maxName {
		return "", fmt.Errorf("a name of %d octets", len(s))
	}
	if !isASCII(name) {
		ascii, err := idna.Lookup.ToASCII(name)
		if err != nil {
			return "", fmt.Errorf("%s is no domain name", excerpt(s))
		}
		name = ascii
	}
	switch {
	case name == "":
		return "", errors.New("the domain name is empty")
	case !holdable(name), !isHostName(name):
		return "", fmt.Errorf("%s is no domain name", excerpt(s))
	case !strings.Contains(name, "."):
		return "", fmt.Errorf("%s has a single label and is no full domain name", excerpt(s))
	}
	return strings.ToLower(name), nil
}

// holdable reports whether DNS can hold a name: labels of 1 to 63 octets, 253
// together.
func holdable(name string) bool {
	if len(name) > maxName {
		return false
	}
	for label := range strings.SplitSeq(name, ".") {
		if label == "" || len(label) > maxLabel {
			return false
		}
	}
	return true
}

// shortened takes labels from the left of what macros made until DNS holds it
// (RFC 7208 §7.3), and a dot from its end.
func shortened(name string) string {
	name = strings.TrimSuffix(name, ".")
	for len(name) > maxName {
		_, right, ok := strings.Cut(name, ".")
		if !ok {
			return name
		}
		name = right
	}
	return name
}

// isHostName reports whether s is letters, digits, "-", "_" and dots.
func isHostName(s string) bool {
	for i := 0; i < len(s); i++ {
		if !isAlnum(s[i]) && strings.IndexByte("-_.", s[i]) < 0 {
			return false
		}
	}
	return s != ""
}

func isASCII(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// shown is a name as it may be printed: quoted, if macros put anything else into it
// than host names have.
func shown(name string) string {
	if isHostName(name) {
		return name
	}
	return excerpt(name)
}

// excerpt quotes the beginning of a foreign text.
func excerpt(s string) string {
	if len(s) > maxExcerpt {
		return fmt.Sprintf("%q…", s[:maxExcerpt])
	}
	return fmt.Sprintf("%q", s)
}

// firstRune is the first character of s, or its first octet if that is none.
func firstRune(s string) string {
	_, n := utf8.DecodeRuneInString(s)
	return s[:n]
}
