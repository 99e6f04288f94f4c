package keys

import (
	"crypto"
	"errors"
	"sync"
)

// pins are what the key files of a store had in them when it first read each. They
// outlive the keys themselves in the cache, which are larger.
type pins struct {
	mu      sync.Mutex
	content map[string]digest // by path
}

// get is zero, which no file has in it, for one that was not read.
func (p *pins) get(path string) digest {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.content[path]
}

func (p *pins) set(path string, content digest) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.content == nil {
		p.content = map[string]digest{}
	}
	p.content[path] = content
}

var errAhead = errors.New("the file has another key, and the configuration has changed with it: the new key is used from the next reload on")

// signer returns the key of a source, as Cache.signer does. A key file that has
// another key than before may be one of many files that were put elsewhere together,
// tables and their selectors among them. The new key is used if the rest is still
// as this store read it; else the one from before is, until the rest is read, too.
// So it is when the tables were read, and this store is the old one, for mail that
// began with it.
func (s *Store) signer(src source, domain, selector string, loading bool) (key crypto.Signer, stale, err error) {
	found, stale, err := s.cache.signer(src, domain, selector, loading)
	if src.path == "" {
		return found.Signer, stale, err
	}
	before := s.pins.get(src.path)
	switch {
	case err != nil:
	case found.content == before:
		return found.Signer, stale, nil
	case before == digest{}, s.unchanged == nil, s.unchanged():
		s.pins.set(src.path, found.content)
		return found.Signer, stale, nil
	default:
		err = errAhead
		s.ahead.Do(func() {
			s.cache.log.Info("a key file has changed together with the configuration; until that is loaded, mail is signed with the key from before", "path", src.path)
		})
	}
	if key := s.cache.known(before); key != nil {
		return key, err, nil
	}
	return nil, nil, err
}
