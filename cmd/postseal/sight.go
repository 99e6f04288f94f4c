package main

import (
	"context"
	"crypto"

	"github.com/postseal/postseal/keys/published"
	"github.com/postseal/postseal/milter/resolver"
	"github.com/spf13/cobra"
)

// sights looks for a key at name servers, as published.Everywhere does.
type sights func(ctx context.Context, domain, selector string, pub crypto.PublicKey) (published.Sight, error)

// sights are those of the domain's own name servers, or of the ones that the flags name in
// their place. asker answers what else there is to ask.
func (f *dnsFlags) sights(cmd *cobra.Command) (see sights, asker resolver.Asker, err error) {
	if asker, err = f.open(cmd, lookupTimeout); err != nil {
		return nil, nil, err
	}
	if !f.set() {
		return func(ctx context.Context, domain, selector string, pub crypto.PublicKey) (published.Sight, error) {
			return published.Everywhere(ctx, resolver.Lookup{Asker: asker}, domain, selector, pub)
		}, asker, nil
	}
	servers := []published.NameServer{{Address: f.records, Ask: asker.Ask}}
	if f.records == "" {
		servers = nil
		for _, address := range f.nameservers {
			one, err := (&dnsFlags{nameservers: []string{address}}).open(cmd, lookupTimeout)
			if err != nil {
				return nil, nil, err
			}
			servers = append(servers, published.NameServer{Address: address, Ask: one.Ask})
		}
	}
	return func(ctx context.Context, domain, selector string, pub crypto.PublicKey) (published.Sight, error) {
		return published.At(ctx, servers, domain, selector, pub)
	}, asker, nil
}
