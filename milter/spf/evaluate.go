package spf

import (
	"context"
	"fmt"
	"math"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"blitiri.com.ar/go/spf"
)

// evaluation is one check. The library decides: the order of terms, qualifiers,
// include and redirect, addresses and prefix lengths. It takes domains only in part
// of their syntax, goes on with a record that is spoiled further behind, and does not
// say which mechanism of which record decided. So it gets no record as it stands: each
// term has a number, the step, in place of its domain, and in front of each term
// stands one that never matches and says that the library has come to the next step.
// What a number means is looked up here; so are the limits counted.
type evaluation struct {
	dns   Resolver
	facts facts
	steps []step
	at    int // the step that was reached last

	lookups, voids int
	names          []string // of the client, validated
	named          bool     // names were looked up

	// status and err end the evaluation, whatever the library makes of it.
	status Status
	err    error
}

// step is a term in the record of a domain. The first stands for the beginning.
type step struct {
	record string
	term   Term
}

// The names that the library asks for. Others have no such beginning.
const (
	reached = "=at" // a step is reached
	target  = "=to" // the domain of a step
)

func newEvaluation(ctx context.Context, r Resolver, f facts) *evaluation {
	e := &evaluation{dns: r, facts: f}
	e.facts.ownName = func(domain string) string { return e.ownName(ctx, domain) }
	return e
}

// run evaluates from the sender's domain on.
func (e *evaluation) run(ctx context.Context, result *Result) {
	e.steps = []step{{record: e.facts.sender, term: Term{Kind: Redirect}}}
	status, err := spf.CheckHostWithSender(net.IP(e.facts.client.AsSlice()), "", "@"+target+"0",
		spf.WithContext(ctx), spf.WithResolver(library{e}),
		spf.OverrideLookupLimit(math.MaxUint), spf.OverrideVoidLookupLimit(math.MaxUint))
	if e.status != "" {
		result.Status, result.Err = e.status, e.err
		return
	}
	result.Status = Status(status)
	switch err {
	case nil:
	case spf.ErrNoResult:
		result.Err = fmt.Errorf("%s has no SPF record", e.facts.sender)
	case spf.ErrMatchedAll, spf.ErrMatchedA, spf.ErrMatchedIP, spf.ErrMatchedMX, spf.ErrMatchedPTR, spf.ErrMatchedExists:
		result.Mechanism, result.Record = e.steps[e.at].term.short(), shown(e.steps[e.at].record)
	default:
		result.Err = err
	}
}

// stop ends the evaluation at a step. What it returns makes the library return.
func (e *evaluation) stop(n int, status Status, err error) error {
	if e.status == "" {
		e.status, e.err = status, err
		if n > 0 {
			e.err = fmt.Errorf("%s in the record of %s: %w", e.steps[n].term.short(), shown(e.steps[n].record), err)
		}
	}
	return &net.DNSError{Err: err.Error(), IsTemporary: true}
}

// reach counts step n.
func (e *evaluation) reach(n int) error {
	e.at = n
	if !e.steps[n].term.Kind.CostsLookup() {
		return nil
	}
	if e.lookups++; e.lookups > MaxLookups {
		return e.stop(n, PermError, fmt.Errorf("look-up %d, and %d are allowed (RFC 7208 §4.6.4)", e.lookups, MaxLookups))
	}
	return nil
}

// void counts step n as one that found nothing.
func (e *evaluation) void(n int) error {
	if e.voids++; e.voids > MaxVoids {
		return e.stop(n, PermError, fmt.Errorf("look-up %d that finds nothing, and %d are allowed (RFC 7208 §4.6.4)", e.voids, MaxVoids))
	}
	return nil
}

// name is the domain that step n asks for; ok is false if DNS cannot hold it
// (RFC 7208 §4.8).
func (e *evaluation) name(n int) (name string, ok bool) {
	s := e.steps[n]
	if len(s.term.Target) == 0 {
		return s.record, true
	}
	f := e.facts
	f.domain = s.record
	name = shortened(s.term.Target.expand(f))
	return name, holdable(name)
}

// record returns the SPF record that step n asks for, in numbers, "" if there is none.
func (e *evaluation) record(ctx context.Context, n int) (string, error) {
	name, ok := e.name(n)
	var records []string
	if ok {
		txt, _, err := e.dns.LookupTXT(ctx, name)
		if err != nil {
			return "", e.stop(n, TempError, err)
		}
		records = slices.DeleteFunc(slices.Clone(txt), func(t string) bool { return !IsRecord(t) })
	}
	switch {
	case len(records) > 1:
		return "", e.stop(n, PermError, fmt.Errorf("%s has %d SPF records", shown(name), len(records)))
	case len(records) == 0 && n > 0:
		return "", e.stop(n, PermError, fmt.Errorf("%s has no SPF record", shown(name)))
	case len(records) == 0:
		return "", nil
	}
	record, errs := Parse(records[0])
	if len(errs) > 0 {
		return "", e.stop(n, PermError, fmt.Errorf("the record of %s has a syntax error: %w", shown(name), errs[0]))
	}
	return e.numbered(name, record), nil
}

// numbered makes steps of the terms of a record, and writes it for the library.
func (e *evaluation) numbered(domain string, r *Record) string {
	var b strings.Builder
	b.WriteString(Version)
	for _, t := range r.evaluated() {
		n := len(e.steps)
		e.steps = append(e.steps, step{domain, t})
		b.WriteString(" exists:" + reached + strconv.Itoa(n))
		switch t.Kind {
		case All:
			t.Target = nil
		case IP4, IP6:
			// An IPv4-mapped address is an IPv4 address (RFC 7208 §5), and an ip6
			// that looks like one matches nothing.
			if (t.Kind == IP4) != e.facts.client.Is4() {
				continue
			}
		case PTR:
			// The library compares this name with those of the client.
			name, ok := e.name(n)
			if !ok || !isHostName(name) {
				continue
			}
			t.Target = Macro{{Literal: name}}
		default:
			t.Target = Macro{{Literal: target + strconv.Itoa(n)}}
		}
		b.WriteString(" " + t.String())
	}
	return b.String()
}

// lookup returns the addresses of one family at name. RFC 7208 §5.3 asks for no other,
// so trouble with the other does not count where the resolver can tell them apart.
func (e *evaluation) lookup(ctx context.Context, name string, v4 bool) ([]netip.Addr, error) {
	d, ok := e.dns.(interface {
		LookupFamily(ctx context.Context, host string, v4 bool) ([]netip.Addr, error)
	})
	if ok {
		return d.LookupFamily(ctx, name, v4)
	}
	addrs, err := e.dns.LookupIP(ctx, name)
	return family(addrs, v4), err
}

// family keeps the addresses of one family.
func family(addrs []netip.Addr, v4 bool) []netip.Addr {
	return slices.DeleteFunc(slices.Clone(addrs), func(a netip.Addr) bool { return a.Unmap().Is4() != v4 })
}

// addresses answers for the domain of step n (RFC 7208 §5.3, §5.7).
func (e *evaluation) addresses(ctx context.Context, n int) ([]netip.Addr, error) {
	var addrs []netip.Addr
	if name, ok := e.name(n); ok {
		var err error
		if addrs, err = e.lookup(ctx, name, e.facts.client.Is4() || e.steps[n].term.Kind == Exists); err != nil {
			return nil, e.stop(n, TempError, err)
		}
	}
	if len(addrs) == 0 {
		return nil, e.void(n)
	}
	return addrs, nil
}

// hosts answers for the mx of step n (RFC 7208 §5.4). A null MX names no host.
func (e *evaluation) hosts(ctx context.Context, n int) ([]string, error) {
	var hosts []string
	if name, ok := e.name(n); ok {
		var err error
		if hosts, err = e.dns.LookupMX(ctx, name); err != nil {
			return nil, e.stop(n, TempError, err)
		}
	}
	if len(hosts) == 0 {
		return nil, e.void(n)
	}
	if len(hosts) > MaxHosts {
		return nil, e.stop(n, PermError, fmt.Errorf("more than %d MX hosts (RFC 7208 §4.6.4)", MaxHosts))
	}
	return slices.DeleteFunc(slices.Clone(hosts), func(h string) bool {
		return !holdable(strings.TrimSuffix(h, ".")) || strings.HasPrefix(h, "=")
	}), nil
}

// validated are the names of the client that lead back to it (RFC 7208 §5.5). Trouble
// in DNS makes them fewer; empty reports that there are none at all.
func (e *evaluation) validated(ctx context.Context) (names []string, empty bool) {
	if e.named {
		return e.names, false
	}
	e.named = true
	all, err := e.dns.LookupAddr(ctx, e.facts.client)
	if err != nil {
		return nil, false
	}
	for _, name := range all[:min(len(all), MaxHosts)] {
		name = strings.TrimSuffix(name, ".")
		if !isHostName(name) || !holdable(name) {
			continue
		}
		addrs, err := e.lookup(ctx, name, e.facts.client.Is4())
		if err == nil && slices.ContainsFunc(addrs, func(a netip.Addr) bool { return a.Unmap() == e.facts.client }) {
			e.names = append(e.names, name)
		}
	}
	return e.names, len(all) == 0
}

// ownName is %{p}: the client's name, best the domain of the record or one below it
// (RFC 7208 §7.3).
func (e *evaluation) ownName(ctx context.Context, domain string) string {
	names, _ := e.validated(ctx)
	best, rank := "unknown", 0
	for _, name := range names {
		r := 1
		switch {
		case strings.EqualFold(name, domain):
			r = 3
		case strings.HasSuffix(strings.ToLower(name), "."+strings.ToLower(domain)):
			r = 2
		}
		if r > rank {
			best, rank = name, r
		}
	}
	return best
}
