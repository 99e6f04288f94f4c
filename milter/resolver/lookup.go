package resolver

import (
	"context"
	"fmt"
	"net/netip"
	"slices"

	"github.com/miekg/dns"
)

// Lookup puts an Asker's questions the way those ask them who look after hosts and
// domains. No records and a nil error mean that there are none; an error means that
// there is no answer for now. Host names come in lower case, without the final dot.
type Lookup struct {
	Asker
	// Port is where the name servers of OwnServers are asked; 0 means 53.
	Port uint16
}

// LookupIP returns the addresses of host, IPv4 before IPv6.
func (l Lookup) LookupIP(ctx context.Context, host string) ([]netip.Addr, error) {
	var list []netip.Addr
	for _, qtype := range []uint16{dns.TypeA, dns.TypeAAAA} {
		reply, err := l.Ask(ctx, host, qtype)
		if err != nil {
			return nil, err
		}
		if !reply.Exists {
			return nil, nil // no AAAA either (RFC 8020)
		}
		for _, rr := range reply.Records {
			if addr, ok := address(rr); ok {
				list = append(list, addr)
			}
		}
	}
	return list, nil
}

func address(rr dns.RR) (netip.Addr, bool) {
	var octets []byte
	switch rr := rr.(type) {
	case *dns.A:
		octets = rr.A.To4()
	case *dns.AAAA:
		octets = rr.AAAA.To16()
	}
	return netip.AddrFromSlice(octets)
}

// LookupMX returns the hosts that take mail for domain, the preferred ones first. A
// domain that takes none says so with "." (RFC 7505).
func (l Lookup) LookupMX(ctx context.Context, domain string) ([]string, error) {
	reply, err := l.Ask(ctx, domain, dns.TypeMX)
	if err != nil {
		return nil, err
	}
	var records []*dns.MX
	for _, rr := range reply.Records {
		if rr, ok := rr.(*dns.MX); ok {
			records = append(records, rr)
		}
	}
	slices.SortStableFunc(records, func(a, b *dns.MX) int { return int(a.Preference) - int(b.Preference) })
	var hosts []string
	for _, rr := range records {
		if rr.Mx == "." {
			hosts = append(hosts, rr.Mx)
		} else {
			hosts = append(hosts, owner(rr.Mx))
		}
	}
	return hosts, nil
}

// LookupAddr returns the names that the reverse zone gives addr.
func (l Lookup) LookupAddr(ctx context.Context, addr netip.Addr) ([]string, error) {
	name, err := dns.ReverseAddr(addr.WithZone("").String())
	if err != nil {
		return nil, fmt.Errorf("no name belongs to the address %q: %w", addr, err)
	}
	reply, err := l.Ask(ctx, name, dns.TypePTR)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, rr := range reply.Records {
		if rr, ok := rr.(*dns.PTR); ok {
			names = append(names, owner(rr.Ptr))
		}
	}
	return names, nil
}

// Exists reports whether name is in DNS, with records of whatever type or with names
// below it (RFC 8020).
func (l Lookup) Exists(ctx context.Context, name string) (bool, error) {
	reply, err := l.Ask(ctx, name, dns.TypeA)
	return reply.Exists, err
}

// Target returns where the CNAMEs at name lead: name itself, in lower case and
// without the final dot, if it has none.
func (l Lookup) Target(ctx context.Context, name string) (string, error) {
	way, err := l.Way(ctx, name)
	if err != nil {
		return "", err
	}
	return way[len(way)-1], nil
}

// Way returns the names on the way to the target of name: name itself first, and each is
// an alias (CNAME) of the next.
func (l Lookup) Way(ctx context.Context, name string) (way []string, err error) {
	for range maxHops + 1 {
		way = append(way, owner(name))
		reply, err := l.Ask(ctx, name, dns.TypeCNAME)
		if err != nil {
			return nil, err
		}
		target, ok := reply.Alias()
		if !ok {
			return way, nil
		}
		name = target
	}
	return nil, fmt.Errorf("CNAME %s: %w", way[0], errChain)
}

// Alias is where a CNAME among the records leads, in lower case and without the final
// dot.
func (r Reply) Alias() (target string, ok bool) {
	for _, rr := range r.Records {
		if c, ok := rr.(*dns.CNAME); ok {
			return owner(c.Target), true
		}
	}
	return "", false
}
