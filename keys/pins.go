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

func (p *pins) get(path string) (content digest, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	content, ok = p.content[path]
	return content, ok
}

func (p *pins) set(path string, content digest) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.content == nil {
		p.content = map[string]digest{}
	}
	p.content[path] = content
}

var errAhead = errors.New("the file has another key, and the configuration has changed with it: the new key is used once that is loaded")

// signer returns the key of a source, as Cache.signer does. A key file that has
// another key than before may be one of many files that were put elsewhere together,
// tables and their selectors among them. The new key is used if the rest is still
// as this store read it; else the one from before is, until the rest is read, too.
// So it is when the tables were read, and this store is the old one, for mail that
// began with it.
func (s *Store) signer(src source, domain, selector string, loading bool) (crypto.Signer, error, error) {
	key, stale, err := s.cache.signer(src, domain, selector, loading)
	if src.path == "" {
		return key.Signer, stale, err
	}
	content, pinned := s.pins.get(src.path)
	if !pinned || err == nil && key.content == content {
		if err == nil && !pinned {
			s.pins.set(src.path, key.content)
		}
		return key.Signer, stale, err
	}
	if err == nil && (s.unchanged == nil || s.unchanged()) {
		s.pins.set(src.path, key.content)
		return key.Signer, stale, nil
	}
	if err == nil {
		err = errAhead
	}
	if before := s.cache.known(content); before != nil {
		return before, err, nil
	}
	return nil, nil, err
}
