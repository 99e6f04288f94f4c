package spf

import (
	"fmt"
	"slices"

	"github.com/postseal/postseal/milter/finding"
)

// Report is what was found at a domain.
type Report struct {
	// Domain is the domain in the form that is looked up.
	Domain string `json:"domain"`
	// Records are the SPF records at the domain; there should be one.
	Records []string `json:"records,omitempty"`
	// Record is the one that was looked at, nil if there is none or if it is spoiled.
	Record *Record `json:"-"`
	// Lookups is how many terms that cost a look-up an evaluation comes to where
	// nothing matches, of MaxLookups; Voids is how many of these find nothing for an
	// IPv4 client, of MaxVoids.
	Lookups int `json:"lookups"`
	Voids   int `json:"voids"`
	// Tree shows what the look-ups are used up by, nil without Record.
	Tree *Node `json:"tree,omitempty"`
	// Findings is everything that is worth saying. Empty: there is nothing to mend.
	Findings finding.List `json:"findings"`
}

// Node is a term that costs a look-up, or the record at the root.
type Node struct {
	// Term is the term as it stands in the record, shortened if it is very long, ""
	// at the root.
	Term string `json:"term,omitempty"`
	// Name is the domain name that is asked for, "" where only a mail decides it.
	Name string `json:"name,omitempty"`
	// Cost is what the term itself costs, and Lookups is Cost and all below.
	Cost    int `json:"cost"`
	Lookups int `json:"lookups"`
	// Void reports that DNS has nothing there for an IPv4 client.
	Void bool `json:"void,omitempty"`
	// Trouble says why nothing stands below, "" where all is well.
	Trouble string  `json:"trouble,omitempty"`
	Below   []*Node `json:"below,omitempty"`
}

// The kinds of findings about an SPF record.
const (
	// BadName: the domain is no domain name.
	BadName finding.Code = "bad-name"
	// LookupFailed: DNS gave no answer for now, so nothing is known.
	LookupFailed finding.Code = "lookup-failed"
	// NoRecord: there is no SPF record.
	NoRecord finding.Code = "no-record"
	// Misplaced: the record stands at another name.
	Misplaced finding.Code = "misplaced"
	// WrongType: the record is of the type SPF, which is given up.
	WrongType finding.Code = "wrong-type"
	// BadVersion: there is a record with another beginning than v=spf1.
	BadVersion finding.Code = "bad-version"
	// VersionCase: the version is not in lower case.
	VersionCase finding.Code = "version-case"
	// SeveralRecords: there is more than one SPF record.
	SeveralRecords finding.Code = "several-records"
	// Syntax: a term is none that RFC 7208 knows.
	Syntax finding.Code = "syntax"
	// NotAModifier: a mechanism is written with "=", and so means nothing.
	NotAModifier finding.Code = "not-a-modifier"

	// TooManyLookups: more than MaxLookups.
	TooManyLookups finding.Code = "too-many-lookups"
	// ManyLookups: MaxLookups or one below.
	ManyLookups finding.Code = "many-lookups"
	// TooManyVoids: more than MaxVoids terms find nothing.
	TooManyVoids finding.Code = "too-many-voids"
	// Void: terms find nothing.
	Void finding.Code = "void"
	// Loop: a record comes back to itself.
	Loop finding.Code = "loop"
	// BadInclude: a record that is included or redirected to is missing or spoiled.
	BadInclude finding.Code = "bad-include"
	// ManyHosts: a domain has more MX hosts than an mx may have.
	ManyHosts finding.Code = "many-hosts"

	// PassAll: everybody may send.
	PassAll finding.Code = "pass-all"
	// NeutralAll: ?all says nothing of other senders.
	NeutralAll finding.Code = "neutral-all"
	// NoEnd: neither all nor redirect.
	NoEnd finding.Code = "no-end"
	// AfterAll: terms that nothing comes to.
	AfterAll finding.Code = "after-all"
	// DeprecatedPTR: ptr or %{p}.
	DeprecatedPTR finding.Code = "ptr"
	// Duplicate: a mechanism stands twice.
	Duplicate finding.Code = "duplicate"
	// NotPublic: an address that no mail comes from in the Internet.
	NotPublic finding.Code = "not-public"
	// WideNetwork: a network of millions of hosts may send.
	WideNetwork finding.Code = "wide-network"
	// Mapped: ip6 with an IPv4-mapped address matches nothing.
	Mapped finding.Code = "mapped"
	// Long: the record is longer than a DNS answer should be.
	Long finding.Code = "long"
	// Explanation: exp= leads to no text.
	Explanation finding.Code = "explanation"

	// NotAllowed: the record does not allow an address of this machine.
	NotAllowed finding.Code = "not-allowed"
	// HELONotAllowed: the record at the HELO name does not allow one.
	HELONotAllowed finding.Code = "helo-not-allowed"
)

const (
	permerror = "Every check ends in permerror: SPF does not pass for any mail of the domain, and DMARC has DKIM alone to go by."
	partial   = "A check that comes that far ends in permerror: SPF does not pass for that mail."
)

// Has reports whether there is a finding with code c.
func (r *Report) Has(c finding.Code) bool { return r.Findings.Has(c) }

// add adds a finding once.
func (r *Report) add(f finding.Finding) {
	if !slices.Contains(r.Findings, f) {
		r.Findings = append(r.Findings, f)
	}
}

// problem, warning and note add a finding; effect may be "".
func (r *Report) problem(c finding.Code, text, effect, fix string) {
	r.add(finding.Finding{Code: c, Level: finding.Problem, Text: text, Effect: effect, Fix: fix})
}

func (r *Report) warning(c finding.Code, text, effect, fix string) {
	r.add(finding.Finding{Code: c, Level: finding.Warning, Text: text, Effect: effect, Fix: fix})
}

func (r *Report) note(c finding.Code, text, effect, fix string) {
	r.add(finding.Finding{Code: c, Level: finding.Note, Text: text, Effect: effect, Fix: fix})
}

// publish is a Fix that ends with the whole record.
func (r *Report) publish(record string) string { return publishAt(r.Domain, record) }

func publishAt(domain, record string) string {
	if _, errs := Parse(record); len(errs) > 0 {
		better, ok := corrected(record, errs)
		if !ok {
			return fmt.Sprintf("Correct %v; then publish %s", errs[0], finding.Record(domain, record))
		}
		record = better
	}
	return "Publish " + finding.Record(domain, record)
}
