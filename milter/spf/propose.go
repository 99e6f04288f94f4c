package spf

import (
	"cmp"
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/postseal/postseal/milter/finding"
)

// Addresses checks whether mail of the domain from a machine passes: for each of its
// public addresses, and for helo, the name that it gives of itself ("" is not known),
// if that has an SPF record. It adds a finding for what does not pass to the report,
// with the whole record that mends it, and returns these findings. Of what the report
// has as a problem already, it says nothing again.
func (r *Report) Addresses(ctx context.Context, resolver Resolver, helo string, addrs []netip.Addr) finding.List {
	before := len(r.Findings)
	if r.Record != nil {
		r.senders(ctx, resolver, helo, public(addrs))
	}
	r.helo(ctx, resolver, helo, public(addrs))
	return r.Findings[before:]
}

// senders checks mail of the domain from each address. Where helo is not known, some
// name is given for it, since macros put it into names that are asked for.
func (r *Report) senders(ctx context.Context, resolver Resolver, helo string, addrs []netip.Addr) {
	broken := r.Findings.Worst() == finding.Problem
	var refused []netip.Addr
	var why []string
	for _, addr := range addrs {
		result := Check(ctx, resolver, Query{Client: addr, HELO: cmp.Or(helo, r.Domain), MailFrom: postmaster + "@" + r.Domain})
		switch result.Status {
		case Pass:
		case TempError:
			r.unknown(addr, result)
		case PermError:
			if !broken {
				r.problem(NotAllowed, fmt.Sprintf("Mail from this machine's address %s ends in permerror: %s.", addr, result.Reason()), "SPF does not pass for it.",
					r.publish(strings.Replace(r.Record.without(nothing), Version, Version+" "+mechanism(addr), 1)))
			}
		default:
			refused = append(refused, addr)
			why = append(why, fmt.Sprintf("%s is %s (%s)", addr, result.Status, result.Reason()))
		}
	}
	if len(refused) > 0 {
		record, _ := Propose(refused, r.Records[0])
		r.problem(NotAllowed, fmt.Sprintf("The record does not allow this machine to send: %s.", listed(why)),
			"SPF does not pass for mail that this machine sends; receivers may refuse it, and DMARC has DKIM alone to go by.", r.publish(record))
	}
}

func (r *Report) unknown(addr netip.Addr, result Result) {
	if !r.Has(LookupFailed) {
		r.warning(LookupFailed, fmt.Sprintf("Whether the record allows %s could not be found out: %s.", addr, result.Reason()), "Receivers with the same trouble defer the mail, or judge it without SPF.",
			"Try again later, or ask another name server with --nameserver.")
	}
}

// helo checks the name that the machine gives of itself (RFC 7208 §2.3).
func (r *Report) helo(ctx context.Context, resolver Resolver, helo string, addrs []netip.Addr) {
	name, err := domainName(helo)
	if err != nil || name == r.Domain {
		return
	}
	txt, _, err := resolver.LookupTXT(ctx, name)
	i := slices.IndexFunc(txt, IsRecord)
	if err != nil || i < 0 {
		return
	}
	for _, addr := range addrs {
		result := Check(ctx, resolver, Query{Client: addr, HELO: name})
		if result.Status == Pass || result.Status == TempError {
			continue
		}
		record, _ := Propose(addrs, txt[i])
		r.problem(HELONotAllowed, fmt.Sprintf("The SPF record of %s, the name that this machine gives of itself, does not allow %s: %s (%s).", name, addr, result.Status, result.Reason()),
			"SPF does not pass for mail without a sender, such as bounces, and some receivers refuse all mail.",
			publishAt(name, record))
		return
	}
}

// public are the addresses that others see, each once, IPv4 first.
func public(addrs []netip.Addr) []netip.Addr {
	var list []netip.Addr
	for _, a := range addrs {
		if a = a.Unmap().WithZone(""); IsPublic(a) && !slices.Contains(list, a) {
			list = append(list, a)
		}
	}
	slices.SortStableFunc(list, func(a, b netip.Addr) int { return a.BitLen() - b.BitLen() })
	return list
}

func mechanism(a netip.Addr) string {
	if a.Is4() {
		return "ip4:" + a.String()
	}
	return "ip6:" + a.String()
}

func newRecord(addrs []netip.Addr, end string) string {
	words := []string{Version}
	for _, a := range public(addrs) {
		words = append(words, mechanism(a))
	}
	return strings.Join(append(words, end), " ")
}

// Propose returns the SPF record to publish for a domain whose mail comes from a
// machine with the addresses addrs, and a note for the administrator, "" if there is
// nothing to say. existing is the record that the domain has, "" if none: that record
// is proposed with what is missing put in, since there must never be a second one.
//
// A new record names the machine's addresses, which costs no look-up and cannot fail.
// It has no mx: hosts that take mail in need not send any, many domains have theirs
// with somebody else, and without MX records the term would find nothing. It ends in
// ~all: a host that was forgotten is marked and not refused, and DMARC tells of it;
// -all can follow when its reports name no more hosts.
func Propose(addrs []netip.Addr, existing string) (record, note string) {
	found := public(addrs)
	if existing != "" {
		return extended(found, existing)
	}
	if len(found) == 0 {
		return Version + " mx ~all", "This machine knows no public address of its own. The proposed record allows the domain's MX hosts; if mail leaves by another address, put it in as ip4: or ip6: before ~all."
	}
	return newRecord(found, "~all"), "If other hosts send for the domain, too (a newsletter service, the MX hosts), put them in before ~all. When the DMARC reports name no more of them, ~all can become -all."
}

// extended is a record with addresses put in before the term that refuses them.
func extended(addrs []netip.Addr, existing string) (record, note string) {
	r, errs := Parse(existing)
	if len(errs) > 0 {
		better, ok := corrected(existing, errs)
		if !ok {
			return existing, fmt.Sprintf("The SPF record that stands has an error at %v. Mend it first; nothing was added.", errs[0])
		}
		r, _ = Parse(better)
		note = fmt.Sprintf("The SPF record that stands has an error at %v; the proposed one mends it.", errs[0])
	}
	added := false
	for _, a := range addrs {
		i, allowed := r.literal(a)
		if !allowed {
			t, _ := parseTerm(mechanism(a))
			t.Text = mechanism(a)
			r.Terms = slices.Insert(r.Terms, i, t)
			added = true
		}
	}
	if !added && note == "" {
		return existing, ""
	}
	return r.without(nothing), note
}

// literal finds the first term that decides over an address without DNS. allowed
// reports that it lets it send; otherwise the term that does belongs before index i.
func (r *Record) literal(a netip.Addr) (i int, allowed bool) {
	end := len(r.Terms)
	for i, t := range r.Terms {
		switch t.Kind {
		case All:
			return i, t.Qualifier == '+'
		case IP4, IP6:
			if t.Network.Contains(a) {
				return i, t.Qualifier == '+'
			}
		case Redirect:
			end = min(end, i)
		}
	}
	return end, false
}
