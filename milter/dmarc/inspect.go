package dmarc

import (
	"context"
	"fmt"
	"strings"

	"github.com/postseal/postseal/milter/finding"
)

// inspection is a report that is being written.
type inspection struct {
	*Report
	*walker
	policy *Discovery
}

// Inspect looks at the DMARC of a domain as its administrator should: which record
// applies and why, what is wrong with it, whether the receivers of reports agree, and
// what receivers make of it. Whatever goes wrong is a finding. What DNS does not answer
// is unknown (LookupFailed), and never a missing record.
//
// It asks DNS for the walk, four names beside it, and for each of at most MaxWalks hosts
// of report addresses another walk and one name.
func Inspect(ctx context.Context, r Resolver, domain string) *Report {
	i := &inspection{Report: &Report{Domain: domain, Walk: []*Step{}, Findings: finding.List{}}, walker: newWalker(r)}
	name, err := domainName(domain)
	if err != nil {
		i.add(BadName, finding.Problem, err.Error()+".", "Nothing can be looked up.", "Correct the domain.")
		return i.Report
	}
	i.Domain = name
	i.policy = i.discover(ctx, name)
	i.fill(i.policy)
	if i.steps[name].Err == nil {
		i.own(ctx, i.steps[name])
	}
	if err := i.policy.Organization.Err; err != nil {
		i.walkFailed(err)
	}
	if i.policy.Record == nil {
		return i.Report
	}
	if !i.foreign() {
		i.record(i.policy.Record)
		i.reports(ctx, i.policy.Record)
	}
	i.structure(ctx)
	return i.Report
}

// fill copies what was found into the report.
func (r *Report) fill(d *Discovery) {
	r.From, r.Source, r.Tag, r.Policy = d.From, d.Source, d.Tag, d.Policy
	r.Organization, r.Rule, r.Walk = d.Organization.Domain, d.Organization.Rule, d.Organization.Walk
	if d.Record == nil {
		return
	}
	r.Record = d.Record.Text
	for _, u := range d.Record.RUA {
		r.RUA = append(r.RUA, u.Text)
	}
	for _, u := range d.Record.RUF {
		r.RUF = append(r.RUF, u.Text)
	}
}

func (i *inspection) add(code finding.Code, level finding.Level, text, effect, fix string) {
	i.Findings = append(i.Findings, finding.Finding{Code: code, Level: level, Text: text, Effect: effect, Fix: fix})
}

// unsure adds that something could not be looked up.
func (i *inspection) unsure(level finding.Level, err error, effect string) {
	i.add(LookupFailed, level, fmt.Sprintf("DNS does not answer for now: %v.", err), effect,
		"This says nothing about the record. Try again later, or ask another name server with --nameserver.")
}

// walkFailed tells of a walk that DNS trouble ended.
func (i *inspection) walkFailed(err error) {
	if i.policy.Record == nil {
		i.unsure(finding.Problem, err, fmt.Sprintf("Which record applies to %s is unknown; receivers with the same trouble defer its mail or judge it without DMARC.", i.Domain))
		return
	}
	i.unsure(finding.Warning, err, fmt.Sprintf("The organization of %s is unknown, and with it whether a pass for a domain above or beside it counts.", i.Domain))
}

// own looks at what stands at the place of the domain's own record. Where there is none,
// it looks where records end up by mistake.
func (i *inspection) own(ctx context.Context, s *Step) {
	if s.count > 1 {
		i.several(s)
		return
	}
	before := len(i.Findings)
	for _, txt := range s.Texts {
		switch {
		case IsRecord(txt):
		case s.Record == nil && isMeant(txt):
			i.spoiled(s, txt)
		default:
			i.add(OtherText, finding.Note, fmt.Sprintf("Another TXT record stands at %s: %s.", s.Name, quoted(txt)),
				"Receivers pass over it.", "Delete it there, or leave it. If a wildcard such as \"*.\" puts it there, that is harmless, too.")
		}
	}
	if s.Record != nil || i.has(before, NotARecord) || i.misplaced(ctx, s) {
		return
	}
	if i.policy.Source == Suffix || i.policy.Record == nil && i.policy.Organization.Err == nil {
		i.missing()
	}
}

// has reports whether a finding since the first n has code c.
func (i *inspection) has(n int, c finding.Code) bool { return i.Findings[n:].Has(c) }

// several tells of more than one record.
func (i *inspection) several(s *Step) {
	var first *Record
	for _, txt := range s.Texts {
		if r, ok := ParseRecord(txt); ok {
			first = r
			break
		}
	}
	effect := "Receivers drop all of them: there is no DMARC for the domain."
	if i.policy.Record != nil {
		effect = fmt.Sprintf("Receivers drop all of them, and go by the record of %s.", i.policy.From)
	}
	i.add(SeveralRecords, finding.Problem, fmt.Sprintf("There are %d DMARC records at %s; the first is %s.", s.count, s.Name, quoted(first.Text)),
		effect, fmt.Sprintf("Delete all but one. To keep the first, this alone is to stand there: %s", first.mended(s.domain)))
}

// missing tells that no record applies, or only that of the public suffix.
func (i *inspection) missing() {
	name, text, _ := Propose(i.Domain, "")
	if i.policy.Source == Suffix {
		i.add(NoRecord, finding.Warning, fmt.Sprintf("There is no DMARC record at %s; the policy is that of %s.", prefix+i.Domain, i.From),
			"Receivers go by what suits all names there, and reports do not reach you.", "Publish "+finding.Record(name, text))
		return
	}
	i.add(NoRecord, finding.Problem, fmt.Sprintf("There is no DMARC record at %s, and none above it that applies.", prefix+i.Domain),
		"Receivers cannot tell forged mail from yours by DMARC, and large mailbox providers refuse or mark mail of domains without.",
		"Publish "+finding.Record(name, text))
}

// misplaced looks for the record at the domain itself, and where a form appended the
// domain to a name that had it.
func (i *inspection) misplaced(ctx context.Context, s *Step) bool {
	for _, wrong := range []struct{ name, why string }{
		{s.domain, "the label \"_dmarc\" is missing"},
		{s.Name + "." + s.domain, "the form appends the domain by itself, so \"_dmarc\" alone is to be entered as the host name"},
	} {
		texts, _, err := i.resolver.LookupTXT(ctx, wrong.name)
		if err != nil {
			continue // that is not what was asked about
		}
		for _, txt := range texts {
			if r, ok := ParseRecord(txt); ok {
				level, effect := finding.Problem, "There is no DMARC for the domain."
				if i.policy.Record != nil {
					level, effect = finding.Warning, fmt.Sprintf("Receivers go by the record of %s.", i.policy.From)
				}
				i.add(Misplaced, level, fmt.Sprintf("The DMARC record stands at %s, where no receiver looks: %s.", wrong.name, wrong.why),
					effect, fmt.Sprintf("Delete it there and publish %s", r.mended(s.domain)))
				return true
			}
		}
	}
	return false
}

// isMeant reports whether a text that is no record was to be one.
func isMeant(txt string) bool {
	lower := strings.ToLower(txt)
	if strings.Contains(lower, "dmarc") {
		return true
	}
	first, _, _ := strings.Cut(lower, ";")
	name, _, _ := strings.Cut(first, "=")
	return trim(name) == "p"
}

// spoiled tells of a record that does not begin as one.
func (i *inspection) spoiled(s *Step, txt string) {
	effect := "Receivers do not take it for a DMARC record: there is none for the domain."
	if i.policy.Record != nil {
		effect = fmt.Sprintf("Receivers do not take it for a DMARC record, and go by that of %s.", i.policy.From)
	}
	i.add(NotARecord, finding.Problem, fmt.Sprintf("What stands at %s is no DMARC record, since %s: %s.", s.Name, whyNot(txt), quoted(txt)),
		effect, fmt.Sprintf("Publish in its place %s", restored(txt).mended(s.domain)))
}

// whyNot says why a text that was meant as a record is none.
func whyNot(txt string) string {
	lower := strings.ToLower(txt)
	head, _, _ := strings.Cut(txt, ";")
	name, value, _ := strings.Cut(head, "=")
	value = trim(value)
	switch {
	case strings.Contains(txt, `"`):
		return "quotation marks are part of the value"
	case strings.Contains(txt, `\;`):
		return "backslashes are part of the value"
	case !isText(txt):
		return "there are characters outside printable ASCII in it"
	case isBlank(txt[0]):
		return "it begins with a blank"
	case strings.EqualFold(trim(name), "v") && value != version && strings.EqualFold(value, version):
		return "DMARC1 has to be in capital letters"
	case strings.EqualFold(trim(name), "v") && strings.HasPrefix(value, version):
		return "there is no semicolon behind v=DMARC1"
	case strings.Contains(lower, "v=dmarc1"):
		return "v=DMARC1 has to stand first"
	}
	return "it does not begin with v=DMARC1"
}

// restored is the record that a text was meant to be.
func restored(txt string) *Record {
	clean := strings.Map(func(c rune) rune {
		switch {
		case c == '"' || c == '\\':
			return -1
		case c < ' ' || c > '~':
			return ' '
		}
		return c
	}, txt)
	text := "v=" + version
	for one := range strings.SplitSeq(clean, ";") {
		if name, value, _ := strings.Cut(one, "="); strings.EqualFold(trim(name), "v") {
			end := strings.IndexAny(trim(value), " ,")
			if end < 0 {
				continue
			}
			one = trim(value)[end+1:] // behind a version without a semicolon
		}
		text += ";" + one
	}
	r, _ := ParseRecord(text)
	return r
}

// quoted quotes the beginning of a foreign text.
func quoted(s string) string {
	const most = 80
	if len(s) > most {
		return fmt.Sprintf("%q…", s[:most])
	}
	return fmt.Sprintf("%q", s)
}
