package spf

import (
	"fmt"
	"net/netip"
	"slices"
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
	switch all := r.Record.Terms[i]; all.Qualifier {
	case '+':
		r.problem(PassAll, fmt.Sprintf("The record ends in %s: everybody may send.", all.Text),
			everybody, r.publish(r.Record.ending("~all")))
	case '?':
		r.warning(NeutralAll, "The record ends in ?all: it says nothing of other hosts.",
			"Mail from any other host is neutral, as if there were no SPF.", r.publish(r.Record.ending("~all")))
	}
}

// lost finds what stands where no evaluation comes (RFC 7208 §5.1, §6.1): often hosts
// that were put in at the wrong end.
func (r *Report) lost() {
	i := r.Record.find(All)
	if i < 0 || r.Record.Terms[i].Qualifier == '+' { // the end is what is wrong
		return
	}
	all := r.Record.Terms[i]
	after := func(t Term) bool { return t.Kind.IsMechanism() && t.Offset > all.Offset }
	effect, fix := "Receivers pass over it.", ""
	if slices.ContainsFunc(r.Record.Terms, func(t Term) bool { return after(t) && t.Kind != All }) {
		effect = "What stands there decides nothing: hosts that it is to allow are not allowed."
		fix = fmt.Sprintf("If they send for the domain, let them stand before %s. ", all.Text)
	}
	r.terms(func(t Term) bool { return after(t) || t.Kind == Redirect }, func(lost string, _ func(Term) bool) {
		r.warning(AfterAll, fmt.Sprintf("Nothing comes to %s: %s matches before.", lost, all.Text),
			effect, fix+r.publish(r.Record.ending(all.Text)))
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
		r.warning(Duplicate, fmt.Sprintf("More than once in the record: %s. The first is enough.", list), "It may cost look-ups.", r.publish(r.Record.without(gone)))
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
	r.terms(is(func(t Term) bool { return isWide(t) && !isUnseen(t.Network) }), func(list string, gone func(Term) bool) {
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
	r.terms(is(func(t Term) bool { return isUnseen(t.Network) }), func(list string, gone func(Term) bool) {
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

// unseen are the networks that nothing comes from in the Internet: private ones
// (RFC 1918, RFC 4193, RFC 6598), those of a link, of the machine itself, of many hosts
// at once, and none.
var unseen = func() (list []netip.Prefix) {
	for _, s := range []string{
		"0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.168.0.0/16", "224.0.0.0/3",
		"::/127", "fc00::/7", "fe80::/10", "ff00::/8",
	} {
		list = append(list, netip.MustParsePrefix(s))
	}
	return list
}()

// isUnseen reports whether all of a network is one that nobody in the Internet sees.
func isUnseen(p netip.Prefix) bool {
	return slices.ContainsFunc(unseen, func(u netip.Prefix) bool { return u.Bits() <= p.Bits() && u.Contains(p.Addr()) })
}

// IsPublic reports whether an address can be one that mail comes from in the
// Internet.
func IsPublic(a netip.Addr) bool {
	a = a.Unmap().WithZone("")
	return a.IsValid() && !isUnseen(netip.PrefixFrom(a, a.BitLen()))
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
}
