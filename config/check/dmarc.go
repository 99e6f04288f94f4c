package check

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/postseal/postseal/milter/dkim"
	"github.com/postseal/postseal/milter/dmarc"
	"github.com/postseal/postseal/milter/finding"
	"github.com/postseal/postseal/milter/resolver"
)

// Unaligned: no signature speaks for the domain of From.
const Unaligned finding.Code = "dkim-unaligned"

// DMARC is what there is of DMARC; its findings are the section's.
type DMARC struct {
	*dmarc.Report
	Findings any `json:"findings,omitempty"`
}

// dmarc looks at the policy that applies to mail of the domain, and whether the
// signatures with keys are aligned.
func (c *Checker) dmarc(ctx context.Context, domain string, keys []*Key, s *Section) {
	r := resolver.Lookup{Asker: c.DNS}
	report := dmarc.Inspect(ctx, r, domain)
	s.DMARC = &DMARC{Report: report}
	for _, f := range report.Findings {
		if f.Code == dmarc.LookupFailed && f.Level == finding.Problem { // else enough is known
			f.Level = LevelUnknown
		}
		s.add("", f)
	}
	switch {
	case report.Record != "":
		s.Summary = "p=" + string(report.Policy)
		if report.Tag != "p" && report.Tag != "" {
			s.Summary = fmt.Sprintf("%s=%s of %s", report.Tag, report.Policy, report.From)
		}
	case s.has(dmarc.LookupFailed):
		s.Summary = "not known"
	default:
		s.Summary = "no record"
	}
	if s.has(dmarc.LookupFailed) {
		return
	}
	var signers []dmarc.Identifier
	var names []string
	for _, k := range keys {
		if k.Signs && !slices.Contains(names, k.Domain) {
			names = append(names, k.Domain)
			signers = append(signers, dmarc.Identifier{Domain: k.Domain, Result: "pass"})
		}
	}
	if len(signers) == 0 {
		return // the section about DKIM says so, or nobody asks
	}
	result := dmarc.Evaluate(ctx, r, dmarc.Message{From: []string{domain}, SPF: dmarc.Identifier{Domain: domain, Result: "pass"}, DKIM: signers})
	switch {
	case result.DKIM.Domain != "" || result.DKIM.Unsure != "":
		if s.sound() {
			s.Summary += "; DKIM and SPF are aligned"
		}
		return
	case result.Status == dmarc.None: // a record to come will want at least this
		if slices.ContainsFunc(names, func(n string) bool { return dkim.Within(n, domain) || dkim.Within(domain, n) }) {
			return
		}
		result.DKIM.Mode = dmarc.Relaxed
	}
	s.add("", finding.Finding{
		Code: Unaligned, Level: finding.Warning,
		Text: fmt.Sprintf("Signatures are of d=%s, which is not aligned with From at %s (adkim=%s).",
			strings.Join(names, ", "), domain, result.DKIM.Mode),
		Effect: "DMARC has SPF alone to go by: mail that is forwarded fails.",
		Fix:    "Sign it with a key of its own domain:\n  postseal setup " + domain,
	})
}
