package milter

import (
	"slices"

	"github.com/postseal/postseal/milter/authres"
	"github.com/postseal/postseal/milter/dkim"
)

// forged are the Authentication-Results fields of a message that claim to be
// ours although they came with it.
type forged struct {
	ids       []string // what we are called
	seen      int      // fields of that name, forged or not
	at        []int    // the forged ones, counted from 1 among those seen
	uncounted bool     // there are more than maximum_header_fields; the rest is not looked at
}

// noteResults looks at an Authentication-Results field as it arrives.
func (m *message) noteResults(value string) {
	cfg := m.snapshot.cfg
	m.forged.seen++
	if cfg.KeepAuthResults {
		return
	}
	if m.forged.seen > cfg.MaximumHeaderFields {
		m.forged.uncounted = true
		return
	}
	if m.forged.ids == nil {
		m.forged.ids = append([]string{m.name(), m.authservID()}, m.snapshot.removeARFrom...)
	}
	if !authres.ClaimsAny(value, m.forged.ids) {
		return
	}
	if !cfg.RemoveARAll {
		h, err := authres.Parse(value)
		if err == nil && !slices.ContainsFunc(h.Results, func(r authres.Result) bool { return r.Method == "dkim" }) {
			return
		}
	}
	m.forged.at = append(m.forged.at, m.forged.seen)
}

// mustClean reports whether forged results have to go. They stay in mail of our
// own hosts that is not verified, which may carry results of ours from the way
// in, and in mail that is none of this listener's business.
func (m *message) mustClean() bool {
	d := &m.decision
	switch {
	case len(m.forged.at) == 0:
		return false
	case d.Verdict == Verify:
		return true
	case d.Verdict == Pass:
		last := d.Reasons[len(d.Reasons)-1].Code
		return !d.Internal && last != ReasonExemptDomain && last != ReasonModeNoVerify
	}
	return !d.Internal
}

// clean deletes forged results, and old signatures where told. The highest
// index goes first: the MTA counts again after each (CVE-2022-48521).
func (m *message) clean() error {
	if m.mustClean() {
		if err := m.remove("Authentication-Results", m.forged.at); err != nil {
			return err
		}
	}
	// Old signatures go where new ones take their place.
	if m.snapshot.cfg.RemoveOldSignatures && len(m.outcome.signatures) > 0 {
		return m.remove("DKIM-Signature", m.oldSignatures())
	}
	return nil
}

// oldSignatures counts the signatures that came with a message that gets new
// ones, from 1, without those that sign_once has found to be ours and valid.
func (m *message) oldSignatures() (at []int) {
	valid := map[int]bool{}
	if m.own != nil {
		for _, r := range m.own.Results() {
			valid[r.Field] = r.Status == dkim.Pass
		}
	}
	n := 0
	for i, f := range m.fields {
		if f.Is("DKIM-Signature") {
			n++
			if !valid[i] {
				at = append(at, n)
			}
		}
	}
	return at
}

// remove deletes fields called name; at counts them from 1, upwards.
func (m *message) remove(name string, at []int) error {
	for _, n := range slices.Backward(at) {
		if err := m.session.wire.ChangeHeader(n, name, ""); err != nil {
			return err
		}
	}
	return nil
}

// name is what we are called.
func (m *message) name() string {
	id := m.snapshot.cfg.AuthservID
	if j, ok := m.session.macros.Get("j"); id == "" && ok {
		id = j
	}
	if id == "" {
		id = m.snapshot.cfg.Nameless
	}
	if id == "" || id == "HOSTNAME" {
		return m.session.server.hostname
	}
	return id
}

// authservID is our name in Authentication-Results (RFC 8601 §2.5).
func (m *message) authservID() string { return asciiName(m.name()) }
