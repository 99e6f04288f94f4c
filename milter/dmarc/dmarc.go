// Package dmarc finds the DMARC policy of a domain, judges a message by it
// (RFC 9989, which took the place of RFC 7489), and looks at a domain's record as its
// administrator should.
package dmarc

import (
	"context"
	"strings"

	"github.com/postseal/postseal/milter/dkim"
)

// Resolver answers the questions that DMARC asks of DNS. No records and a nil error
// mean that there are none; an error means that the question could not be answered
// for now. resolver.Lookup of this project is one.
type Resolver interface {
	LookupTXT(ctx context.Context, name string) (txt []string, authentic bool, err error)
	// Exists reports whether a name is in DNS, with records of whatever type or names
	// below it: only NXDOMAIN for the name itself says no (RFC 9989 §3.2.13, RFC 8020).
	Exists(ctx context.Context, name string) (bool, error)
}

// The limits of what is asked of DNS.
const (
	// MaxQueries is how many names one tree walk asks (RFC 9989 §4.10).
	MaxQueries = 8
	// MaxWalks is how many identifiers of a message are walked from, and how many hosts
	// of report addresses; others that implement the walk have the same bound.
	MaxWalks = 10
)

// Policy is what the owner of a domain asks to be done with mail that fails
// (RFC 9989 §4.7).
type Policy string

// The policies, from the weakest to the strictest.
const (
	NoPolicy   Policy = "none"
	Quarantine Policy = "quarantine"
	Reject     Policy = "reject"
)

// rank is higher for a stricter policy.
func (p Policy) rank() int {
	switch p {
	case Quarantine:
		return 1
	case Reject:
		return 2
	}
	return 0
}

// lowered is p where the owner is still testing: one step weaker (RFC 9989 §4.7, t=y).
func (p Policy) lowered() Policy {
	if p == Reject {
		return Quarantine
	}
	return NoPolicy
}

// Mode says how an identifier is compared with the domain of From (RFC 9989 §4.4).
type Mode string

// The modes.
const (
	Relaxed Mode = "r" // the same organizational domain
	Strict  Mode = "s" // the same domain
)

// prefix is where records stand, below their domain (RFC 9989 §4.5).
const prefix = "_dmarc."

// domainName is a domain in the form that is looked up: lower case, A-labels
// (RFC 9989 §5.3.1), without a final dot.
func domainName(s string) (string, error) { return dkim.DomainName(strings.TrimSuffix(s, ".")) }

// labels counts the labels of a domain.
func labels(domain string) int { return strings.Count(domain, ".") + 1 }

// rightmost are the last n labels of a domain that has more.
func rightmost(domain string, n int) string {
	for range labels(domain) - n {
		_, domain, _ = strings.Cut(domain, ".")
	}
	return domain
}
