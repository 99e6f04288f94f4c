package rotation

import (
	"context"
	"crypto"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/miekg/dns"
	"github.com/postseal/postseal/keys/ledger"
	"github.com/postseal/postseal/keys/published"
	"github.com/postseal/postseal/keys/zone"
	"github.com/postseal/postseal/milter/dkim"
	"github.com/postseal/postseal/milter/resolver"
)

// Revoked is the record of a key that nobody shall use any more (RFC 6376 §3.6.1).
const Revoked = "v=DKIM1; p="

// Zones is the DNS of the world: records are looked for at the name servers of their
// zones, and handed to those that take updates.
type Zones struct {
	// Ask finds records; who publishes them by hand may have an alias there.
	Ask resolver.Asker
	// Sight looks for a key at name servers, as published.Everywhere does.
	Sight func(ctx context.Context, domain, selector string, pub crypto.PublicKey) (published.Sight, error)
	// Updater is what takes the records of a domain, nil where a person does.
	Updater func(domain string) (*zone.Updater, error)
}

var _ DNS = (*Zones)(nil)

// Look implements DNS.
func (z *Zones) Look(ctx context.Context, k ledger.Key) (View, error) {
	sight, err := z.Sight(ctx, k.Domain, k.Selector, k.Public())
	if err != nil {
		return View{}, err
	}
	v := View{TTL: sight.TTL}
	var why []string
	var other time.Duration // for how long others may remember that it is not there
	for _, s := range sight.Servers {
		switch {
		case s.Shows:
			v.Anywhere = true
		case !s.Silent:
			v.Shown = Missing
			other = max(other, s.TTL)
		}
		if !s.Shows && s.Why != "" && !slices.Contains(why, s.Why) {
			why = append(why, s.Why)
		}
	}
	if sight.Everywhere() {
		v.Shown = Everywhere
	}
	if v.Shown == Missing {
		v.TTL = other
	}
	v.Why = strings.Join(why, " ")
	if k.State == ledger.Retiring || k.State == ledger.Retired {
		v.Alias = z.alias(ctx, k.RecordName())
	}
	return v, nil
}

// alias is where the name of a record leads, "" for a name of its own.
func (z *Zones) alias(ctx context.Context, name string) string {
	reply, err := z.Ask.Ask(ctx, name, dns.TypeCNAME)
	if err != nil {
		return ""
	}
	target, _ := reply.Alias()
	return target
}

// Taken implements DNS. Where nobody answers, nothing is known to stand there.
func (z *Zones) Taken(ctx context.Context, name string) bool {
	reply, err := z.Ask.Ask(ctx, name, dns.TypeTXT)
	return err == nil && len(reply.Records) > 0
}

// Publish implements DNS.
func (z *Zones) Publish(ctx context.Context, k ledger.Key) (handed bool, err error) {
	return z.change(ctx, k, func(before []string) ([]string, error) {
		if len(before) > 0 && !slices.ContainsFunc(before, func(b string) bool { return has(k, b) }) {
			return nil, fmt.Errorf("another record stands at %s: %s; delete it, or take the rotation back with --abort", k.RecordName(), published.Excerpt(before[0]))
		}
		return []string{k.Record}, nil
	})
}

// Revoke implements DNS.
func (z *Zones) Revoke(ctx context.Context, k ledger.Key) (handed bool, err error) {
	return z.change(ctx, k, func(before []string) ([]string, error) { return replaced(k, before, Revoked), nil })
}

// Withdraw implements DNS.
func (z *Zones) Withdraw(ctx context.Context, k ledger.Key) (handed bool, err error) {
	return z.change(ctx, k, func(before []string) ([]string, error) { return replaced(k, before), nil })
}

// change hands a change of the records at a key's name to whoever takes it. An alias
// there belongs to somebody else, and so does its record.
func (z *Zones) change(ctx context.Context, k ledger.Key, after func(before []string) ([]string, error)) (handed bool, err error) {
	u, err := z.Updater(k.Domain)
	if u == nil || err != nil {
		return false, err
	}
	if z.alias(ctx, k.RecordName()) != "" {
		return false, nil
	}
	before, err := u.Look(ctx, k.RecordName())
	if err != nil {
		return false, err
	}
	now, err := after(before)
	if err != nil {
		return false, err
	}
	err = u.Update(ctx, zone.Change{Name: k.RecordName(), Before: before, After: now})
	if errors.Is(err, zone.ErrChanged) {
		err = fmt.Errorf("%w; the next run tries again", err)
	}
	return err == nil, err
}

// has reports whether a record publishes the key.
func has(k ledger.Key, record string) bool {
	r, err := dkim.ParseKeyRecord(record)
	if err != nil || r.Public == nil {
		return false
	}
	pub, ok := k.Public().(interface{ Equal(crypto.PublicKey) bool })
	return ok && pub.Equal(r.Public)
}

// replaced are records with others in the place of those that publish the key.
func replaced(k ledger.Key, records []string, others ...string) []string {
	rest := slices.DeleteFunc(slices.Clone(records), func(r string) bool { return has(k, r) })
	if len(rest) == len(records) {
		return records
	}
	return append(rest, others...)
}
