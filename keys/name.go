package keys

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"golang.org/x/net/idna"
)

const (
	maxName  = 253  // a domain name without the final dot (RFC 1035 §2.3.4)
	maxLabel = 63   // one label
	maxText  = 1024 // a local part, or a name before U-labels become A-labels
)

// asciiName returns a domain name or selector in lower case with U-labels as
// A-labels (RFC 5890 §2.3.2.1). What it returns consists of letters, digits,
// "-", "_" and single dots between labels, so it can neither leave a folder
// nor break a tag list.
func asciiName(s string) (string, error) {
	if s == "" {
		return "", errors.New("it is empty")
	}
	if len(s) > maxText {
		return "", fmt.Errorf("it has %d octets", len(s))
	}
	labels := strings.Split(s, ".")
	for i, label := range labels {
		ascii, err := asciiLabel(label)
		if err != nil {
			return "", fmt.Errorf("%q: %w", clip(s), err)
		}
		labels[i] = ascii
	}
	name := strings.Join(labels, ".")
	if len(name) > maxName {
		return "", fmt.Errorf("%q: longer than %d octets", clip(s), maxName)
	}
	return name, nil
}

func asciiLabel(label string) (string, error) {
	if strings.ContainsFunc(label, func(r rune) bool { return r >= 0x80 }) {
		a, err := idna.Lookup.ToASCII(label)
		// idna takes bytes that are no UTF-8 for U+FFFD.
		if err != nil || !utf8.ValidString(label) || !strings.HasPrefix(a, "xn--") {
			return "", fmt.Errorf("label %q is no U-label", clip(label))
		}
		label = a
	}
	switch {
	case label == "":
		return "", errors.New("empty label")
	case len(label) > maxLabel:
		return "", fmt.Errorf("label longer than %d octets", maxLabel)
	case label[0] == '-' || label[len(label)-1] == '-':
		return "", fmt.Errorf("label %q begins or ends with a hyphen", label)
	}
	label = lowerASCII(label)
	for i := 0; i < len(label); i++ {
		c := label[i]
		if ('a' > c || c > 'z') && ('0' > c || c > '9') && c != '-' && c != '_' {
			return "", fmt.Errorf("character %q", c)
		}
	}
	return label, nil
}

// lowerASCII makes the ASCII letters of s small and leaves other bytes alone.
func lowerASCII(s string) string {
	b := []byte(s)
	for i, c := range b {
		if 'A' <= c && c <= 'Z' {
			b[i] = c + 'a' - 'A'
		}
	}
	return string(b)
}

// inside reports whether domain, in asciiName's form, is parent or below it.
func inside(domain, parent string) bool {
	return domain == parent || strings.HasSuffix(domain, "."+parent)
}
