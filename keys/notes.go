package keys

import (
	"errors"
	"fmt"
	"strings"

	"github.com/postseal/postseal/config/dataset"
)

// Notes are remarks on rows that have no effect or not the one that they seem
// to have, each with its place. They are no errors.
func (s *Store) Notes() []string { return s.notes }

// mostAlike is how many rows with the same fault are told of: there may be as many
// as a table has.
const mostAlike = 20

// few keeps the first of what is alike, and counts the others.
type few[T any] struct {
	first []T
	more  int
}

func (f *few[T]) add(v T) {
	if len(f.first) < mostAlike {
		f.first = append(f.first, v)
	} else {
		f.more++
	}
}

// joined is the error of a table's problems, nil if there are none.
func joined(table string, problems few[error]) error {
	if problems.more > 0 {
		problems.first = append(problems.first, fmt.Errorf("%s: %d more rows have problems", table, problems.more))
	}
	return errors.Join(problems.first...)
}

func (s *Store) keepNotes(table string, notes few[string]) {
	s.notes = append(s.notes, notes.first...)
	if notes.more > 0 {
		s.notes = append(s.notes, fmt.Sprintf("%s: %d more rows are like these", table, notes.more))
	}
}

// noteDuplicates remarks rows that can never be found because an earlier one
// has their key. In a refile the rows are patterns, and all of them count.
func (s *Store) noteDuplicates(t *dataset.Set, name string) {
	if !t.Walkable() || !t.Repeats() {
		return
	}
	var notes few[string]
	for _, row := range t.Rows() {
		if first, _ := t.Get(row.Key); first.Line != row.Line {
			notes.add(fmt.Sprintf("%s: %s: %q stands at %s already; this row is never used",
				name, t.Where(row), clip(row.Key), t.Where(first)))
		}
	}
	s.keepNotes(name, notes)
}

// notePattern remarks keys of SigningTable that match no address.
func (s *Store) notePattern(notes *few[string], row dataset.Row) {
	switch {
	case s.signing.Walkable():
		star := strings.IndexByte(row.Key, '*')
		if star >= 0 && row.Key != "*" && !(strings.HasSuffix(row.Key, "@*") && star == len(row.Key)-1) {
			notes.add(fmt.Sprintf("signing_table: %s: %q is a pattern, and matches nothing here: only refile: understands patterns", s.signing.Where(row), clip(row.Key)))
		}
	case !strings.ContainsAny(row.Key, `@*()[]|?{}^$\`):
		notes.add(fmt.Sprintf("signing_table: %s: %q matches no address: in a refile a domain is written %q", s.signing.Where(row), clip(row.Key), "*@"+clip(row.Key)))
	}
}

// noteOutside remarks a signer that can never become i=.
func (s *Store) noteOutside(notes *few[string], g signingRow, k *keyRow) {
	if k.bad != nil || k.domain == ownDomain || strings.Contains(g.signer, ownDomain) {
		return
	}
	if !signerInside(g.signer, k.domain) {
		notes.add(fmt.Sprintf("signing_table: %s: the signer %q is left out of the signature, because i= must be inside d=%s (RFC 6376 §3.5)",
			s.signing.Where(g.Row), clip(g.signer), k.domain))
	}
}
