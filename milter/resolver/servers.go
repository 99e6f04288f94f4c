package resolver

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/miekg/dns"
)

const (
	// MaxServers is how many name servers a zone may have for OwnServers, and
	// MaxAddresses how many addresses each of them.
	MaxServers   = 16
	MaxAddresses = 8
)

// OwnServer is one address of a name server that keeps a zone.
type OwnServer struct {
	Name string // of the host
	Addr netip.AddrPort
	// Err says why there is no address to ask: it has none, or it cannot be found out.
	Err error
}

// OwnServers returns the zone that name lies in, which is the nearest name at or above
// it with an SOA record, and the addresses of that zone's name servers. Where name is
// a CNAME, zone and servers are those of its target: ask them for [Lookup.Target].
// A name below a domain that nobody has registered lies in the zone above that.
//
// A server without an address is in the list, with Err. The error means that the
// list cannot be found out for now, or that it is longer than MaxServers or
// MaxAddresses.
func (l Lookup) OwnServers(ctx context.Context, name string) (zone string, servers []OwnServer, err error) {
	if zone, err = l.zone(ctx, name); err != nil || zone == "" {
		return "", nil, err
	}
	reply, err := l.Ask(ctx, zone, dns.TypeNS)
	if err != nil {
		return "", nil, err
	}
	if len(reply.Records) > MaxServers {
		return "", nil, fmt.Errorf("the zone %s has %d name servers; at most %d are asked", zone, len(reply.Records), MaxServers)
	}
	for _, rr := range reply.Records {
		if ns, ok := rr.(*dns.NS); ok {
			servers = append(servers, l.addresses(ctx, owner(ns.Ns))...)
		}
	}
	return zone, servers, ctx.Err()
}

// zone is the nearest name with an SOA at or above the target of name, "" if there
// is none below the root.
func (l Lookup) zone(ctx context.Context, name string) (string, error) {
	name, err := l.Target(ctx, name)
	if err != nil {
		return "", err
	}
	for ; name != ""; _, name, _ = strings.Cut(name, ".") {
		reply, err := l.Ask(ctx, name, dns.TypeSOA)
		if err != nil {
			return "", err
		}
		// One with another name comes from where a CNAME leads.
		if slices.ContainsFunc(reply.Records, func(rr dns.RR) bool { return owner(rr.Header().Name) == name }) {
			return name, nil
		}
	}
	return "", nil
}

// addresses are those of one name server.
func (l Lookup) addresses(ctx context.Context, host string) []OwnServer {
	list, err := l.LookupIP(ctx, host)
	switch {
	case err == nil && len(list) == 0:
		err = errors.New("has no address")
	case len(list) > MaxAddresses:
		err = fmt.Errorf("has %d addresses; at most %d are asked", len(list), MaxAddresses)
	}
	if err != nil {
		return []OwnServer{{Name: host, Err: fmt.Errorf("name server %s: %w", host, err)}}
	}
	port := l.Port
	if port == 0 {
		port = defaultPort
	}
	servers := make([]OwnServer, len(list))
	for i, addr := range list {
		servers[i] = OwnServer{Name: host, Addr: netip.AddrPortFrom(addr, port)}
	}
	return servers
}

// Ask asks this name server alone, past all caches, for what it keeps itself. The
// error of one that answers for a zone that it does not keep says that it is lame.
func (s OwnServer) Ask(ctx context.Context, name string, qtype uint16) (Reply, error) {
	if s.Err != nil {
		return Reply{}, s.Err
	}
	client, err := New(Options{Nameservers: []string{s.Addr.String()}, CacheSize: -1})
	if err != nil {
		return Reply{}, err
	}
	reply, err := client.Ask(ctx, name, qtype)
	switch {
	case err != nil:
		return Reply{}, fmt.Errorf("name server %s: %w", s.Name, err)
	case !reply.Authoritative:
		return Reply{}, fmt.Errorf("name server %s at %s is lame: it does not keep the zone of %s", s.Name, s.Addr, owner(name))
	}
	return reply, nil
}
