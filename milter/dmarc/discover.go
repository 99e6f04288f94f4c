package dmarc

import (
	"context"
	"fmt"
)

// Source says where a policy comes from (RFC 9989 §4.10.1).
type Source string

// The sources, in the order in which they are preferred.
const (
	// Own: the record of the domain itself.
	Own Source = "own"
	// Inherited: that of its organizational domain.
	Inherited Source = "inherited"
	// Suffix: that of the public suffix above.
	Suffix Source = "suffix"
)

// Discovery is the policy that applies to mail from a domain.
type Discovery struct {
	// Domain is the domain, in A-labels.
	Domain string
	// Record is the record that applies, nil if there is none; From is the domain whose
	// record it is.
	Record *Record
	From   string
	Source Source
	// Tag is the tag whose policy applies: "p", "sp" or "np", or where the record has
	// no such tag the one that takes its place. Policy is what it says, after t. Both
	// are empty where the record is not usable, or where Unsure.
	Tag    string
	Policy Policy
	// Unsure is why it is not known which of the policies applies: whether Domain
	// exists cannot be found out.
	Unsure error
	// Organization is that of Domain.
	Organization Organization
}

// Discover finds the policy of a domain (RFC 9989 §4.10.1): that of its own record, else
// of its organizational domain's, else of the public suffix's above. Other records on
// the way never apply. It asks nine questions at most. The error is that of a name that
// is none; DNS trouble is in Organization.Err, and leaves the policy open if Record is
// nil.
func Discover(ctx context.Context, r Resolver, domain string) (*Discovery, error) {
	name, err := domainName(domain)
	if err != nil {
		return nil, err
	}
	return newWalker(r).discover(ctx, name), nil
}

func (w *walker) discover(ctx context.Context, domain string) *Discovery {
	d := &Discovery{Domain: domain, Organization: w.organization(ctx, domain)}
	for _, c := range []struct {
		domain string
		source Source
	}{{domain, Own}, {d.Organization.Domain, Inherited}, {d.Organization.Suffix, Suffix}} {
		// A name that the walk left out is not asked for.
		if s := w.steps[c.domain]; s != nil && s.Record != nil {
			d.Record, d.From, d.Source = s.Record, c.domain, c.source
			break
		}
	}
	if d.Record != nil {
		w.choose(ctx, d)
	}
	return d
}

// choose finds which policy of the record applies (RFC 9989 §4.7). Whether the domain
// exists is asked only where that makes a difference, and where no TXT record below it
// proves that it does.
func (w *walker) choose(ctx context.Context, d *Discovery) {
	p, sp, np, usable := d.Record.Policies()
	if !usable {
		return
	}
	d.Tag, d.Policy = "p", p
	if d.Source != Own {
		if d.Record.SP != "" {
			d.Tag = "sp"
		}
		d.Policy = sp
		if d.Record.applied(sp) != d.Record.applied(np) && len(w.steps[d.Domain].Texts) == 0 {
			exists, err := w.resolver.Exists(ctx, d.Domain)
			if err != nil {
				d.Tag, d.Policy, d.Unsure = "", "", fmt.Errorf("whether %s exists: %w", d.Domain, err)
				return
			}
			if !exists {
				d.Tag, d.Policy = "np", np
			}
		}
	}
	d.Policy = d.Record.applied(d.Policy)
}
