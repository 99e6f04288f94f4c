// Package published compares a key with the DNS record that publishes it
// (RFC 6376 §3.6, RFC 8463 §4), and says in words what is wrong and what to do.
package published

import (
	"context"
	"crypto"
	"fmt"
	"strings"

	"github.com/postseal/postseal/milter/dkim"
	"github.com/postseal/postseal/milter/finding"
)

// Report is what was found at the name of one key.
type Report struct {
	// Domain and Selector are as asked for, and Name is where their record
	// stands; it is empty if they make no name.
	Domain, Selector, Name string
	// Records are the TXT records at Name, each with its strings joined.
	Records []string
	// Key is the record that was looked at, nil if none could be read.
	Key *dkim.KeyRecord
	// Same reports that Key is the public key that it was compared with.
	Same bool
	// Authentic reports that the name server vouches for the answer by DNSSEC
	// (the AD bit, RFC 6840 §5.8). Most domains have no DNSSEC, and DKIM works
	// without.
	Authentic bool
	// Findings is everything that is worth saying, in the order in which it was
	// found. Empty: there is nothing to mend.
	Findings finding.List
}

// Usable reports whether verifiers that keep to the RFCs can use the record:
// there is no finding of level [Problem].
func (r *Report) Usable() bool { return r.Findings.Worst() != Problem }

// Has reports whether there is a finding with code c.
func (r *Report) Has(c Code) bool { return r.Findings.Has(c) }

// Check asks resolver for the key record of a selector and a domain, and reads
// it as a verifier would. pub is the public half of the key that signs, an
// *rsa.PublicKey or ed25519.PublicKey; if it is nil, nothing is compared.
//
// Everything that goes wrong is a finding, a failed look-up too: so there is
// no error. ctx bounds the look-ups, of which there are three at most.
func Check(ctx context.Context, resolver dkim.Resolver, domain, selector string, pub crypto.PublicKey) *Report {
	r := &Report{Domain: domain, Selector: selector}
	name, err := RecordName(selector, domain)
	if err != nil {
		r.add(BadName, Problem, err.Error(), "Correct the domain or the selector.")
		return r
	}
	r.Name = name
	txt, authentic, err := resolver.LookupTXT(ctx, name)
	if err != nil {
		r.add(LookupFailed, Problem, fmt.Sprintf("The record could not be looked up: %v.", err),
			"This says nothing about the record. Try again later, or ask another name server with --nameserver.")
		return r
	}
	r.Records, r.Authentic = txt, authentic
	if len(txt) == 0 {
		r.missing(ctx, resolver)
		return r
	}
	r.records(pub)
	return r
}

// missing looks for the record at the names where it ends up by mistake.
func (r *Report) missing(ctx context.Context, resolver dkim.Resolver) {
	domain := strings.TrimPrefix(r.Name, r.selectorLabels()+"._domainkey.")
	for _, wrong := range []struct{ name, fix string }{
		{r.Name + "." + domain, fmt.Sprintf("The form appends the domain by itself: enter %q as the host name, or end the full name with a dot.", r.selectorLabels()+"._domainkey")},
		{r.selectorLabels() + "." + domain, fmt.Sprintf("The label \"_domainkey\" is missing: move the record to %s.", r.Name)},
	} {
		txt, _, err := resolver.LookupTXT(ctx, wrong.name)
		if err != nil {
			continue
		}
		for _, t := range txt {
			if isKeyRecord(t) {
				r.add(Misplaced, Problem, fmt.Sprintf("There is no record at %s; the key stands at %s, where nobody looks.", r.Name, wrong.name), wrong.fix)
				return
			}
		}
	}
	r.add(NoRecord, Problem, fmt.Sprintf("There is no TXT record at %s.", r.Name),
		"Publish it. If you just did, the answer \"no such record\" may be remembered for some time: wait, or ask the domain's own name server with --nameserver.")
}

func (r *Report) selectorLabels() string {
	selector, _, _ := strings.Cut(r.Name, "._domainkey.")
	return selector
}

// records chooses the record to look at among those at the name: the only key
// record or, if there are several, the one with pub.
func (r *Report) records(pub crypto.PublicKey) {
	var keys, others []string
	for _, t := range r.Records {
		if isKeyRecord(t) {
			keys = append(keys, t)
		} else {
			others = append(others, t)
		}
	}
	switch {
	case len(keys) == 0:
		r.add(NotAKey, Problem, fmt.Sprintf("What stands there is no key record: %s.", Excerpt(others[0])),
			"Publish the key record at this name. If a wildcard such as \"*.\" answers here, the key's own record takes its place.")
		return
	case len(keys) == 2 && (isCut(keys[0], keys[1]) || isCut(keys[1], keys[0])):
		r.cut(keys[0])
		return
	case len(keys) > 1:
		r.add(SeveralRecords, Problem, fmt.Sprintf("There are %d key records at the name; verifiers take any of them, or none (RFC 6376 §3.6.2.2).", len(keys)),
			"Delete all but one. A second key needs a selector of its own.")
	}
	for _, o := range others {
		if looksLikeKeyData(o) {
			r.cut(o)
			return
		}
		r.add(OtherText, Warning, fmt.Sprintf("Another text stands at the same name: %s.", Excerpt(o)),
			"Delete it: some verifiers stumble over it.")
	}
	r.examine(choose(keys, pub), pub)
}

// isCut reports whether two texts are one key record, cut between two tags.
func isCut(begin, end string) bool {
	_, alone := dkim.ParseKeyRecord(begin)
	_, joined := dkim.ParseKeyRecord(strings.TrimRight(begin, "; ") + "; " + end)
	return alone != nil && joined == nil
}

// cut tells of a record in several.
func (r *Report) cut(part string) {
	r.add(SplitRecord, Problem, fmt.Sprintf("The key is cut into several TXT records: one begins with %s.", Excerpt(part)),
		"Put all of it into one TXT record, made of several strings (\"…\" \"…\").")
}

// choose returns the record with pub, or else the first.
func choose(records []string, pub crypto.PublicKey) string {
	for _, t := range records {
		if k, err := dkim.ParseKeyRecord(t); err == nil && equal(k.Public, pub) {
			return t
		}
	}
	return records[0]
}

// equal compares two public keys.
func equal(a, b crypto.PublicKey) bool {
	key, ok := a.(interface{ Equal(crypto.PublicKey) bool })
	return ok && b != nil && key.Equal(b)
}

func (r *Report) add(c Code, l Level, text, fix string) {
	r.Findings = append(r.Findings, Finding{Code: c, Level: l, Text: text, Effect: effects[kind{c, l}], Fix: fix})
}
