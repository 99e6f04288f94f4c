package spf

import (
	"fmt"
	"net/netip"
	"strings"
)

// advise looks at what the record says, without DNS.
func (r *Report) advise(text string) {
	r.ends()
	r.lost()
	r.modifiers()
	r.deprecated()
	r.duplicates()
	r.networks()
	r.size(text)
}

// ends judges what the record says of all other hosts.
func (r *Report) ends() {
	i := r.Record.find(All)
	if i < 0 {
		if r.Record.find(Redirect) < 0 {
			r.warning(NoEnd, "The record ends without all or redirect=: it says nothing of other hosts.",
				"Mail from any other host is neutral, as if there were no SPF.", r.publish(r.Record.without(nothing)+" ~all"))
		}
		return
	}
	all := r.Record.Terms[i]
	soft := r.publish(r.Record.without(func(t Term) bool { return t.Offset >= all.Offset && t.Kind != Exp }) + " ~all")
	switch all.Qualifier {
	case '+':
		r.problem(PassAll, fmt.Sprintf("The record ends in %s: everybody may send.", all.Text),
			everybody, soft)
	case '?':
		r.warning(NeutralAll, "The record ends in ?all: it says nothing of other hosts.", "Mail from any other host is neutral, as if there were no SPF.", soft)
	}
}

// lost finds what stands where no evaluation comes (RFC 7208 §5.1).
func (r *Report) lost() {
	end := r.Record.find(All)
	if end < 0 {
		return
	}
	all := r.Record.Terms[end]
	r.terms(func(t Term) bool { return t.Kind.IsMechanism() && t.Offset > all.Offset || t.Kind == Redirect }, func(lost string, gone func(Term) bool) {
		r.warning(AfterAll, fmt.Sprintf("Nothing comes to %s: %s matches before.", lost, all.Text),
			"The hosts that these terms stand for are not allowed.", r.publish(r.Record.without(gone)))
	})
}

// terms calls say if the record has terms of some kind, with their list.
func (r *Report) terms(which func(Term) bool, say func(list string, which func(Term) bool)) {
	var found []string
	for _, t := range r.Record.Terms {
		if which(t) {
			found = append(found, t.short())
		}
	}
	if len(found) > 0 {
		say(listed(found), which)
	}
}

// modifiers finds mechanisms that are written as modifiers, which mean nothing.
func (r *Report) modifiers() {
	meant := func(t Term) string {
		if t.Kind == Unknown && names[strings.ToLower(t.Name)] != "" {
			if better := renamed(t.Text); sound(better) {
				return better
			}
		}
		return t.Text
	}
	r.terms(func(t Term) bool { return meant(t) != t.Text }, func(list string, _ func(Term) bool) {
		r.problem(NotAModifier, fmt.Sprintf("%s means nothing: a mechanism is written with a colon.", list),
			"The hosts that it stands for are not allowed.", r.publish(r.Record.rewritten(meant)))
	})
	again := func(t Term) bool { return t.Kind == Unknown && strings.EqualFold(t.Name, "v") }
	r.terms(again, func(list string, gone func(Term) bool) {
		r.warning(NotAModifier, fmt.Sprintf("%s stands in the middle of the record, where it means nothing: two records were put into one.", list),
			"Receivers pass over it.", r.publish(r.Record.without(gone)))
	})
}

// deprecated finds ptr and %{p} (RFC 7208 §5.5, §7.2).
func (r *Report) deprecated() {
	r.terms(func(t Term) bool { return t.Kind == PTR || t.Target.uses("p") }, func(list string, gone func(Term) bool) {
		r.warning(DeprecatedPTR, fmt.Sprintf("%s asks for the client's own name, which is not to be used (RFC 7208 §5.5).", list),
			"It is slow, and some receivers never match it.", "Name the hosts by address. "+r.publish(r.Record.without(gone)))
	})
}

// duplicates finds mechanisms that stand twice.
func (r *Report) duplicates() {
	seen := map[string]bool{}
	second := map[int]bool{}
	for _, t := range r.Record.Terms {
		if !t.Kind.IsMechanism() || t.Kind == All {
			continue
		}
		key := strings.ToLower(strings.TrimLeft(t.String(), "+-~?"))
		second[t.Offset] = seen[key]
		seen[key] = true
	}
	r.terms(func(t Term) bool { return second[t.Offset] }, func(list string, gone func(Term) bool) {
		r.warning(Duplicate, fmt.Sprintf("%s stands twice; the second means nothing.", list), "It may cost look-ups.", r.publish(r.Record.without(gone)))
	})
}

const (
	wide4 = 12 // bits: larger networks have more than a million addresses
	wide6 = 20 // bits: the largest that one provider has
)

// networks judges the addresses of ip4 and ip6.
func (r *Report) networks() {
	is := func(kind func(Term) bool) func(Term) bool {
		return func(t Term) bool { return (t.Kind == IP4 || t.Kind == IP6) && t.Qualifier != '-' && kind(t) }
	}
	r.terms(is(func(t Term) bool { return t.Network.Bits() == 0 && t.Qualifier == '+' }), func(list string, gone func(Term) bool) {
		r.problem(PassAll, fmt.Sprintf("%s lets everybody send.", list), everybody, r.publish(r.Record.without(gone)))
	})
	r.terms(is(isWide), func(list string, gone func(Term) bool) {
		r.warning(WideNetwork, fmt.Sprintf("%s allows a very large part of the Internet.", list), "Strangers there can send as the domain.", "Name the networks that send for the domain. Without these: "+r.publish(r.Record.without(gone)))
	})
	r.terms(is(func(t Term) bool { return t.Network.Addr().Is4In6() && t.Network.Bits() >= 96 }), func(list string, mapped func(Term) bool) {
		r.warning(Mapped, fmt.Sprintf("%s matches nothing: an IPv4-mapped address counts as IPv4.", list), "The hosts that it stands for are not allowed.", r.publish(r.Record.rewritten(func(t Term) string {
			if mapped(t) {
				return mechanism(t.Network.Addr().Unmap())
			}
			return t.Text
		})))
	})
	r.terms(is(func(t Term) bool { return t.Network.Bits() > 0 && !isWide(t) && !IsPublic(t.Network.Addr()) }), func(list string, gone func(Term) bool) {
		r.warning(NotPublic, fmt.Sprintf("%s is an address that no receiver in the Internet sees.", list), "It allows no host.", r.publish(r.Record.without(gone)))
	})
}

const everybody = "Everybody in the Internet can send as the domain, and SPF and DMARC pass."

func isWide(t Term) bool {
	longest := wide4
	if t.Kind == IP6 {
		longest = wide6
	}
	return t.Network.Bits() > 0 && t.Network.Bits() < longest && !t.Network.Addr().Is4In6()
}

// IsPublic reports whether an address can be one that mail comes from in the
// Internet: it is none of a private network (RFC 1918, RFC 4193, RFC 6598), of a link
// or of the machine itself.
func IsPublic(a netip.Addr) bool {
	a = a.Unmap()
	shared := netip.PrefixFrom(netip.AddrFrom4([4]byte{100, 64, 0, 0}), 10)
	return a.IsGlobalUnicast() && !a.IsPrivate() && !shared.Contains(a)
}

const (
	comfortable = 450 // octets that fit into an answer by UDP with all around them (RFC 7208 §3.4)
	datagram    = 512 // octets of an answer without EDNS (RFC 1035 §2.3.4)
)

// size judges the length of the record.
func (r *Report) size(text string) {
	const shorter = "Take out what sends no mail any more, join neighbouring addresses to networks, or move a part of the record to a name of its own and include: that."
	switch {
	case len(text) > datagram:
		r.warning(Long, fmt.Sprintf("The record has %d octets, and with more than %d the answer fits into no plain DNS datagram (RFC 7208 §3.4).", len(text), datagram),
			"Receivers whose DNS has neither EDNS nor TCP do not get it.", shorter)
	case len(text) > comfortable:
		r.note(Long, fmt.Sprintf("The record has %d octets; RFC 7208 §3.4 advises at most %d.", len(text), comfortable),
			"A little more, and the answer fits into no plain DNS datagram.", shorter)
	}
	if len(text) > maxString {
		r.note(Split, fmt.Sprintf("The record has %d octets, and a string in DNS holds %d: it is published as several strings of one TXT record.", len(text), maxString),
			"Nothing, as long as it is: receivers join the strings.", r.publish(text))
	}
}
