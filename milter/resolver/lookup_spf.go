package resolver

import (
	"context"
	"net/netip"
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

// LookupFamily returns the addresses of host of one family, IPv4 or IPv6. Trouble with
// the other does not matter to it.
func (l Lookup) LookupFamily(ctx context.Context, host string, v4 bool) ([]netip.Addr, error) {
	qtype := dns.TypeAAAA
	if v4 {
		qtype = dns.TypeA
	}
	reply, err := l.Ask(ctx, host, qtype)
	if err != nil {
		return nil, err
	}
	var list []netip.Addr
	for _, rr := range reply.Records {
		if addr, ok := address(rr); ok {
			list = append(list, addr)
		}
	}
	return list, nil
}
