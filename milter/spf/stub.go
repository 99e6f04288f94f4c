package spf

import (
	"context"
	"net/netip"

	"github.com/postseal/postseal/milter/finding"
)

func Inspect(ctx context.Context, r Resolver, domain string) *Report {
	return &Report{Domain: domain}
}

// Addresses says which of a machine's addresses may not send as the domain.
func (r *Report) Addresses(ctx context.Context, resolver Resolver, helo string, addrs []netip.Addr) finding.List {
	return nil
}

// Propose is the record to publish.
func Propose(addrs []netip.Addr, existing string) (record, note string) { return existing, "" }
