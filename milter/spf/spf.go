// Package spf says whether a host may send mail in the name of a domain
// (RFC 7208), and looks at a domain's SPF record as its administrator should.
package spf

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
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
	// Mechanism is the one that decided, as it stands in the record (shortened if it
	// is very long) of the domain Record: the domain itself, or one that it includes or redirects to. Both are
	// empty where no mechanism decided.
	Mechanism, Record string
	// Err is why Status is none, temperror or permerror.
	Err error
}

// The limits of a check (RFC 7208 §4.6.4).
const (
	// MaxLookups is how many include, a, mx, ptr, exists and redirect are evaluated.
	MaxLookups = 10
	// MaxVoids is how many of them may find nothing.
	MaxVoids = 2
	// MaxHosts is how many names of an mx and of a reverse look-up are asked for.
	MaxHosts = 10
	// MaxQueries is how many questions a check asks of DNS at most: one for the
	// record, all look-ups with all their hosts, and the client's own name.
	MaxQueries = 1 + MaxLookups*(1+MaxHosts) + 1 + MaxHosts
)

// Check is check_host() of RFC 7208 §4 for one delivery. Whatever goes wrong is the
// Status and Err of the result. ctx bounds the time: RFC 7208 §4.6.4 wants at least 20
// seconds, and temperror when they are over. The record and those that it includes or
// redirects to are read strictly before they are evaluated; exp= is read and not
// evaluated, since nobody here says it to a client.
func Check(ctx context.Context, r Resolver, q Query) Result {
	local, domain, identity := q.identity()
	result := Result{Status: None, Identity: identity, Domain: domain}
	client := q.Client.Unmap().WithZone("")
	name, err := domainName(domain)
	switch {
	case err != nil:
		result.Err = err
		return result
	case !client.IsValid():
		result.Err = errors.New("the client has no address")
		return result
	}
	result.Domain = name
	e := newEvaluation(ctx, r, facts{local: local, sender: name, helo: q.HELO, client: client})
	e.run(ctx, &result)
	return result
}

// identity is what is checked (RFC 7208 §2.3, §2.4): the parts of the sender, where
// a missing local part is postmaster and a missing domain that of HELO.
func (q Query) identity() (local, domain, identity string) {
	at := strings.LastIndexByte(q.MailFrom, '@')
	if at < 0 {
		return cmp.Or(q.MailFrom, postmaster), q.HELO, HELO
	}
	return cmp.Or(q.MailFrom[:at], postmaster), q.MailFrom[at+1:], MailFrom
}

const postmaster = "postmaster" // RFC 7208 §4.3

// Reason says in words what decided, such as `ip4:192.0.2.1 in the record of
// _spf.example.com`.
func (r Result) Reason() string {
	switch {
	case r.Err != nil:
		return r.Err.Error()
	case r.Mechanism == "":
		return fmt.Sprintf("no mechanism in the record of %s matches", r.Domain)
	}
	return fmt.Sprintf("%s in the record of %s", r.Mechanism, r.Record)
}
