package spf

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"strconv"
	"strings"
)

// library is an evaluation as the library's resolver. It tells errors by their own
// type: a *net.DNSError that is not wrapped.
type library struct{ *evaluation }

// number returns the step in a name that the library asks for.
func number(name, prefix string) (int, bool) {
	digits, ok := strings.CutPrefix(name, prefix)
	if !ok {
		return 0, false
	}
	n, err := strconv.Atoi(digits)
	return n, err == nil
}

// LookupTXT answers for an include or redirect.
func (l library) LookupTXT(ctx context.Context, name string) ([]string, error) {
	n, ok := number(name, target)
	if !ok {
		return nil, errors.New("asked for a record that no step names")
	}
	record, err := l.record(ctx, n)
	if record == "" || err != nil {
		return nil, err
	}
	return []string{record}, nil
}

// LookupIPAddr answers for a, exists and the hosts of mx, and hears that a step is
// reached.
func (l library) LookupIPAddr(ctx context.Context, name string) ([]net.IPAddr, error) {
	if n, ok := number(name, reached); ok {
		return nil, l.reach(n)
	}
	var addrs []netip.Addr
	var err error
	if n, ok := number(name, target); ok {
		addrs, err = l.addresses(ctx, n)
	} else if l.steps[l.at].term.Kind == PTR {
		addrs = []netip.Addr{l.facts.client} // the name is validated
	} else if addrs, err = l.lookup(ctx, name, l.facts.client.Is4()); err != nil {
		err = l.stop(l.at, TempError, err) // a host of mx
	}
	ips := make([]net.IPAddr, len(addrs))
	for i, a := range addrs {
		ips[i].IP = a.Unmap().AsSlice()
	}
	return ips, err
}

// LookupMX answers for mx.
func (l library) LookupMX(ctx context.Context, name string) ([]*net.MX, error) {
	n, ok := number(name, target)
	if !ok {
		return nil, errors.New("asked for an mx that no step names")
	}
	hosts, err := l.hosts(ctx, n)
	mx := make([]*net.MX, len(hosts))
	for i, h := range hosts {
		mx[i] = &net.MX{Host: h}
	}
	return mx, err
}

// LookupAddr answers for ptr.
func (l library) LookupAddr(ctx context.Context, _ string) ([]string, error) {
	names, empty := l.validated(ctx)
	if empty {
		return nil, l.void(l.at)
	}
	return names, nil
}
