// Package keys says who signs with what: it reads SigningTable and KeyTable,
// private keys and their files' safety, keeps proven keys between reloads, and
// makes keys and the text of their DNS records.
//
// A [Store] is one immutable reading of the tables. Selecting rows touches no
// file; a key is read, checked and proven when the tables are loaded while the
// keys are few, else when it first signs.
package keys

import (
	"runtime"
	"sync"
	"sync/atomic"

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
	// Outside, if not nil, says why this process keeps itself from reading a file
	// whatever its user may, nil if it does not.
	Outside func(path string) error
	// Previous, if not nil, is the store before this one: tables that are as they
	// were are in memory once.
	Previous *Store
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
	ahead    sync.Once // the log is told of the first key that is ahead of the tables
	// unchanged and outside are those of Options.
	unchanged func() bool
	outside   func(path string) error

	// The rows of the tables are kept as they are written, and taken apart when
	// they are needed: there may be a hundred thousand.
	signing  *dataset.Set // nil without tables
	keyTable *dataset.Set
	states   []atomic.Pointer[reading] // of the keys, by row; nil is unread
	unusable *reading                  // stands in states for a row that cannot be used
	disabled []dataset.Row             // of SigningTable
	named    []bool                    // by SigningTable, by row of KeyTable; nil where all may be
	folded   func() map[string]int     // rows of KeyTable by name without regard to case

	domains    *dataset.Set // nil unless Domain is used
	domainKey  *keyRow
	listed     []string // of domains, those with a name
	subDomains bool

	many  bool // keys are read when they first sign
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
		unchanged: o.Unchanged, outside: o.Outside,
		policy: policy{safe: o.RequireSafeKeys, uid: o.UID, minBits: o.MinBits, maxBits: o.MaxBits, accounts: c.accounts},
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

// ReadKeys reads and proves all keys that are known by name, unless they are
// too many. A key that several rows name is read once. It is for stores that
// were loaded with Options.Later; Load has done it for others.
func (s *Store) ReadKeys() {
	bySource := map[source][]*keyRow{}
	for k := range s.keyRows() {
		if k.bad != nil || k.perDomain() {
			continue
		}
		src := s.source(k, k.domain)
		bySource[src] = append(bySource[src], k)
		if s.many = len(bySource) >= eagerKeys; s.many {
			return
		}
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
					s.record(k, key, stale, err)
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
