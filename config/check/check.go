// Package check looks at all that decides whether mail of a domain leaves this machine
// signed and is trusted elsewhere: keys and their records, SPF, DMARC, the daemon,
// Postfix, and the machine's name. It says what is wrong, what that causes, and the
// command or record that mends it. It changes nothing.
//
// One fault is to be one finding. What follows from another finding is left out.
package check

import (
	"context"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/postseal/postseal/config"
	"github.com/postseal/postseal/config/postfix"
	"github.com/postseal/postseal/milter"
	"github.com/postseal/postseal/milter/finding"
	"github.com/postseal/postseal/milter/resolver"
)

// State is how a section, a domain or the whole stands.
type State string

// The states, from the best to the worst.
const (
	// Skipped: nobody looked, with the reason in the summary.
	Skipped State = "skipped"
	// OK: in order; there may be notes.
	OK State = "ok"
	// Warning: it works, but not as well as it should.
	Warning State = "warning"
	// Unknown: it could not be found out, mostly because DNS could not be asked.
	Unknown State = "unknown"
	// Problem: it does not work, or not everywhere.
	Problem State = "problem"
)

var order = []State{Skipped, OK, Warning, Unknown, Problem}

// worse is the worse of two states.
func worse(a, b State) State {
	return order[max(slices.Index(order, a), slices.Index(order, b))]
}

// LevelUnknown is the level of findings that say why something could not be found out.
const LevelUnknown finding.Level = "unknown"

// Finding is one thing that is worth saying.
type Finding struct {
	// Subject is what it is about where a section has several things: the name of a
	// key's record, an address.
	Subject string `json:"subject,omitempty"`
	finding.Finding
}

// Section is what was found of one thing.
type Section struct {
	// Name is one of the names of sections.
	Name  string `json:"name"`
	State State  `json:"state"`
	// Summary says in a line what there is.
	Summary  string    `json:"summary"`
	Findings []Finding `json:"findings"`
	// Keys are those of DKIM.
	Keys []*Key `json:"keys,omitempty"`
	// SPF and DMARC are what there is of these.
	SPF   *SPF   `json:"spf,omitempty"`
	DMARC *DMARC `json:"dmarc,omitempty"`
}

// The names of sections.
const (
	SectionConfig  = "config"
	SectionDKIM    = "dkim"
	SectionSPF     = "spf"
	SectionDMARC   = "dmarc"
	SectionDaemon  = "daemon"
	SectionPostfix = "postfix"
	SectionHost    = "host"
)

// add adds a finding, and makes the section's state no better than it is.
func (s *Section) add(subject string, f finding.Finding) {
	s.Findings = append(s.Findings, Finding{subject, f})
	s.State = worse(s.State, stateOf(f.Level))
}

// addAll adds the findings of a list. Those whose codes are in unsure say that
// something could not be found out.
func (s *Section) addAll(subject string, list finding.List, unsure ...finding.Code) {
	for _, f := range list {
		if slices.Contains(unsure, f.Code) {
			f.Level = LevelUnknown
		}
		s.add(subject, f)
	}
}

// has reports whether a finding of the section has one of these codes.
func (s *Section) has(codes ...finding.Code) bool {
	return slices.ContainsFunc(s.Findings, func(f Finding) bool { return slices.Contains(codes, f.Code) })
}

// sound reports that nothing is wrong with the section and all of it is known.
func (s *Section) sound() bool { return s.State == OK || s.State == Warning }

// sort puts the worst findings first.
func (s *Section) sort() {
	slices.SortStableFunc(s.Findings, func(a, b Finding) int {
		return slices.Index(order, stateOf(b.Level)) - slices.Index(order, stateOf(a.Level))
	})
}

func stateOf(l finding.Level) State {
	switch l {
	case finding.Problem:
		return Problem
	case LevelUnknown:
		return Unknown
	case finding.Warning:
		return Warning
	}
	return OK
}

// Domain is what was found of a domain.
type Domain struct {
	Domain   string     `json:"domain"`
	State    State      `json:"state"`
	Sections []*Section `json:"sections"`
}

// Report is the whole of it.
type Report struct {
	// OK: there is no problem, and nothing that could not be found out.
	OK    bool  `json:"ok"`
	State State `json:"state"`
	// Domains are those that were looked at; LeftOut is how many more the
	// configuration has.
	Domains []*Domain `json:"domains"`
	LeftOut int       `json:"left_out,omitempty"`
	// Machine are the sections that are about this machine, whatever the domain.
	Machine []*Section `json:"machine"`
}

// Sum leaves out what follows from other findings, puts the worst of each section first,
// and takes the states of all parts together.
func (r *Report) Sum() {
	r.relate()
	r.State = Skipped
	for _, s := range r.Machine {
		s.sort()
		r.State = worse(r.State, s.State)
	}
	for _, d := range r.Domains {
		d.State = Skipped
		for _, s := range d.Sections {
			s.sort()
			d.State = worse(d.State, s.State)
		}
		r.State = worse(r.State, d.State)
	}
	r.OK = r.State != Problem && r.State != Unknown
}

// Checker knows what domains are held against.
type Checker struct {
	// DNS answers.
	DNS resolver.Asker
	// FromFile says that DNS is a file, which has neither DNSSEC nor times.
	FromFile bool
	// OwnServers says that the domains' own name servers are asked, too.
	OwnServers bool
	// Config is the configuration and Snapshot what it names, as the daemon's user
	// reads them; without both, DKIM is left out.
	Config   *config.Config
	Snapshot *milter.Snapshot
	// UID is the user as whom key files were read and are judged; Stranger says that
	// this is not the daemon's user, because nobody but root can become that.
	UID      int
	Stranger bool
	// Safe is keys.CheckSafe, or what stands in for it.
	Safe func(path string, uid int) error
	// Addresses are those that mail leaves from, as others see them; Private those that
	// nobody outside sees.
	Addresses, Private []netip.Addr
	// Relay is the host that this machine's mail leaves through, "" for none, and RelayBy
	// the parameter of Postfix that says so. RelayMaps is the parameter that names a
	// table of such hosts for some senders, "" for none.
	Relay, RelayBy, RelayMaps string
	// HELO is the name that Postfix gives itself, "" for unknown.
	HELO string
	// Now is the time.
	Now time.Time
	// Wants reports whether a section is asked for.
	Wants func(section string) bool

	once   sync.Once
	tables *tables // of Snapshot

	mail    *postfix.Config // of ReadPostfix
	mailErr error
	daemon  *milter.Status // of AskDaemon, nil for unknown
}

// Domain looks at a domain, a name in A-labels.
func (c *Checker) Domain(ctx context.Context, name string) *Domain {
	d := &Domain{Domain: name, Sections: []*Section{}}
	add := func(section string, look func(*Section)) *Section {
		s := newSection(section)
		if c.Wants(section) {
			look(s)
			d.Sections = append(d.Sections, s)
		}
		return s
	}
	signed := add(SectionDKIM, func(s *Section) { c.dkim(ctx, name, s) })
	add(SectionSPF, func(s *Section) { c.spf(ctx, name, s) })
	add(SectionDMARC, func(s *Section) { c.dmarc(ctx, name, signed.Keys, s) })
	return d
}

func newSection(name string) *Section {
	return &Section{Name: name, State: OK, Findings: []Finding{}}
}
