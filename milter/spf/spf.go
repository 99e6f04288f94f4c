// Package spf says whether a host may send mail in the name of a domain
// (RFC 7208), and looks at a domain's SPF record as its administrator should.
package spf

import (
	"context"
	"net/netip"
)

// Resolver answers the questions that SPF asks of DNS. No records and a nil error
// mean that there are none; an error means that the question could not be answered
// for now. resolver.Lookup of this project is one.
type Resolver interface {
	LookupTXT(ctx context.Context, name string) (txt []string, authentic bool, err error)
	// LookupIP returns the addresses of both families.
	LookupIP(ctx context.Context, host string) ([]netip.Addr, error)
	// LookupMX returns host names, the preferred first; a null MX (RFC 7505) is ".".
	LookupMX(ctx context.Context, domain string) ([]string, error)
	// LookupAddr returns the names that a reverse look-up gives.
	LookupAddr(ctx context.Context, addr netip.Addr) ([]string, error)
}

// Query is one delivery of mail.
type Query struct {
	// Client is the address of the SMTP client. An IPv4-mapped one counts as IPv4.
	Client netip.Addr
	// HELO is the name that the client gave of itself.
	HELO string
	// MailFrom is the envelope sender, LOCAL@DOMAIN without brackets. If it is
	// empty, the HELO identity is checked, as postmaster@HELO (RFC 7208 §2.4).
	MailFrom string
}

// Status is the outcome of a check (RFC 7208 §2.6), in the word that
// Authentication-Results has for it.
type Status string

// The outcomes.
const (
	None      Status = "none"
	Neutral   Status = "neutral"
	Pass      Status = "pass"
	Fail      Status = "fail"
	SoftFail  Status = "softfail"
	TempError Status = "temperror"
	PermError Status = "permerror"
)

// The identities that can be checked (RFC 7208 §2.3, §2.4).
const (
	HELO     = "helo"
	MailFrom = "mailfrom"
)

// Result is what a check came to.
type Result struct {
	Status Status
	// Identity is MailFrom or HELO, and Domain the domain that was checked for it.
	Identity, Domain string
	// Mechanism is the one that decided, as it stands in the record of the domain
	// Record: the domain itself, or one that it includes or redirects to. Both are
	// empty where no mechanism decided.
	Mechanism, Record string
	// Err is why Status is none, temperror or permerror.
	Err error
}
