package dmarc

import (
	"context"
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
	u, err := reportsTo(domain, rua)
	if err != nil {
		return "", "", err
	}
	return prefix + domain, "v=DMARC1; p=none; rua=" + u.Text, nil
}

// reportsTo reads the rua of Propose.
func reportsTo(domain, rua string) (URI, error) {
	if rua == "" {
		rua = "postmaster@" + domain
	}
	if !strings.Contains(rua, ":") {
		rua = "mailto:" + rua
	}
	u, ok := parseURI(rua)
	if !ok {
		return URI{}, fmt.Errorf("%q is no address for reports; write one such as dmarc@%s", rua, domain)
	}
	return u, nil
}

// Consent is the record that is missing for reports about domain to be sent to rua, which
// is as for Propose: where that is at host, of another organization, host has to agree
// (RFC 9990 §4). name is "" if nothing is missing. Where DNS does not answer, host may
// have to.
func Consent(ctx context.Context, r Resolver, domain, rua string) (name, text, host string) {
	u, err := reportsTo(domain, rua)
	if err != nil || u.Host == "" || u.Host == domain {
		return "", "", ""
	}
	w := newWalker(r)
	own, other := w.organization(ctx, domain), w.organization(ctx, u.Host)
	if own.Err == nil && other.Err == nil && own.Domain == other.Domain {
		return "", "", ""
	}
	name, text = Authorization(domain, u.Host)
	texts, _, _ := r.LookupTXT(ctx, name) // an error leaves it open
	for _, txt := range texts {
		if _, agrees := ParseRecord(txt); agrees {
			return "", "", ""
		}
	}
	return name, text, u.Host
}

// Authorization is the TXT record by which host agrees to get reports about domain
// (RFC 9990 §4).
func Authorization(domain, host string) (name, text string) {
	return domain + "._report._dmarc." + host, "v=DMARC1"
}
