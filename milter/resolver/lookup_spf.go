package resolver

import (
	"context"
	"strings"

	"github.com/miekg/dns"
)

// LookupSPF returns the records of the type SPF (99) at name, each with its strings
// joined. Nobody evaluates them any more (RFC 7208 §3.1).
func (l Lookup) LookupSPF(ctx context.Context, name string) ([]string, error) {
	reply, err := l.Ask(ctx, name, dns.TypeSPF)
	if err != nil {
		return nil, err
	}
	var records []string
	for _, rr := range reply.Records {
		if rr, ok := rr.(*dns.SPF); ok {
			var b strings.Builder
			for _, s := range rr.Txt {
				unescape(&b, s)
			}
			records = append(records, b.String())
		}
	}
	return records, nil
}
