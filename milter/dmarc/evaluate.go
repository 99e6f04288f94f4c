package dmarc

import (
	"cmp"
	"context"
	"errors"
	"fmt"
)

// Status is the result of DMARC for a message, in the word that Authentication-Results
// has for it (RFC 9989 §9.2).
type Status string

// The results.
const (
	// None: no policy applies.
	None Status = "none"
	// Pass: a policy applies, and an identifier is aligned.
	Pass Status = "pass"
	// Fail: a policy applies, and none is.
	Fail Status = "fail"
	// TempError: DNS, SPF or DKIM could not say for now what decides it.
	TempError Status = "temperror"
	// PermError: the message has not exactly one domain in From.
	PermError Status = "permerror"
)

// Identifier is a domain that SPF or DKIM speaks for, with its result in the word that
// Authentication-Results has for it. Pass authenticates the domain; temperror is
// something that may pass later; all others count for nothing.
type Identifier struct {
	Domain string
	Result string
}

// Message is what is known of a message.
type Message struct {
	// From are the domains in the From field, one for each mailbox. Several that are
	// the same are one (RFC 9989 §5.3.1).
	From []string
	// SPF is for the domain of MAIL FROM; where that is empty, for the HELO domain
	// (RFC 9989 §3.2.4). The result of HELO beside a MAIL FROM never counts.
	SPF Identifier
	// DKIM has the d= of each signature.
	DKIM []Identifier
}

// Alignment is what one mechanism has for the domain of From.
type Alignment struct {
	// Mode is that of the record.
	Mode Mode
	// Domain is the aligned identifier, "" if there is none.
	Domain string
	// Unsure is an identifier that would be aligned, or may be, if DNS had answered;
	// "" where Domain is not.
	Unsure string
}

// Result is what DMARC says of a message.
type Result struct {
	Status Status
	// From is the domain in the From field, in A-labels; "" if there is not one.
	From string
	// Policy is what the owner asks for mail that fails, after sp, np and t. It is ""
	// where Status is neither pass nor fail, and where it is not known.
	Policy Policy
	// Record is the domain whose record applies, and Tag the tag of the policy.
	Record, Tag string
	// Organization is the organizational domain of From, "" if it is not known.
	Organization string
	SPF, DKIM    Alignment
	// Reason says in a sentence what decided.
	Reason string
}

// String is the result as it stands in Authentication-Results (RFC 9989 §9.1):
// "dmarc=fail header.from=example.com policy.dmarc=reject". The policy is the owner's,
// and not what was done with the message.
func (r Result) String() string {
	s := "dmarc=" + string(r.Status)
	if r.From != "" {
		s += " header.from=" + r.From
	}
	if r.Policy != "" {
		s += " policy.dmarc=" + string(r.Policy)
	}
	return s
}

// Evaluate judges a message (RFC 9989 §5.3). It asks MaxWalks+1 walks of DNS at most,
// and each name once.
//
// For a message without exactly one domain in From, RFC 9989 has no result; here as at
// others that is permerror, and never silence. A record with a bad policy and without an
// address for reports is none.
func Evaluate(ctx context.Context, r Resolver, m Message) Result {
	from, err := single(m.From)
	if err != nil {
		return Result{Status: PermError, Reason: err.Error()}
	}
	e := evaluation{walker: newWalker(r)}
	d := e.discover(ctx, from)
	result := Result{From: from, Record: d.From, Tag: d.Tag, Policy: d.Policy, Organization: d.Organization.Domain}
	switch {
	case d.Record == nil && d.Organization.Err != nil:
		result.Status, result.Reason = TempError, fmt.Sprintf("the policy is not known: %v", d.Organization.Err)
		return result
	case d.Record == nil:
		result.Status, result.Reason = None, fmt.Sprintf("neither %s nor a domain above it that counts has a DMARC record", from)
		return result
	case d.Tag == "" && d.Unsure == nil:
		result.Status = None
		result.Reason = fmt.Sprintf("the record of %s has no valid policy and no address for reports, so it does not count", d.From)
		return result
	}
	result.SPF = e.align(ctx, d, d.Record.ASPF, m.SPF)
	result.DKIM = e.align(ctx, d, d.Record.ADKIM, m.DKIM...)
	result.decide(d)
	return result
}

// single is the one domain of From.
func single(domains []string) (string, error) {
	var from string
	for _, d := range domains {
		name, err := domainName(d)
		switch {
		case err != nil:
			return "", fmt.Errorf("the domain in From is none: %w", err)
		case from != "" && name != from:
			return "", fmt.Errorf("From has several domains, %s and %s", from, name)
		}
		from = name
	}
	if from == "" {
		return "", errors.New("there is no domain in From")
	}
	return from, nil
}

// decide says what alignment comes to. One aligned identifier is enough, whatever else
// there is (RFC 9989 §4.4.1).
func (r *Result) decide(d *Discovery) {
	r.Status = Fail
	switch {
	case r.DKIM.Domain != "":
		r.Status, r.Reason = Pass, r.DKIM.reason("DKIM", r.From)
	case r.SPF.Domain != "":
		r.Status, r.Reason = Pass, r.SPF.reason("SPF", r.From)
	case r.DKIM.Unsure != "" || r.SPF.Unsure != "":
		r.Status, r.Reason = TempError, fmt.Sprintf("it is not known whether %s speaks for %s", cmp.Or(r.DKIM.Unsure, r.SPF.Unsure), r.From)
	case d.Unsure != nil:
		r.Status, r.Reason = TempError, fmt.Sprintf("the policy is not known: %v", d.Unsure)
	default:
		r.Reason = fmt.Sprintf("no SPF or DKIM pass is for %s", r.From)
	}
	if r.Status == TempError {
		r.Policy = ""
	}
}
