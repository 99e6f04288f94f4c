package keys

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/postseal/postseal/config/dataset"
	"github.com/postseal/postseal/milter/dkim"
)

// loadDomain reads Domain, Selector and KeyFile, which stand in place of tables.
func (s *Store) loadDomain(o Options) error {
	if o.KeyFile == "" || o.Selector == "" {
		return errors.New("domain needs key_file and selector: set all three, or use key_table and signing_table")
	}
	var err error
	if s.domains, err = dataset.Open(o.Domain, dataset.Options{Base: o.Base}); err != nil {
		return fmt.Errorf("domain: %w", err)
	}
	s.notes = append(s.notes, s.domains.Notes()...)
	s.domainKey = &keyRow{
		name: "key_file", domain: ownDomain, selector: o.Selector, path: under(o.Base, o.KeyFile), last: new(atomic.Pointer[reading]),
	}
	if _, err := dkim.DomainName(o.Selector); err != nil {
		return fmt.Errorf("selector: %w", err)
	}
	if s.domains.Walkable() {
		for _, row := range s.domains.Rows() {
			if row.Key != allDomains {
				s.listed = append(s.listed, row.Key)
			}
		}
	}
	return nil
}

// selectDomain is Select without tables.
func (s *Store) selectDomain(f sender) ([]Request, error) {
	entry, ok := s.listedDomain(f)
	if !ok {
		return nil, nil
	}
	r := Request{KeyName: s.domainKey.name, Row: "domain", Selector: s.domainKey.selector, key: s.domainKey, store: s}
	if entry == allDomains || slices.Contains(f.forms, entry) {
		r.Domain = f.ascii
		if f.err != nil {
			return nil, f.err
		}
		return []Request{r}, nil
	}
	ascii, err := dkim.DomainName(entry)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrSender, err)
	}
	r.Domain, r.AUID = ascii, "@"+ascii
	return []Request{r}, nil
}

// allDomains is an entry of Domain.
const allDomains = "*"

// listedDomain finds what Domain has for a sender: its own domain, "*", or,
// with SubDomains, the nearest parent.
func (s *Store) listedDomain(f sender) (entry string, ok bool) {
	for _, domain := range append(slices.Clone(f.forms), allDomains) {
		if _, ok := s.domains.Get(domain); ok {
			return domain, true
		}
	}
	if !s.subDomains {
		return "", false
	}
	for _, domain := range f.forms {
		for _, parent, ok := strings.Cut(domain, "."); ok; _, parent, ok = strings.Cut(parent, ".") {
			if _, ok := s.domains.Get(parent); ok {
				return parent, true
			}
		}
	}
	return "", false
}
