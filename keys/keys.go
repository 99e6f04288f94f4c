// Package keys says who signs with what: it reads SigningTable and KeyTable,
// private keys and their files' safety, keeps proven keys between reloads, and
// makes keys and the text of their DNS records.
//
// A [Store] is one immutable reading of the tables. Selecting rows touches no
// file; a key is read, checked and proven when the tables are loaded while the
// keys are few, else when it first signs.
package keys

import (
	"errors"
	"fmt"
	"runtime"
	"sync"

	"github.com/postseal/postseal/config/dataset"
)

// Options are what the configuration says about keys.
type Options struct {
	// KeyTable and SigningTable come together; where they are set, Domain,
	// Selector and KeyFile are not looked at.
	KeyTable, SigningTable dataset.Spec
	// Domain lists the domains that KeyFile and Selector sign for; "*" stands
	// for every one.
	Domain            dataset.Spec
	Selector, KeyFile string
	// SubDomains signs for subdomains of Domain with d= and i= the parent.
	SubDomains bool
	// MultipleSignatures takes every row that matches, not only the first.
	MultipleSignatures bool
	// SkipBadRows lets a row that has a syntax error or names a missing key
	// disable itself alone, where Load would fail otherwise.
	SkipBadRows bool
	// RequireSafeKeys refuses keys that fail [CheckSafe]; otherwise they are
	// warned about once.
	RequireSafeKeys bool
	// Base is where relative paths start.
	Base string
	// MinBits and MaxBits bound RSA keys; zero means 1024 and 8192.
	MinBits, MaxBits int
	// Unchanged, if not nil, reports whether the files of the configuration are as
	// they were read: a key file that gets another key is used at once only then.
	Unchanged func() bool
	// UID is the user that signs, for CheckSafe.
	UID int
	// Later is for a process that is still root and will be UID: the keys of
	// KeyTable are not read before [Store.ReadKeys], and KeyFile, which is read at
	// once, stays in use when UID may not read it.
	Later bool
}

// Address is a sender's mailbox. Domain may be in U-label form.
type Address struct{ Local, Domain string }

// eagerKeys is the number of distinct keys from which on they are read at
// first use instead of at load.
const eagerKeys = 1000

// The bounds of RSA keys that hold where the configuration has none
// (RFC 8301 §3.2).
const (
	minRSABits = 1024
	maxRSABits = 8192
)

// Store is the tables as they were read once. It is safe for concurrent use.
type Store struct {
	cache    *Cache
	multiple bool
	skipBad  bool
	policy   policy
	base     string
	pins     pins
	// unchanged is Options.Unchanged.
	unchanged func() bool

	signing     *dataset.Set // nil without tables
	signingRows map[int]*signingRow
	keyTable    *dataset.Set
	keyRows     map[int]*keyRow
	ordered     []*keyRow // in the table's order
	disabled    []*signingRow

	domains    *dataset.Set // nil unless Domain is used
	domainKey  *keyRow
	subDomains bool

	notes []string
}

// Load reads the tables, and the keys while they are fewer than a thousand.
// The error joins every problem that makes the tables unusable, each with its
// place: a file that cannot be read, a syntax error, a row that names a key
// that is not there; of rows that is left to Options.SkipBadRows. A bad key, or a
// row with a value that cannot be used, disables itself alone and is listed by
// [Store.Disabled].
func Load(o Options, c *Cache) (*Store, error) {
	s := &Store{
		cache: c, multiple: o.MultipleSignatures, skipBad: o.SkipBadRows, subDomains: o.SubDomains, base: o.Base,
		unchanged: o.Unchanged,
		policy:    policy{safe: o.RequireSafeKeys, uid: o.UID, minBits: o.MinBits, maxBits: o.MaxBits},
	}
	if s.policy.minBits == 0 {
		s.policy.minBits = minRSABits
	}
	if s.policy.maxBits == 0 {
		s.policy.maxBits = maxRSABits
	}
	var err error
	switch {
	case o.KeyTable.IsSet() || o.SigningTable.IsSet():
		err = s.loadTables(o)
	case o.Domain.IsSet():
		err = s.loadDomain(o)
	}
	if err != nil {
		return nil, err
	}
	for _, note := range s.notes {
		c.log.Warn("signing tables", "note", note)
	}
	switch {
	case !o.Later:
		s.ReadKeys()
	case s.domainKey != nil:
		s.domainKey.held = true
		s.ReadKeys()
	}
	return s, nil
}

func (s *Store) loadTables(o Options) error {
	switch {
	case !o.KeyTable.IsSet():
		return errors.New("signing_table needs key_table: set both")
	case !o.SigningTable.IsSet():
		return errors.New("key_table needs signing_table: set both")
	}
	var err1, err2 error
	if s.keyTable, err1 = dataset.Open(o.KeyTable, dataset.Options{Base: o.Base, ExactCase: true}); err1 != nil {
		err1 = fmt.Errorf("key_table: %w", err1)
	}
	if s.signing, err2 = dataset.Open(o.SigningTable, dataset.Options{Base: o.Base}); err2 != nil {
		err2 = fmt.Errorf("signing_table: %w", err2)
	}
	if err := errors.Join(err1, err2); err != nil {
		return err
	}
	var problems []error
	problems = append(problems, s.parseKeyTable()...)
	problems = append(problems, s.parseSigningTable()...)
	return errors.Join(problems...)
}

func (s *Store) parseKeyTable() (problems []error) {
	s.keyRows = make(map[int]*keyRow, len(s.keyTable.Rows()))
	for _, row := range s.keyTable.Rows() {
		where := s.keyTable.Where(row)
		k, err := parseKeyRow(row.Key, row.Value, s.base)
		switch {
		case err != nil && s.skipBad:
			k = &keyRow{name: row.Key, bad: err}
		case err != nil:
			problems = append(problems, fmt.Errorf("key_table: %s: %w", where, err))
			continue
		}
		k.where = where
		s.keyRows[row.Line] = k
		s.ordered = append(s.ordered, k)
		if k.bad != nil {
			k.record(nil, nil, k.bad)
		}
	}
	s.notes = append(s.notes, s.keyTable.Notes()...)
	s.noteDuplicates(s.keyTable, "key_table")
	return problems
}

func (s *Store) parseSigningTable() (problems []error) {
	s.signingRows = make(map[int]*signingRow, len(s.signing.Rows()))
	folded := make(map[string]dataset.Row, len(s.keyTable.Rows()))
	for _, row := range s.keyTable.Rows() {
		folded[lowerASCII(row.Key)] = row
	}
	for _, row := range s.signing.Rows() {
		where := s.signing.Where(row)
		g, err := parseSigningRow(row.Value)
		switch {
		case err != nil && s.skipBad:
			g = &signingRow{bad: fmt.Errorf("%w: %w", ErrUnknownKey, err)}
		case err != nil:
			problems = append(problems, fmt.Errorf("signing_table: %s: %q: %w", where, row.Key, err))
			continue
		}
		g.where, g.everyDomain = where, everyDomain(row.Key)
		s.signingRows[row.Line] = g
		if g.bad != nil {
			s.disabled = append(s.disabled, g)
		}
		if g.keyName != ownDomain && g.keyName != "" {
			if g.key = s.findKey(g.keyName); g.key == nil {
				err := s.missing(g, folded)
				if !s.skipBad {
					problems = append(problems, fmt.Errorf("signing_table: %s %w", g.where, err))
					continue
				}
				g.bad = fmt.Errorf("%w: the row %w", ErrUnknownKey, err)
				s.disabled = append(s.disabled, g)
				continue
			}
			s.noteOutside(g)
		}
		s.notePattern(row, where)
	}
	s.notes = append(s.notes, s.signing.Notes()...)
	s.noteDuplicates(s.signing, "signing_table")
	return problems
}

// findKey returns the row of KeyTable for a name, nil if there is none, and
// for a row that had a syntax error a stand-in.
func (s *Store) findKey(name string) *keyRow {
	row, ok := s.keyTable.Get(name)
	if !ok {
		return nil
	}
	if k := s.keyRows[row.Line]; k != nil {
		return k
	}
	return &keyRow{name: name}
}

// missing says, behind the place of a row, that its key is not in KeyTable.
// folded is the table by names without regard to case.
func (s *Store) missing(g *signingRow, folded map[string]dataset.Row) error {
	if row, ok := folded[lowerASCII(g.keyName)]; ok {
		return fmt.Errorf("names the key %q, but %s calls it %q: letter case counts in names of keys",
			clip(g.keyName), s.keyTable.Where(row), clip(row.Key))
	}
	return fmt.Errorf("names the key %q, which key_table (%s) does not have: add a row %q there, or correct the name",
		clip(g.keyName), s.keyTable.Source(), clip(g.keyName)+" DOMAIN:SELECTOR:PATH")
}

// ReadKeys reads and proves all keys that are known by name, unless they are
// too many. A key that several rows name is read once. It is for stores that
// were loaded with Options.Later; Load has done it for others.
func (s *Store) ReadKeys() {
	bySource := map[source][]*keyRow{}
	for _, k := range s.ordered {
		if k.bad == nil && !k.perDomain() {
			src := s.source(k, k.domain)
			bySource[src] = append(bySource[src], k)
		}
	}
	if len(bySource) >= eagerKeys {
		return
	}
	work := make(chan source)
	var wg sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			for src := range work {
				rows := bySource[src]
				domain := rows[0].domain
				if domain == ownDomain {
					domain = "example.com"
				}
				key, stale, err := s.signer(src, domain, rows[0].selector, true)
				for _, k := range rows {
					k.record(key, stale, err)
				}
			}
		})
	}
	for src := range bySource {
		work <- src
	}
	close(work)
	wg.Wait()
}

func (s *Store) source(k *keyRow, domain string) source {
	return source{path: k.file(domain), inline: k.inline, policy: s.policy, held: k.held}
}
