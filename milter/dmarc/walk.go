package dmarc

import (
	"context"
	"fmt"
	"strings"
)

// Names are the domains below which a tree walk looks for records, in their order
// (RFC 9989 §4.10): domain itself, then its parent or, where it has more than eight
// labels, its last seven, then one label less each time down to the last one.
func Names(domain string) []string {
	names := []string{domain}
	if labels(domain) >= MaxQueries {
		domain = rightmost(domain, MaxQueries)
	}
	for _, rest, more := strings.Cut(domain, "."); more; _, rest, more = strings.Cut(rest, ".") {
		names = append(names, rest)
	}
	return names
}

// Step is what a walk found below one name.
type Step struct {
	// Name is where it was asked: "_dmarc.example.com".
	Name string `json:"name"`
	// Texts are the TXT records there.
	Texts []string `json:"texts,omitempty"`
	// Record is the record that counts, nil if there is none or more than one.
	Record *Record `json:"-"`
	// Err is why it is not known, and Trouble its text.
	Err     error  `json:"-"`
	Trouble string `json:"trouble,omitempty"`

	domain string
	count  int // DMARC records among Texts
}

// walker asks for each name once.
type walker struct {
	resolver Resolver
	steps    map[string]*Step // by domain
}

func newWalker(r Resolver) *walker { return &walker{r, make(map[string]*Step)} }

// at is what stands below domain.
func (w *walker) at(ctx context.Context, domain string) *Step {
	if s := w.steps[domain]; s != nil {
		return s
	}
	s := &Step{Name: prefix + domain, domain: domain}
	w.steps[domain] = s
	if s.Texts, _, s.Err = w.resolver.LookupTXT(ctx, s.Name); s.Err != nil {
		s.Trouble = s.Err.Error()
		return s
	}
	for _, txt := range s.Texts {
		if r, ok := ParseRecord(txt); ok {
			s.count++
			s.Record = r
		}
	}
	if s.count > 1 {
		s.Record = nil // all are dropped, and the walk goes on (RFC 9989 §4.10)
	}
	return s
}

// Rule says which rule of RFC 9989 §4.10.2 chose an organizational domain.
type Rule string

// The rules.
const (
	// RuleOwn: the record there has psd=n.
	RuleOwn Rule = "psd=n"
	// RuleSuffix: it is one label below a record with psd=y.
	RuleSuffix Rule = "psd=y above"
	// RuleShortest: of all records on the way, the one there has the fewest labels.
	RuleShortest Rule = "highest record"
	// RuleNone: there is no record, so it is the domain itself.
	RuleNone Rule = "no record"
)

// Organization is what a walk found out.
type Organization struct {
	// Domain is the organizational domain, "" where Err is not nil.
	Domain string
	Rule   Rule
	// Suffix is the public suffix above it that says so itself (psd=y), or "".
	Suffix string
	// Walk is what was asked, in its order.
	Walk []*Step
	// Err is why the walk could not be finished.
	Err error
}

// organization walks up from domain (RFC 9989 §4.10, §4.10.2). Every record on the way
// is noted; psd=n and psd=y end the walk. The start is the domain in question, not its
// parent: a domain with psd=y that sends mail is its own organizational domain.
func (w *walker) organization(ctx context.Context, domain string) Organization {
	o := Organization{Domain: domain, Rule: RuleNone}
	for _, name := range Names(domain) {
		s := w.at(ctx, name)
		o.Walk = append(o.Walk, s)
		switch {
		case s.Err != nil:
			return Organization{Walk: o.Walk, Err: fmt.Errorf("%s: %w", s.Name, s.Err)}
		case s.Record == nil:
			continue
		case s.Record.PSD == "n":
			o.Domain, o.Rule = name, RuleOwn
			return o
		case s.Record.PSD == "y" && name != domain:
			// One label longer, also where the walk left that name out.
			o.Domain, o.Rule, o.Suffix = rightmost(domain, labels(name)+1), RuleSuffix, name
			return o
		}
		o.Domain, o.Rule = name, RuleShortest
		if s.Record.PSD == "y" {
			return o
		}
	}
	return o
}
