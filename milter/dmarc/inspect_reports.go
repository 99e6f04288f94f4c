package dmarc

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/postseal/postseal/milter/finding"
)

// maxName is how long a domain name may be, in octets (RFC 1035 §2.3.4).
const maxName = 253

// reports looks at where the record has reports sent.
func (i *inspection) reports(ctx context.Context, r *Record) {
	mended := r.mended(i.From)
	fix := fmt.Sprintf("Publish in its place %s", mended)
	lists := 0
	for _, it := range r.items {
		if it.fault != repeated && (it.name == "rua" || it.name == "ruf") {
			lists++
			i.addresses(it, mended)
		}
	}
	if !slices.ContainsFunc(r.items, func(it item) bool { return it.name == "rua" }) {
		level := finding.Warning
		if p, sp, np, usable := r.Policies(); usable && !r.Test && min(p.rank(), sp.rank(), np.rank()) == Reject.rank() {
			level = finding.Note // as domains have it that send no mail
		}
		i.add(NoReports, level, fmt.Sprintf("The record of %s has no address for aggregate reports (rua).", i.From),
			"Nobody tells you who sends mail in the name of the domain, and what of it fails.", fix)
	}
	if !slices.ContainsFunc(r.items, func(it item) bool { return it.name == "ruf" }) &&
		slices.ContainsFunc(r.items, func(it item) bool { return it.name == "fo" }) {
		i.add(FOIdle, finding.Note, "There is fo, and no address for failure reports (ruf).", "It has no effect.", fix)
	}
	i.destinations(ctx, slices.Concat(r.RUA, r.RUF))
}

// addresses looks at the URIs of one tag.
func (i *inspection) addresses(it item, mended draft) {
	fix := fmt.Sprintf("Publish in its place %s", mended)
	count := 0
	for text := range strings.SplitSeq(it.value, ",") {
		if count++; count > maxURIs {
			return
		}
		text = trim(text)
		switch u, ok := parseURI(text); {
		case !ok:
			i.add(BadURI, finding.Warning, fmt.Sprintf("%s in %s is no address for reports; it has to be a URI such as mailto:dmarc@%s.", quoted(text), it.name, i.From),
				"Receivers pass over it.", fix)
		case u.Scheme != "mailto":
			i.otherScheme(it, text, mended)
		case u.Sized:
			i.add(SizeLimit, finding.Note, fmt.Sprintf("%s in %s has a size limit, which is gone since May 2026 (RFC 9989).", quoted(text), it.name),
				"It has no effect.", fix)
		}
	}
}

// otherScheme tells of a URI that receivers need not know.
func (i *inspection) otherScheme(it item, text string, mended draft) {
	mailto := slices.DeleteFunc(uris(it.value), func(u URI) bool { return u.Scheme != "mailto" })
	level := finding.Note
	switch {
	case len(mailto) > 0:
		var list []string
		for _, u := range mailto {
			list = append(list, u.Text)
		}
		mended = mended.with(it.name, strings.Join(list, ","))
	case it.name == "rua":
		level, mended = finding.Warning, mended.with("rua", "mailto:postmaster@"+i.From)
	default:
		level, mended = finding.Warning, mended.without("ruf", "fo")
	}
	i.add(OtherScheme, level, fmt.Sprintf("%s in %s is no mailto address.", quoted(text), it.name),
		"Receivers need to know no other, and pass over those that they do not know.", fmt.Sprintf("Publish in its place %s", mended))
}

// destinations asks the hosts that belong to another organization whether they agree
// to get reports (RFC 9990 §4, RFC 9991 §5).
func (i *inspection) destinations(ctx context.Context, list []URI) {
	var hosts []string
	for _, u := range list {
		if u.Host != "" && u.Host != i.From && !slices.Contains(hosts, u.Host) && len(hosts) < MaxWalks {
			hosts = append(hosts, u.Host)
		}
	}
	if len(hosts) == 0 {
		return
	}
	own := i.organization(ctx, i.From)
	if own.Err != nil {
		if i.policy.Organization.Err == nil { // else it is told
			i.unsure(finding.Warning, own.Err, fmt.Sprintf("Which receivers of reports have to agree to get those about %s is unknown.", i.From))
		}
		return
	}
	for _, host := range hosts {
		other := i.organization(ctx, host)
		switch {
		case other.Err != nil:
			i.unsure(finding.Warning, other.Err, fmt.Sprintf("Whether reports to %s need its consent, and have it, is unknown.", host))
		case own.Domain != other.Domain:
			i.consent(ctx, host)
		}
	}
}

// consent asks host, of another organization, for its record. Several are fine there.
func (i *inspection) consent(ctx context.Context, host string) {
	name, text := Authorization(i.From, host)
	effect := fmt.Sprintf("Receivers send no reports about %s there.", i.From)
	if len(name) > maxName {
		i.add(Unauthorized, finding.Warning, fmt.Sprintf("Reports go to %s, which cannot agree: the name of its record would be longer than DNS allows.", host),
			effect, "Use an address with a shorter domain in rua and ruf.")
		return
	}
	texts, _, err := i.resolver.LookupTXT(ctx, name)
	if err != nil {
		i.unsure(finding.Warning, fmt.Errorf("%s: %w", name, err), fmt.Sprintf("Whether %s agrees to get reports is unknown.", host))
		return
	}
	agreed := false
	for _, txt := range texts {
		r, ok := ParseRecord(txt)
		agreed = agreed || ok
		if !ok {
			continue
		}
		for _, u := range r.RUA {
			if u.Host != host {
				i.add(OtherDestination, finding.Warning, fmt.Sprintf("%s wants the reports sent to %s (%s), which is another host.", host, quoted(u.Text), name),
					"Receivers send them to neither.", fmt.Sprintf("Have it publish an address at %s there, or none: %s", host, finding.Record(name, text)))
				return
			}
		}
	}
	if !agreed {
		i.add(Unauthorized, finding.Warning, fmt.Sprintf("Reports go to %s, which does not say that it agrees: there is no DMARC record at %s.", host, name),
			effect, fmt.Sprintf("Have this published in the zone of %s: %s", host, finding.Record(name, text)))
	}
}
