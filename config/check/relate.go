package check

import (
	"slices"

	"github.com/postseal/postseal/config/postfix"
	"github.com/postseal/postseal/milter/finding"
)

// consequences are findings of a section that follow from another section's.
var consequences = []struct {
	cause   string // the section
	code    finding.Code
	section string
	dropped finding.Code
}{
	{SectionConfig, badConfig, SectionDaemon, NotRunning},
	{SectionConfig, badConfig, SectionDaemon, NotReloaded},
	{SectionConfig, badConfig, SectionPostfix, postfix.SocketMissing},
	{SectionDaemon, NotRunning, SectionPostfix, postfix.SocketMissing},
	{SectionPostfix, postfix.RelayUnsigned, SectionDKIM, NotOurs},
}

// relate drops what follows from something else.
func (r *Report) relate() {
	all := slices.Clone(r.Machine)
	for _, d := range r.Domains {
		all = append(all, d.Sections...)
	}
	has := func(name string, code finding.Code) bool {
		return slices.ContainsFunc(all, func(s *Section) bool { return s.Name == name && s.has(code) })
	}
	for _, c := range consequences {
		if !has(c.cause, c.code) {
			continue
		}
		for _, s := range all {
			if s.Name == c.section {
				s.drop(func(f Finding) bool { return f.Code == c.dropped })
			}
		}
	}
}

// drop takes findings out of a section.
func (s *Section) drop(which func(Finding) bool) {
	kept := slices.DeleteFunc(s.Findings, which)
	if len(kept) == len(s.Findings) {
		return
	}
	s.Findings, s.State = kept, OK
	for _, f := range kept {
		s.State = worse(s.State, stateOf(f.Level))
	}
}
