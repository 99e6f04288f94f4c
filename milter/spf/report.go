package spf

import (
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
	// nothing matches, of MaxLookups; Voids is how many of these find nothing, of
	// MaxVoids.
	Lookups int `json:"lookups"`
	Voids   int `json:"voids"`
	// Tree shows what the look-ups are used up by, nil without Record.
	Tree *Node `json:"tree,omitempty"`
	// Findings is everything that is worth saying. Empty: there is nothing to mend.
	Findings finding.List `json:"findings"`
}

// Has reports whether there is a finding with code c.
func (r *Report) Has(c finding.Code) bool { return r.Findings.Has(c) }

// Node is a term that costs a look-up, or the record at the root.
type Node struct {
	// Term is the term as it stands in the record, "" at the root.
	Term string `json:"term,omitempty"`
	// Name is the domain name that is asked for, "" where only a mail decides it.
	Name string `json:"name,omitempty"`
	// Cost is what the term itself costs, and Lookups is Cost and all below.
	Cost    int `json:"cost"`
	Lookups int `json:"lookups"`
	// Void reports that DNS has nothing there.
	Void bool `json:"void,omitempty"`
	// Trouble says why nothing stands below, "" where all is well.
	Trouble string  `json:"trouble,omitempty"`
	Below   []*Node `json:"below,omitempty"`
}
