package milter

import (
	"slices"
	"strings"

	"github.com/postseal/postseal/config"
	"github.com/postseal/postseal/milter/dkim"
)

// maxIgnored bounds Decision.Ignored.
const maxIgnored = 10

// unsignable are the names of fields that h= cannot hold because of a ";".
func unsignable(fields []dkim.Field) (names []string) {
	for _, f := range fields {
		if strings.Contains(f.Name, ";") && len(names) < maxIgnored {
			names = append(names, f.Name)
		}
	}
	return names
}

// replace applies replace_rules to the fields of replace_headers, or to all. A
// field that they come to no end with stays as it came; the first of such is a
// reason.
func (s *Snapshot) replace(fields []dkim.Field, d *Decision) []dkim.Field {
	replaced := make([]dkim.Field, len(fields))
	header, told := s.replaceRules.Header(), false
	for i, f := range fields {
		replaced[i] = f
		if !s.replaceAll && !slices.ContainsFunc(s.replaceHeaders, f.Is) {
			continue
		}
		value, err := header.Apply(f.Value)
		if err != nil && !told {
			d.because(ReasonReplaceEndless, clip(f.Name), err.Error())
			told = true
		}
		replaced[i].Value = value
	}
	return replaced
}

// checkFields applies required_headers and strict_headers to mail that would be
// signed or verified, be it by the first of several From fields.
func (s *Snapshot) checkFields(f Facts, d *Decision) {
	certain := d.Verdict == Sign || d.Verdict == Verify
	code, problem := Code(""), ""
	if s.cfg.RequiredHeaders && (certain || s.handledByFirstFrom(f, d)) {
		code, problem = ReasonRequiredFields, countProblem(f.Fields, false)
	}
	if problem == "" && s.cfg.StrictHeaders && certain {
		code, problem = ReasonStrictFields, countProblem(f.Fields, true)
	}
	if problem == "" {
		return
	}
	d.because(code, problem)
	d.Warn = d.Warn || d.Verdict == Sign
	d.Verdict, d.Requests = Malformed, nil
}

// handledByFirstFrom reports whether mail with several From fields would be
// signed or verified if it had the first alone.
func (s *Snapshot) handledByFirstFrom(f Facts, d *Decision) bool {
	if d.Verdict != BadFrom || d.Reasons[len(d.Reasons)-1].Code != ReasonManyFrom {
		return false
	}
	first := true
	f.Fields = slices.DeleteFunc(slices.Clone(f.Fields), func(field dkim.Field) bool {
		from := field.Is("From")
		drop := from && !first
		first = first && !from
		return drop
	})
	verdict := s.decide(f).Verdict
	return verdict == Sign || verdict == Verify
}

// The fields that a message has exactly once, and those that it has at most
// once (RFC 5322 §3.6).
var (
	onceFields     = []string{"From", "Date"}
	optionalFields = []string{"Reply-To", "To", "Cc", "Bcc", "Message-Id", "In-Reply-To", "References", "Subject"}
)

// countProblem says which field a message has too seldom or too often, "" if
// none. Of several it names the last, as OpenDKIM does. sender says that Sender
// counts, too.
func countProblem(fields []dkim.Field, sender bool) (problem string) {
	counts := map[string]int{}
	for _, f := range fields {
		counts[strings.ToLower(strings.TrimRight(f.Name, " \t"))]++
	}
	for _, name := range onceFields {
		if counts[strings.ToLower(name)] != 1 {
			problem = "message does not have exactly one " + name + " field"
		}
	}
	if sender && counts["sender"] > 1 {
		problem = "message has multiple Sender fields"
	}
	for _, name := range optionalFields {
		if counts[strings.ToLower(name)] > 1 {
			problem = "message has multiple " + name + " fields"
		}
	}
	return problem
}

// malformed ends a message that breaks the counts.
func (m *message) malformed(verifies bool) reply {
	why := m.decision.Reasons[len(m.decision.Reasons)-1]
	if why.Code == ReasonRequiredFields {
		return m.dispose(disposition{action: config.Reject, enhanced: "0.0", text: why.Args[0]})
	}
	if verifies && !m.snapshot.cfg.IgnoreMalformedMail {
		m.outcome.unverifiable(why)
	}
	return m.dispose(disposition{})
}
