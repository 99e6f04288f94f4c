package dmarc

import "github.com/postseal/postseal/milter/finding"

// Report is what was found of a domain.
type Report struct {
	// Domain is the domain, in A-labels.
	Domain string `json:"domain"`
	// Record is the record that applies to mail from Domain, "" if there is none or it
	// is not known. It is foreign text.
	Record string `json:"record,omitempty"`
	// From is the domain whose record it is, and Source says why it applies.
	From   string `json:"from,omitempty"`
	Source Source `json:"source,omitempty"`
	// Tag is which of p, sp and np applies to mail from Domain, and Policy what
	// receivers do by it, after t.
	Tag    string `json:"tag,omitempty"`
	Policy Policy `json:"policy,omitempty"`
	// Organization is the organizational domain, and Rule how it was chosen; both are
	// "" where it is not known.
	Organization string `json:"organization,omitempty"`
	Rule         Rule   `json:"rule,omitempty"`
	// Walk is what was asked for it, in its order.
	Walk []*Step `json:"walk"`
	// RUA and RUF are the addresses that get reports.
	RUA []string `json:"rua,omitempty"`
	RUF []string `json:"ruf,omitempty"`
	// Findings is everything that is worth saying. Empty: there is nothing to mend.
	Findings finding.List `json:"findings"`
}

// Has reports whether there is a finding with code c.
func (r *Report) Has(c finding.Code) bool { return r.Findings.Has(c) }

// The kinds of findings about a domain's DMARC.
const (
	// BadName: the domain is no domain name.
	BadName finding.Code = "bad-name"
	// LookupFailed: something could not be looked up, and is unknown for now.
	LookupFailed finding.Code = "lookup-failed"
	// NoRecord: no record applies.
	NoRecord finding.Code = "no-record"
	// Misplaced: the record stands where nobody looks.
	Misplaced finding.Code = "misplaced"
	// SeveralRecords: there are more than one, so none counts.
	SeveralRecords finding.Code = "several-records"
	// NotARecord: a TXT record that was meant as one does not begin as one has to.
	NotARecord finding.Code = "not-a-record"
	// OtherText: another TXT record stands beside it.
	OtherText finding.Code = "other-text"
	// TooDeep: the name has so many labels that the walk leaves some out.
	TooDeep finding.Code = "too-deep"

	// NoPolicyTag: p is missing.
	NoPolicyTag finding.Code = "no-policy"
	// BadPolicy: p, sp or np is not valid, which disarms the whole record.
	BadPolicy finding.Code = "bad-policy"
	// BadValue: another tag has a value that it cannot have.
	BadValue finding.Code = "bad-value"
	// Syntax: something in the record is no tag.
	Syntax finding.Code = "syntax"
	// DuplicateTag: a tag stands in the record twice.
	DuplicateTag finding.Code = "duplicate-tag"
	// TagCase: the name of a tag has capital letters.
	TagCase finding.Code = "tag-case"
	// HistoricTag: pct, rf and ri are gone.
	HistoricTag finding.Code = "historic-tag"
	// UnknownTag: a tag that nobody knows.
	UnknownTag finding.Code = "unknown-tag"

	// NoReports: rua is missing.
	NoReports finding.Code = "no-rua"
	// BadURI: an address for reports is not valid.
	BadURI finding.Code = "bad-uri"
	// OtherScheme: an address for reports is no mailto.
	OtherScheme finding.Code = "other-scheme"
	// SizeLimit: an address for reports has a size limit, which is gone.
	SizeLimit finding.Code = "size-limit"
	// Unauthorized: the receiver of reports does not agree to get them.
	Unauthorized finding.Code = "unauthorized-destination"
	// OtherDestination: the receiver of reports wants them elsewhere, where it cannot.
	OtherDestination finding.Code = "other-destination"
	// FOIdle: fo is there without ruf.
	FOIdle finding.Code = "fo-idle"

	// SubdomainsIdle: sp and np do nothing here.
	SubdomainsIdle finding.Code = "subdomains-idle"
	// NPIdle: np does nothing, because every name seems to exist.
	NPIdle finding.Code = "np-idle"
	// WeakSubdomains: subdomains are guarded less than the domain.
	WeakSubdomains finding.Code = "weak-subdomains"
	// Testing: t=y.
	Testing finding.Code = "testing"
	// PolicyNone: p=none asks for nothing.
	PolicyNone finding.Code = "policy-none"

	// BadSuffix: psd=y at a domain that is no public suffix.
	BadSuffix finding.Code = "bad-suffix"
	// Apart: psd=n parts the domain from the one above.
	Apart finding.Code = "apart"
	// SuffixRecord: a record at a public suffix above makes strangers aligned.
	SuffixRecord finding.Code = "suffix-record"
	// OrganizationDiffers: receivers of before RFC 9989 see another organization.
	OrganizationDiffers finding.Code = "organization-differs"
)
