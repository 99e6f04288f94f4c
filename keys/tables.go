package keys

import (
	"errors"
	"fmt"
	"iter"
	"sync"
	"sync/atomic"

	"github.com/postseal/postseal/config/dataset"
)

// loadTables reads and checks KeyTable and SigningTable.
func (s *Store) loadTables(o Options) error {
	switch {
	case !o.KeyTable.IsSet():
		return errors.New("signing_table needs key_table: set both")
	case !o.SigningTable.IsSet():
		return errors.New("key_table needs signing_table: set both")
	}
	previous := o.Previous
	if previous == nil {
		previous = new(Store)
	}
	var err1, err2 error
	if s.keyTable, err1 = dataset.Open(o.KeyTable, dataset.Options{Base: o.Base, ExactCase: true, Previous: previous.keyTable}); err1 != nil {
		err1 = fmt.Errorf("key_table: %w", err1)
	}
	if s.signing, err2 = dataset.Open(o.SigningTable, dataset.Options{Base: o.Base, Previous: previous.signing}); err2 != nil {
		err2 = fmt.Errorf("signing_table: %w", err2)
	}
	if err := errors.Join(err1, err2); err != nil {
		return err
	}
	s.states = make([]atomic.Pointer[reading], len(s.keyTable.Rows()))
	s.unusable = &reading{state: StateDisabled}
	s.named = make([]bool, len(s.keyTable.Rows()))
	s.folded = sync.OnceValue(s.foldedNames)
	return errors.Join(s.checkKeyTable(), s.checkSigningTable())
}

func (s *Store) checkKeyTable() error {
	var problems few[error]
	for i, row := range s.keyTable.Rows() {
		k, err := parseKeyRow(row.Key, row.Value, s.base)
		switch {
		case err == nil && k.check() == nil:
		case err == nil || s.skipBad:
			s.states[i].Store(s.unusable)
		default:
			problems.add(fmt.Errorf("key_table: %s: %w", s.keyTable.Where(row), err))
		}
	}
	s.notes = append(s.notes, s.keyTable.Notes()...)
	s.noteDuplicates(s.keyTable, "key_table")
	return joined("key_table", problems)
}

func (s *Store) checkSigningTable() error {
	var problems few[error]
	var patterns, outside few[string]
	every := false // key may be named, by the sender's domain
	for _, row := range s.signing.Rows() {
		g := newSigningRow(row)
		i, err := s.keyOf(g)
		if err == nil && i >= 0 {
			s.named[i] = true
		}
		every = every || err == nil && i < 0
		switch {
		case err != nil && s.skipBad, err == nil && g.bad != nil:
			s.disabled = append(s.disabled, row)
		case err != nil && g.keyName == "":
			problems.add(fmt.Errorf("signing_table: %s: %q: the row %w", s.signing.Where(row), clip(row.Key), err))
			continue
		case err != nil:
			problems.add(fmt.Errorf("signing_table: %s %w", s.signing.Where(row), err))
			continue
		case i >= 0 && g.signer != "":
			s.noteOutside(&outside, g, s.keyRow(i))
		}
		s.notePattern(&patterns, row)
	}
	if every {
		s.named = nil
	}
	s.notes = append(s.notes, s.signing.Notes()...)
	s.keepNotes("signing_table", patterns)
	s.keepNotes("signing_table", outside)
	s.noteDuplicates(s.signing, "signing_table")
	return joined("signing_table", problems)
}

// keyRows are the rows of KeyTable in order, or KeyFile.
func (s *Store) keyRows() iter.Seq[*keyRow] {
	return func(yield func(*keyRow) bool) {
		if s.domainKey != nil {
			yield(s.domainKey)
			return
		}
		for i := range s.states {
			if !yield(s.keyRow(i)) {
				return
			}
		}
	}
}

// keyRow takes a row of KeyTable apart.
func (s *Store) keyRow(i int) *keyRow {
	row := s.keyTable.Rows()[i]
	k, err := parseKeyRow(row.Key, row.Value, s.base)
	switch {
	case err != nil:
		k = keyRow{name: row.Key, bad: err}
	case s.states[i].Load() == s.unusable:
		k.bad = k.check()
	}
	k.number, k.last = i, &s.states[i]
	return &k
}

// where is the place of a row of KeyTable.
func (s *Store) where(k *keyRow) string {
	if k == s.domainKey {
		return k.name
	}
	return s.keyTable.Where(s.keyTable.Rows()[k.number])
}

// keyOf returns the row of KeyTable that a row of SigningTable names, -1 where that
// is the one of the sender's domain. The error goes on after "the row", or its place.
func (s *Store) keyOf(g signingRow) (i int, err error) {
	switch g.keyName {
	case "":
		return -1, errNoName
	case ownDomain:
		return -1, nil
	}
	if i = s.keyTable.Find(g.keyName); i >= 0 {
		return i, nil
	}
	if i, ok := s.folded()[lowerASCII(g.keyName)]; ok {
		row := s.keyTable.Rows()[i]
		return -1, fmt.Errorf("names the key %q, but %s calls it %q: letter case counts in names of keys",
			clip(g.keyName), s.keyTable.Where(row), clip(row.Key))
	}
	return -1, fmt.Errorf("names the key %q, which key_table (%s) does not have: add a row %q there, or correct the name",
		clip(g.keyName), s.keyTable.Source(), clip(g.keyName)+" DOMAIN:SELECTOR:PATH")
}

var errNoName = errors.New("names no key: write PATTERN KEYNAME, with KEYNAME from key_table")

// foldedNames finds the rows of KeyTable without regard to case.
func (s *Store) foldedNames() map[string]int {
	names := make(map[string]int, len(s.states))
	for i, row := range s.keyTable.Rows() {
		names[lowerASCII(row.Key)] = i
	}
	return names
}

func unknownKey(err error) error { return fmt.Errorf("%w: the row %w", ErrUnknownKey, err) }
