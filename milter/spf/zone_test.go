package spf

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
)

// zone is a Resolver in memory: what stands at a name in lower case.
type zone struct {
	names map[string]*node
	// asked counts the questions.
	asked atomic.Int64
}

type node struct {
	txt, mx, ptr []string
	spf          []string // of the type SPF
	addrs        []netip.Addr
	cname        string
	fails        bool
}

var errServer = errors.New("SERVFAIL")

// newZone reads lines "NAME TYPE DATA". PTR has an address in place of a name. A line
// "NAME FAIL" makes all questions for the name fail.
func newZone(t testing.TB, text string) *zone {
	t.Helper()
	z := &zone{names: map[string]*node{}}
	for line := range strings.Lines(text) {
		line = strings.Trim(line, "\t\r\n")
		if line == "" {
			continue
		}
		name, rest, _ := strings.Cut(line, " ")
		kind, data, _ := strings.Cut(rest, " ")
		if err := z.add(name, kind, data); err != nil {
			t.Fatalf("zone line %q: %v", line, err)
		}
	}
	return z
}

func (z *zone) at(name string) *node {
	name = strings.ToLower(strings.TrimSuffix(name, "."))
	if z.names[name] == nil {
		z.names[name] = new(node)
	}
	return z.names[name]
}

func (z *zone) add(name, kind, data string) error {
	n := z.at(name)
	switch kind {
	case "TXT":
		n.txt = append(n.txt, data)
	case "MX":
		n.mx = append(n.mx, data)
	case "PTR":
		n.ptr = append(n.ptr, data)
	case "SPF":
		n.spf = append(n.spf, data)
	case "CNAME":
		n.cname = data
	case "FAIL":
		n.fails = true
	case "A", "AAAA":
		addr, err := netip.ParseAddr(data)
		if err != nil || addr.Is4() != (kind == "A") {
			return fmt.Errorf("%q is no address of type %s", data, kind)
		}
		n.addrs = append(n.addrs, addr)
	default:
		return fmt.Errorf("type %q", kind)
	}
	return nil
}

func (z *zone) ask(ctx context.Context, name string) (*node, error) {
	z.asked.Add(1)
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	n := z.names[strings.ToLower(strings.TrimSuffix(name, "."))]
	for n != nil && n.cname != "" {
		n = z.names[n.cname]
	}
	switch {
	case n == nil:
		return new(node), nil
	case n.fails:
		return nil, fmt.Errorf("%s: %w", name, errServer)
	}
	return n, nil
}

func (z *zone) LookupTXT(ctx context.Context, name string) ([]string, bool, error) {
	n, err := z.ask(ctx, name)
	if err != nil {
		return nil, false, err
	}
	return n.txt, false, nil
}

func (z *zone) LookupSPF(ctx context.Context, name string) ([]string, error) {
	n, err := z.ask(ctx, name)
	if err != nil {
		return nil, err
	}
	return n.spf, nil
}

func (z *zone) LookupIP(ctx context.Context, name string) ([]netip.Addr, error) {
	n, err := z.ask(ctx, name)
	if err != nil {
		return nil, err
	}
	return n.addrs, nil
}

func (z *zone) LookupMX(ctx context.Context, name string) ([]string, error) {
	n, err := z.ask(ctx, name)
	if err != nil {
		return nil, err
	}
	return n.mx, nil
}

func (z *zone) LookupAddr(ctx context.Context, addr netip.Addr) ([]string, error) {
	n, err := z.ask(ctx, addr.String())
	if err != nil {
		return nil, err
	}
	return n.ptr, nil
}
