package spf

import (
	"fmt"
	"slices"
	"strings"

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
	BadName finding.Code = "spf-bad-name"
	// LookupFailed: DNS gave no answer for now, so nothing is known.
	LookupFailed finding.Code = "spf-lookup-failed"
	// NoRecord: there is no SPF record.
	NoRecord finding.Code = "spf-no-record"
	// Misplaced: the record stands at another name.
	Misplaced finding.Code = "spf-misplaced"
	// WrongType: the record is of the type SPF, which is given up.
	WrongType finding.Code = "spf-wrong-type"
	// BadVersion: there is a record with another beginning than v=spf1.
	BadVersion finding.Code = "spf-version"
	// VersionCase: the version is not in lower case.
	VersionCase finding.Code = "spf-version-case"
	// SeveralRecords: there is more than one SPF record.
	SeveralRecords finding.Code = "spf-several-records"
	// Syntax: a term is none that RFC 7208 knows.
	Syntax finding.Code = "spf-syntax"
	// NotAModifier: a mechanism is written with "=", and so means nothing.
	NotAModifier finding.Code = "spf-not-a-modifier"

	// TooManyLookups: more than MaxLookups.
	TooManyLookups finding.Code = "spf-too-many-lookups"
	// ManyLookups: MaxLookups or one below.
	ManyLookups finding.Code = "spf-many-lookups"
	// TooManyVoids: more than MaxVoids terms find nothing.
	TooManyVoids finding.Code = "spf-too-many-voids"
	// Void: terms find nothing.
	Void finding.Code = "spf-void"
	// Loop: a record comes back to itself.
	Loop finding.Code = "spf-loop"
	// BadInclude: a record that is included or redirected to is missing or spoiled.
	BadInclude finding.Code = "spf-bad-include"
	// ManyHosts: a domain has more MX hosts than an mx may have.
	ManyHosts finding.Code = "spf-many-hosts"

	// PassAll: everybody may send.
	PassAll finding.Code = "spf-pass-all"
	// NeutralAll: ?all says nothing of other senders.
	NeutralAll finding.Code = "spf-neutral-all"
	// NoEnd: neither all nor redirect.
	NoEnd finding.Code = "spf-no-end"
	// AfterAll: terms that nothing comes to.
	AfterAll finding.Code = "spf-after-all"
	// DeprecatedPTR: ptr or %{p}.
	DeprecatedPTR finding.Code = "spf-ptr"
	// Duplicate: a mechanism stands twice.
	Duplicate finding.Code = "spf-duplicate"
	// NotPublic: an address that no mail comes from in the Internet.
	NotPublic finding.Code = "spf-not-public"
	// WideNetwork: a network of millions of hosts may send.
	WideNetwork finding.Code = "spf-wide-network"
	// Mapped: ip6 with an IPv4-mapped address matches nothing.
	Mapped finding.Code = "spf-mapped"
	// Long: the record is longer than a DNS answer should be.
	Long finding.Code = "spf-long"
	// Split: the record has to be published as several strings.
	Split finding.Code = "spf-split"
	// Explanation: exp= leads to no text.
	Explanation finding.Code = "spf-explanation"

	// NotAllowed: the record does not allow an address of this machine.
	NotAllowed finding.Code = "spf-not-allowed"
	// HELONotAllowed: the record at the HELO name does not allow one.
	HELONotAllowed finding.Code = "spf-helo-not-allowed"
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

// publish is a Fix that names the whole record.
func (r *Report) publish(record string) string { return publishAt(r.Domain, record) }

func publishAt(domain, record string) string {
	if _, errs := Parse(record); len(errs) > 0 {
		better, ok := corrected(record, errs)
		if !ok {
			return fmt.Sprintf("Correct %v; and publish at %s: %s", errs[0], domain, zoneText(record))
		}
		record = better
	}
	return fmt.Sprintf("Publish at %s: %s", domain, zoneText(record))
}

// zoneText is a value as a zone file has it: strings of at most 255 octets.
func zoneText(value string) string {
	var parts []string
	for len(value) > maxString {
		parts = append(parts, quoted(value[:maxString]))
		value = value[maxString:]
	}
	return strings.Join(append(parts, quoted(value)), " ")
}

const maxString = 255 // octets of one string of a TXT record (RFC 1035 §3.3)

// quoted escapes as RFC 1035 §5.1 has it.
func quoted(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '"' || c == '\\':
			b.WriteString(`\` + string(c))
		case c < 0x20 || c > 0x7e:
			fmt.Fprintf(&b, `\%03d`, c)
		default:
			b.WriteByte(c)
		}
	}
	return b.String() + `"`
}
