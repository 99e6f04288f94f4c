package published

import (
	"errors"
	"fmt"
	"strings"

	"golang.org/x/net/idna"
)

const (
	maxName  = 253 // octets of a domain name (RFC 1035 §2.3.4)
	maxLabel = 63
)

// RecordName returns the name of the TXT record for a selector and a domain,
// SELECTOR._domainkey.DOMAIN (RFC 6376 §3.6.2.1), in lower case and with
// U-labels as A-labels (RFC 8616 §4). A final dot of the domain does not count. The
// error says which of the two is no name.
func RecordName(selector, domain string) (string, error) {
	s, err := asciiName(selector)
	if err != nil {
		return "", fmt.Errorf("selector %q: %w", clip(selector), err)
	}
	d, err := asciiName(strings.TrimSuffix(domain, "."))
	if err != nil {
		return "", fmt.Errorf("domain %q: %w", clip(domain), err)
	}
	name := s + "._domainkey." + d
	if len(name) > maxName {
		return "", fmt.Errorf("the record's name would have %d octets and DNS holds %d; choose a shorter selector", len(name), maxName)
	}
	return name, nil
}

func asciiName(name string) (string, error) {
	if name == "" {
		return "", errors.New("it is empty")
	}
	if len(name) > 4*maxName {
		return "", fmt.Errorf("it is longer than %d octets", maxName)
	}
	labels := strings.Split(name, ".")
	for i, label := range labels {
		ascii := strings.ToLower(label)
		if !isASCII(label) {
			var err error
			if ascii, err = idna.Lookup.ToASCII(label); err != nil {
				return "", fmt.Errorf("%q is no label of a domain name: %w", clip(label), err)
			}
		}
		if err := checkLabel(ascii); err != nil {
			return "", err
		}
		labels[i] = ascii
	}
	return strings.Join(labels, "."), nil
}

// checkLabel takes letters, digits, hyphens and, as selectors have them,
// underscores.
func checkLabel(label string) error {
	switch {
	case label == "":
		return errors.New("two dots stand side by side, or one at an end")
	case len(label) > maxLabel:
		return fmt.Errorf("the label %q is longer than %d octets", clip(label), maxLabel)
	case label[0] == '-' || label[len(label)-1] == '-':
		return fmt.Errorf("the label %q begins or ends with a hyphen", label)
	}
	for _, c := range label {
		if 'a' <= c && c <= 'z' || '0' <= c && c <= '9' || c == '-' || c == '_' {
			continue
		}
		return fmt.Errorf("%q cannot stand in a domain name", c)
	}
	return nil
}

func isASCII(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] >= 0x80 {
			return false
		}
	}
	return true
}

// maxExcerpt is how much of a text from DNS is repeated, in octets.
const maxExcerpt = 60

// Excerpt quotes the beginning of a text from DNS.
func Excerpt(s string) string {
	if len(s) > maxExcerpt {
		return fmt.Sprintf("%q…", s[:maxExcerpt])
	}
	return fmt.Sprintf("%q", s)
}

func clip(s string) string {
	if len(s) > maxExcerpt {
		return s[:maxExcerpt]
	}
	return s
}
