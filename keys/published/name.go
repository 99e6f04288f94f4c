package published

import (
	"fmt"
	"strings"

	"github.com/postseal/postseal/milter/dkim"
)

const maxName = 253 // octets of a domain name (RFC 1035 §2.3.4)

// RecordName returns the name of the TXT record for a selector and a domain,
// SELECTOR._domainkey.DOMAIN (RFC 6376 §3.6.2.1), in lower case and with
// U-labels as A-labels (RFC 8616 §4). A final dot of the domain does not count. The
// error says which of the two is no name.
func RecordName(selector, domain string) (string, error) {
	s, err := dkim.DomainName(selector)
	if err != nil {
		return "", fmt.Errorf("selector: %w", err)
	}
	d, err := dkim.DomainName(strings.TrimSuffix(domain, "."))
	if err != nil {
		return "", fmt.Errorf("domain: %w", err)
	}
	name := s + "._domainkey." + d
	if len(name) > maxName {
		return "", fmt.Errorf("the record's name would have %d octets and DNS holds %d; choose a shorter selector", len(name), maxName)
	}
	return name, nil
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
