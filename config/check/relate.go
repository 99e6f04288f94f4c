package check

import (
	"slices"
	"strings"

	"github.com/postseal/postseal/config/postfix"
	"github.com/postseal/postseal/milter/finding"
)

// consequences are findings of a section that follow from another section's. One that
// can have another reason, too, is none: a daemon that does not run may be stopped
// beside having a configuration that cannot be read.
var consequences = []struct {
	cause   string // the section
	code    finding.Code
	about   string // in its text
	section string
	dropped finding.Code
}{
	{SectionConfig, badConfig, "", SectionDaemon, NotReloaded},
	{SectionDaemon, NotRunning, "", SectionPostfix, postfix.SocketMissing},
	// 127.0.0.1 is among what mynetworks has and internal_hosts has not.
	{SectionPostfix, postfix.RelayUnsigned, " 127.", SectionDKIM, NotOurs},
}

// relate drops what follows from something else.
func (r *Report) relate() {
	all := slices.Clone(r.Machine)
	for _, d := range r.Domains {
		all = append(all, d.Sections...)
	}
	for _, c := range consequences {
		if !slices.ContainsFunc(all, func(s *Section) bool {
			return s.Name == c.cause && slices.ContainsFunc(s.Findings, func(f Finding) bool { return f.Code == c.code && strings.Contains(f.Text, c.about) })
		}) {
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
