package dmarc

import (
	"fmt"
	"slices"
	"strings"

	"github.com/postseal/postseal/milter/finding"
)

// record looks at the tags of the record that applies.
func (i *inspection) record(r *Record) {
	fix := fmt.Sprintf("Publish in its place %s", r.mended(i.From))
	if r.P == "" && !slices.ContainsFunc(r.items, func(it item) bool { return it.name == "p" }) {
		i.noPolicy(r, fix)
	}
	i.historic(r, fix)
	for _, it := range r.items {
		if it.folds {
			i.add(TagCase, finding.Warning, fmt.Sprintf("The tag %s has capital letters.", quoted(it.raw)),
				"Some receivers do not know it then.", fix)
		}
		switch it.fault {
		case invalid:
			i.invalid(r, it, fix)
		case malformed:
			i.add(Syntax, finding.Warning, fmt.Sprintf("%s is no tag with a value; tags are parted by semicolons.", quoted(it.raw)),
				"Receivers pass over it.", fix)
		case repeated:
			i.add(DuplicateTag, finding.Warning, fmt.Sprintf("The tag %s stands in the record more than once.", it.name),
				"Some receivers take the first, some the last, and some refuse the record.", fix)
		case unknown:
			i.add(UnknownTag, finding.Note, fmt.Sprintf("Nobody knows the tag %s.", quoted(it.name)), "Receivers pass over it.",
				fmt.Sprintf("If it is misspelled, correct it; else take it out: %s", r.mended(i.From).without(it.name)))
		}
	}
}

// consequence says what comes of a record whose policy cannot be used (RFC 9989 §4.10.1).
func (i *inspection) consequence(r *Record) string {
	if len(r.RUA) > 0 {
		return fmt.Sprintf("Receivers act as if the whole record said none, for %s itself, too: forged mail is not stopped.", i.From)
	}
	return fmt.Sprintf("Receivers act as if %s had no DMARC, since there is no address for reports in the record either.", i.From)
}

// noPolicy tells that p is missing.
func (i *inspection) noPolicy(r *Record, fix string) {
	if len(r.RUA) > 0 {
		i.add(NoPolicyTag, finding.Warning, fmt.Sprintf("The record of %s has no policy (p).", i.From), i.consequence(r), fix)
		return
	}
	i.add(NoPolicyTag, finding.Problem, fmt.Sprintf("The record of %s has neither a policy (p) nor an address for reports (rua).", i.From),
		"Most receivers act as if there were no DMARC, some as if it said none.", fix)
}

// invalid tells of a value that a tag cannot have.
func (i *inspection) invalid(r *Record, it item, fix string) {
	says := fmt.Sprintf("The record of %s has %s, which is not ", i.From, quoted(it.raw))
	switch it.name {
	case "p", "sp", "np":
		i.add(BadPolicy, finding.Problem, says+"one of none, quarantine and reject.", i.consequence(r), fix)
	case "adkim", "aspf":
		i.add(BadValue, finding.Warning, says+"one of r and s.", "Receivers take r, the relaxed mode, which lets more pass.", fix)
	case "t":
		i.add(BadValue, finding.Warning, says+"one of y and n.", "Receivers take n: the policy counts in full.", fix)
	case "psd":
		i.add(BadValue, finding.Warning, says+"one of y, n and u.", "Receivers take u, and find the organization out by themselves.", fix)
	case "fo":
		i.add(BadValue, finding.Warning, says+"0 or 1, with d or s behind colons.", "Receivers take 0: they report where nothing is aligned.", fix)
	case "rua", "ruf":
		// Each address has its own finding.
	default:
		i.add(BadValue, finding.Warning, says+"printable ASCII.", "Receivers pass over it.", fix)
	}
}

// historic tells of tags that RFC 9989 §9.3 has done away with: of a pct that asked for
// something, and in one finding of the others.
func (i *inspection) historic(r *Record, fix string) {
	var idle []string
	for _, it := range r.items {
		effect := "Receivers of today apply the policy to all mail, not to a part of it."
		switch {
		case it.fault != historic:
			continue
		case it.name != "pct" || it.value == "100":
			idle = append(idle, quoted(it.raw))
			continue
		case it.value == "0":
			effect = "Receivers of today apply the policy in full; t=y says now what pct=0 said."
		}
		i.add(HistoricTag, finding.Warning, fmt.Sprintf("%s is gone from DMARC since May 2026 (RFC 9989).", quoted(it.raw)), effect, fix)
	}
	if len(idle) > 0 {
		i.add(HistoricTag, finding.Note, fmt.Sprintf("Gone from DMARC since May 2026 (RFC 9989): %s.", strings.Join(idle, ", ")), "Receivers pass over it.", fix)
	}
}
