package spf

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// MaxTree is how many terms are counted; a record that takes more is cut off there.
const MaxTree = 100

// walk is the way through a record and all below, as an evaluation goes where nothing
// matches.
type walk struct {
	ctx    context.Context
	dns    Resolver
	report *Report
	voids  []string // the terms that find nothing for a client with IPv4
	own    []int    // … where they are in the domain's own record: their offsets
	voids6 []string // … with IPv6
	failed []string // the terms that DNS gave no answer for, with the reason
	cut    bool     // MaxTree is reached

	// Each question is asked once.
	addrs   map[string]answer[netip.Addr]
	hosts   map[string]answer[string]
	records map[string]answer[string]
}

// answer is what DNS said to one question.
type answer[T any] struct {
	list []T
	err  error
}

// once asks each question once.
func once[T any](known map[string]answer[T], name string, ask func() ([]T, error)) ([]T, error) {
	a, ok := known[name]
	if !ok {
		a.list, a.err = ask()
		known[name] = a
	}
	return a.list, a.err
}

// walk counts the look-ups (RFC 7208 §4.6.4).
func (r *Report) walk(ctx context.Context, resolver Resolver) {
	w := &walk{ctx: ctx, dns: resolver, report: r,
		addrs: map[string]answer[netip.Addr]{}, hosts: map[string]answer[string]{}, records: map[string]answer[string]{}}
	r.Tree = &Node{Name: r.Domain}
	w.below(r.Tree, r.Record, []string{r.Domain})
	r.Voids = len(w.voids)
	r.costs(w)
}

// below adds the terms of a record to a node. path are the domains that led there.
func (w *walk) below(n *Node, record *Record, path []string) {
	// A copy, so that of a deep tree of large records not all terms are kept.
	costly := slices.DeleteFunc(record.evaluated(), func(t Term) bool { return !t.Kind.CostsLookup() })
	for _, t := range slices.Clone(costly[:min(len(costly), MaxTree+1)]) {
		if w.report.Lookups == MaxTree {
			w.cut = true
			break
		}
		w.report.Lookups++
		child := &Node{Term: t.short(), Cost: 1, Lookups: 1}
		n.Below = append(n.Below, child)
		w.term(child, t, path)
		n.Lookups += child.Lookups
	}
}

// mailOnly are the macros that a mail alone gives a value (RFC 7208 §7.2).
const mailOnly = "slhipv"

// name is the domain that a term asks for in the record of domain; ok is false if a
// mail decides that, or if DNS cannot hold it.
func (t Term) name(domain, sender string) (name string, ok bool) {
	if len(t.Target) == 0 {
		return domain, true
	}
	if t.Target.uses(mailOnly) {
		return "", false
	}
	name = shortened(t.Target.expand(facts{domain: domain, sender: sender}))
	return name, holdable(name)
}

// term looks up what a term asks for.
func (w *walk) term(n *Node, t Term, path []string) {
	domain := path[len(path)-1]
	name, ok := t.name(domain, w.report.Domain)
	if !ok {
		n.Trouble = "depends on the mail"
		if !t.Target.uses(mailOnly) {
			n.Trouble = "is no domain name"
			w.unusable(n, t, domain)
		}
		return
	}
	n.Name = shown(name)
	switch t.Kind {
	case Include, Redirect:
		w.include(n, t, name, path)
	case A, Exists:
		addrs, err := once(w.addrs, name, func() ([]netip.Addr, error) { return w.dns.LookupIP(w.ctx, name) })
		if !w.trouble(n, t, domain, err) {
			w.empty(n, t, domain, len(family(addrs, true)) == 0, t.Kind == A && len(family(addrs, false)) == 0)
		}
	case MX:
		hosts, err := once(w.hosts, name, func() ([]string, error) { return w.dns.LookupMX(w.ctx, name) })
		if w.trouble(n, t, domain, err) {
			return
		}
		w.empty(n, t, domain, len(hosts) == 0, len(hosts) == 0)
		if len(hosts) > MaxHosts {
			n.Trouble = fmt.Sprintf("%d MX hosts", len(hosts))
			w.report.problem(ManyHosts, fmt.Sprintf("%s in the record of %s: %s has %d MX hosts, and %d are allowed (RFC 7208 §4.6.4).", t.short(), shown(domain), n.Name, len(hosts), MaxHosts),
				partial, fmt.Sprintf("Write the addresses of the hosts that send (ip4:, ip6:) in place of %s.", t.short()))
		}
	}
}

// unusable is a name that DNS cannot hold: nothing is there.
func (w *walk) unusable(n *Node, t Term, domain string) {
	if t.Kind == Include || t.Kind == Redirect {
		w.bad(n, t, domain, "DNS can hold no such name")
		return
	}
	w.empty(n, t, domain, true, true)
}

// empty counts a term that finds nothing.
func (w *walk) empty(n *Node, t Term, domain string, v4, v6 bool) {
	text := fmt.Sprintf("%s in the record of %s", t.short(), shown(domain))
	if v4 {
		n.Void = true
		if domain == w.report.Domain {
			w.own = append(w.own, t.Offset)
		}
		w.voids = append(w.voids, text)
	}
	if v6 {
		w.voids6 = append(w.voids6, text)
	}
}

// trouble keeps that DNS gave no answer.
func (w *walk) trouble(n *Node, t Term, domain string, err error) bool {
	if err == nil {
		return false
	}
	n.Trouble = "DNS gives no answer"
	w.failed = append(w.failed, fmt.Sprintf("%s in the record of %s (%v)", t.short(), shown(domain), err))
	return true
}

// include goes into another record.
func (w *walk) include(n *Node, t Term, name string, path []string) {
	domain := path[len(path)-1]
	if slices.ContainsFunc(path, func(p string) bool { return strings.EqualFold(p, name) }) {
		n.Trouble = "leads back to itself"
		w.report.problem(Loop, fmt.Sprintf("%s in the record of %s leads back to the record of %s.", t.short(), shown(domain), n.Name),
			"A check that finds no match before goes round until the look-ups are used up, and ends in permerror.", w.takeOut(t, domain))
		return
	}
	txt, err := once(w.records, strings.ToLower(name), func() ([]string, error) {
		txt, _, err := w.dns.LookupTXT(w.ctx, name)
		return slices.DeleteFunc(slices.Clone(txt), func(t string) bool { return !IsRecord(t) }), err
	})
	if w.trouble(n, t, domain, err) {
		return
	}
	if len(txt) != 1 {
		why := "it has no SPF record"
		if len(txt) > 1 {
			why = fmt.Sprintf("it has %d SPF records", len(txt))
		}
		w.bad(n, t, domain, why)
		return
	}
	record, errs := Parse(txt[0])
	if len(errs) > 0 {
		w.bad(n, t, domain, "the record there has an error at "+errs[0].Error())
		return
	}
	w.open(t, domain, name, record)
	w.below(n, record, append(slices.Clip(path), name))
}

// bad is an include or redirect that makes a check permerror (RFC 7208 §5.2, §6.1).
func (w *walk) bad(n *Node, t Term, domain, why string) {
	n.Trouble = why
	w.report.problem(BadInclude, fmt.Sprintf("%s in the record of %s: %s.", t.short(), shown(domain), why), partial, w.takeOut(t, domain))
}

// open finds records that let everybody send.
func (w *walk) open(t Term, domain, name string, record *Record) {
	terms := record.evaluated()
	if len(terms) == 0 {
		return
	}
	if last := terms[len(terms)-1]; last.Kind == All && last.Qualifier == '+' && (t.Qualifier == '+' || t.Kind == Redirect) {
		w.report.problem(PassAll, fmt.Sprintf("%s in the record of %s lets everybody send: the record of %s ends in +all.", t.short(), shown(domain), shown(name)),
			everybody, w.takeOut(t, domain))
	}
}

// takeOut is the Fix that removes a term, which stands in the record itself or in
// one of somebody else.
func (w *walk) takeOut(t Term, domain string) string {
	r := w.report
	if domain == r.Domain {
		return r.publish(r.Record.without(isTerm(t)))
	}
	return fmt.Sprintf("Tell those who keep the record of %s, or take out what leads there.", shown(domain))
}
