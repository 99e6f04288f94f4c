package keys

import (
	"fmt"
	"strings"

	"github.com/postseal/postseal/config/dataset"
)

// Notes are remarks on rows that have no effect or not the one that they seem
// to have, each with its place. They are no errors.
func (s *Store) Notes() []string { return s.notes }

// noteDuplicates remarks rows that can never be found because an earlier one
// has their key. In a refile the rows are patterns, and all of them count.
func (s *Store) noteDuplicates(t *dataset.Set, name string) {
	if !t.Walkable() {
		return
	}
	for _, row := range t.Rows() {
		if first, _ := t.Get(row.Key); first.Line != row.Line {
			s.notes = append(s.notes, fmt.Sprintf("%s: %s: %q stands at %s already; this row is never used",
				name, t.Where(row), clip(row.Key), t.Where(first)))
		}
	}
}

// notePattern remarks keys of SigningTable that match no address.
func (s *Store) notePattern(row dataset.Row, where string) {
	switch {
	case s.signing.Walkable():
		star := strings.IndexByte(row.Key, '*')
		if star >= 0 && row.Key != "*" && !(strings.HasSuffix(row.Key, "@*") && star == len(row.Key)-1) {
			s.notes = append(s.notes, fmt.Sprintf("signing_table: %s: %q is a pattern, and matches nothing here: only refile: understands patterns", where, row.Key))
		}
	case !strings.ContainsAny(row.Key, `@*()[]|?{}^$\`):
		s.notes = append(s.notes, fmt.Sprintf("signing_table: %s: %q matches no address: in a refile a domain is written %q", where, row.Key, "*@"+row.Key))
	}
}

// noteOutside remarks a signer that can never become i=.
func (s *Store) noteOutside(g *signingRow) {
	if g.signer == "" || g.bad != nil || g.key.bad != nil || g.key.domain == "" || g.key.domain == ownDomain || strings.Contains(g.signer, ownDomain) {
		return
	}
	if !signerInside(g.signer, g.key.domain) {
		s.notes = append(s.notes, fmt.Sprintf("signing_table: %s: the signer %q is left out of the signature, because i= must be inside d=%s (RFC 6376 §3.5)",
			g.where, clip(g.signer), g.key.domain))
	}
}
