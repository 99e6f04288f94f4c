package dkim

import (
	"fmt"
	"strings"
)

// maxAUID bounds i=, which stands on one line, in octets as written.
const maxAUID = 900

// setIdentity checks d=, s= and i= (RFC 6376 §3.5, RFC 8616 §3).
func (s *Signer) setIdentity() error {
	domain, err := DomainName(s.o.Domain)
	if err != nil {
		return fmt.Errorf("signing domain (d=) is no domain name: %w", err)
	}
	selector, err := DomainName(s.o.Selector)
	if err != nil {
		return fmt.Errorf("selector (s=) is no name: %w", err)
	}
	if n := len(selector + "._domainkey." + domain); n > maxNameBytes {
		return fmt.Errorf("the key record's name would have %d octets and DNS holds %d; choose a shorter selector", n, maxNameBytes)
	}
	if s.o.AUID != "" {
		if s.o.AUID, err = writtenAUID(s.o.AUID, domain); err != nil {
			return fmt.Errorf("identity (i=): %w", err)
		}
	}
	s.o.Domain, s.o.Selector = writtenName(s.o.Domain, domain), writtenName(s.o.Selector, selector)
	return nil
}

// writtenName keeps the letter case of a name that needed no conversion.
func writtenName(given, ascii string) string {
	if isASCII(given) {
		return given
	}
	return ascii
}

// writtenAUID returns i= as it is written: the local part in
// dkim-quoted-printable, the domain with A-labels. Verifiers refuse an identity
// outside d= (RFC 6376 §6.1.1), and ours also control characters in it.
func writtenAUID(auid, domain string) (string, error) {
	at := strings.LastIndexByte(auid, '@')
	if at < 0 {
		return "", fmt.Errorf("%s has no @", excerpt(auid))
	}
	local, host := auid[:at], auid[at+1:]
	name, err := DomainName(host)
	if err != nil {
		return "", err
	}
	if !Within(name, domain) {
		return "", fmt.Errorf("%s is neither in nor below the signing domain %q", excerpt(auid), domain)
	}
	for i := 0; i < len(local); i++ {
		if local[i] < ' ' || local[i] == 0x7f {
			return "", fmt.Errorf("%s holds a control character", excerpt(auid))
		}
	}
	written := quotedPrintable(local) + "@" + writtenName(host, name)
	if len(written) > maxAUID {
		return "", fmt.Errorf("%s is longer than %d octets", excerpt(auid), maxAUID)
	}
	return written, nil
}
