package spf

import (
	"fmt"
	"slices"
	"strings"
)

// costs judges what the walk has counted.
func (r *Report) costs(w *walk) {
	count := fmt.Sprint(r.Lookups)
	if w.cut {
		count = fmt.Sprintf("more than %d", MaxTree)
	}
	const fix = "Take out what sends no mail for the domain any more, or write addresses (ip4:, ip6:) in place of names, where they are your own. "
	switch {
	case r.Lookups > MaxLookups:
		r.problem(TooManyLookups, fmt.Sprintf("The record takes %s look-ups, and %d are allowed (RFC 7208 §4.6.4): %s.", count, MaxLookups, r.shares()),
			partial, fix+r.largest())
	case r.Lookups >= MaxLookups-1:
		r.warning(ManyLookups, fmt.Sprintf("The record takes %s look-ups of the %d that are allowed (RFC 7208 §4.6.4): %s.", count, MaxLookups, r.shares()),
			"When one of those that it includes grows, checks end in permerror.", fix+r.largest())
	}
	if len(w.failed) > 0 {
		r.warning(LookupFailed, fmt.Sprintf("What these terms allow and cost is not known, since DNS gives no answer: %s.", listed(w.failed)),
			"While that lasts, checks that come so far end in temperror.", "Try again later, or ask another name server with --nameserver.")
	}
	mend := "Tell those who keep these records."
	if len(w.own) > 0 {
		mend = "Take out what names nothing. " + r.publish(r.Record.without(func(t Term) bool { return slices.Contains(w.own, t.Offset) }))
	}
	switch {
	case len(w.voids) > MaxVoids:
		r.problem(TooManyVoids, fmt.Sprintf("%d look-ups find nothing, and %d are allowed (RFC 7208 §4.6.4): %s.", len(w.voids), MaxVoids, listed(w.voids)), partial, mend)
	case len(w.voids) > 0:
		r.warning(Void, fmt.Sprintf("%d of the look-ups find nothing: %s.", len(w.voids), listed(w.voids)),
			fmt.Sprintf("They allow no host, and with more than %d of them checks end in permerror.", MaxVoids), mend)
	case len(w.voids6) > MaxVoids && r.Lookups <= MaxLookups:
		r.note(Void, fmt.Sprintf("%d look-ups find nothing for a client with IPv6: %s.", len(w.voids6), listed(w.voids6)),
			fmt.Sprintf("More than %d make a check of such a client permerror, where it comes that far.", MaxVoids), "If hosts with IPv6 send, let their ip6: stand before these terms.")
	}
}

// shares are the terms of the record with what each takes, the largest first.
func (r *Report) shares() string {
	nodes := slices.Clone(r.Tree.Below)
	slices.SortStableFunc(nodes, func(a, b *Node) int { return b.Lookups - a.Lookups })
	var parts []string
	for _, n := range nodes {
		parts = append(parts, fmt.Sprintf("%s takes %d", n.Term, n.Lookups))
	}
	return listed(parts)
}

// largest names the term that takes most.
func (r *Report) largest() string {
	n := slices.MaxFunc(r.Tree.Below, func(a, b *Node) int { return a.Lookups - b.Lookups })
	return fmt.Sprintf("%s takes most: %d.", n.Term, n.Lookups)
}

const maxListed = 10

// listed joins a list that may be long.
func listed(list []string) string {
	if more := len(list) - maxListed; more > 0 {
		return fmt.Sprintf("%s and %d more", strings.Join(list[:maxListed], ", "), more)
	}
	return strings.Join(list, ", ")
}
