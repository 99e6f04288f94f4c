package dmarc

import (
	"fmt"
	"strings"
)

// Propose returns the record to begin with: p=none, which asks nothing of receivers but
// reports to rua. name is where it belongs and text the TXT value. rua is a mail address
// or a URI; "" is postmaster at the domain, which has to be there anyway (RFC 5321
// §4.5.1). Where the reports go to another organization, that has to agree: see
// Authorization.
func Propose(domain, rua string) (name, text string, err error) {
	if domain, err = domainName(domain); err != nil {
		return "", "", err
	}
	if rua == "" {
		rua = "postmaster@" + domain
	}
	if !strings.Contains(rua, ":") {
		rua = "mailto:" + rua
	}
	u, ok := parseURI(rua)
	if !ok {
		return "", "", fmt.Errorf("%q is no address for reports; write one such as dmarc@%s", rua, domain)
	}
	return prefix + domain, "v=DMARC1; p=none; rua=" + u.Text, nil
}

// Authorization is the TXT record by which host agrees to get reports about domain
// (RFC 9990 §4).
func Authorization(domain, host string) (name, text string) {
	return domain + "._report._dmarc." + host, "v=DMARC1"
}
