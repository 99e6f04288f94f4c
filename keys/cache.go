package keys

import (
	"container/list"
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"
)

// DefaultCapacity is how many keys a Cache keeps if it is not told.
const DefaultCapacity = 10_000

// Cache keeps parsed and proven keys, by the content of their files, and what
// it saw of each file. It outlives the stores that use it, so that a reload
// proves only what changed. It is safe for concurrent use.
type Cache struct {
	prove func(domain, selector string, key crypto.Signer) error
	log   *slog.Logger
	read  func(path string, p policy) (*content, error)
	now   func() time.Time
	// accounts are for the safety of key files.
	accounts *copies

	mu       sync.Mutex
	contents lru[digest, *proven]
	files    lru[fileRef, *fileState]
}

// NewCache makes a cache of at most capacity keys (DefaultCapacity if it is
// not positive). prove signs a probe with a key and has an independent
// implementation verify it; a key signs only once that has returned nil. log
// is told of unsafe files that are allowed, of bad replacements, and of keys that
// turn out bad when they first sign.
func NewCache(capacity int, prove func(domain, selector string, key crypto.Signer) error, log *slog.Logger) *Cache {
	if capacity <= 0 {
		capacity = DefaultCapacity
	}
	return &Cache{
		prove: prove, log: log, read: readKeyFile, now: time.Now, accounts: newCopies(),
		contents: newLRU[digest, *proven](capacity),
		files:    newLRU[fileRef, *fileState](capacity),
	}
}

// RememberAccounts is for a process that is about to keep itself from reading
// files: which users and groups there are, it takes from what it reads now, once
// it cannot read who there is.
func (c *Cache) RememberAccounts() {
	a := systemAccounts()
	_, _ = c.accounts.get(a.passwd) // one that cannot be read now is an error
	_, _ = c.accounts.get(a.group)  // of the key that it is needed for
}

// policy is what a store asks of keys.
type policy struct {
	safe             bool
	uid              int
	minBits, maxBits int
	accounts         *copies // nil: as the system has them at the moment
}

// check refuses RSA keys outside of the bounds (RFC 8301 §3.2).
func (p policy) check(key crypto.Signer) error {
	pub, ok := key.Public().(*rsa.PublicKey)
	if !ok {
		return nil
	}
	switch bits := pub.N.BitLen(); {
	case bits < p.minBits:
		return fmt.Errorf("%w: RSA of %d bits, at least %d are needed (minimum_key_bits): make a new one with postseal genkey", ErrKeySize, bits, p.minBits)
	case bits > p.maxBits:
		return fmt.Errorf("%w: RSA of %d bits, at most %d are allowed (maximum_key_bits)", ErrKeySize, bits, p.maxBits)
	}
	return nil
}

// Errors of keys that are well-formed and yet not used.
var (
	ErrKeySize = errors.New("key size")
	// ErrNotProven wraps what the proof of a key said.
	ErrNotProven = errors.New("the key signed a probe that did not verify")
)

// source is where a key comes from: a file, or the table itself.
type source struct {
	path, inline string
	policy       policy
	held         bool
}

// signer returns the key of a source. stale is why the key is one from before,
// while the file has none that can be used. A file that is bad is logged, once
// for each state that it is in, unless the tables are loading.
func (c *Cache) signer(src source, domain, selector string, loading bool) (key usable, stale, err error) {
	if src.path != "" {
		return c.fromFile(fileRef{src.path, src.policy, src.held}, domain, selector, loading)
	}
	key, err = c.fromBytes([]byte(src.inline), src.policy, domain, selector)
	return key, nil, err
}

// proven is a key on its way from bytes to proof. Each step is taken once,
// whoever asks first; others wait.
type proven struct {
	parse, probe       sync.Once
	key                crypto.Signer
	parseErr, probeErr error
	passed             atomic.Bool // the key is there, and proven
}

// digest names the content of a key file.
type digest [sha256.Size]byte

// usable is a proven key, and what it was read from.
type usable struct {
	crypto.Signer
	content digest
}

// known returns the proven key of a content, nil if it is not kept any more.
func (c *Cache) known(content digest) crypto.Signer {
	c.mu.Lock()
	defer c.mu.Unlock()
	if p, ok := c.contents.find(content); ok && p.passed.Load() {
		return p.key
	}
	return nil
}

// fromBytes returns the key in data, and makes data zero.
func (c *Cache) fromBytes(data []byte, p policy, domain, selector string) (usable, error) {
	defer clear(data)
	sum := digest(sha256.Sum256(data))
	c.mu.Lock()
	e := c.contents.get(sum, func() *proven {
		// What stays if a step panics.
		return &proven{parseErr: ErrNoPrivateKey, probeErr: ErrNotProven}
	})
	c.mu.Unlock()
	e.parse.Do(func() {
		e.key, e.parseErr = ParsePrivate(data)
		e.key = accelerate(e.key, c.log)
	})
	if e.parseErr != nil {
		return usable{}, e.parseErr
	}
	if err := p.check(e.key); err != nil {
		return usable{}, err
	}
	e.probe.Do(func() {
		err := c.prove(domain, selector, e.key)
		if err != nil {
			err = fmt.Errorf("%w: %w", ErrNotProven, err)
		}
		e.probeErr = err
		e.passed.Store(err == nil)
	})
	if e.probeErr != nil {
		return usable{}, e.probeErr
	}
	return usable{e.key, sum}, nil
}

// lru is a map of bounded size that forgets what was not asked for longest.
type lru[K comparable, V any] struct {
	capacity int
	byKey    map[K]*list.Element
	order    *list.List // of lruItem, the newest in front
}

type lruItem[K comparable, V any] struct {
	key   K
	value V
}

func newLRU[K comparable, V any](capacity int) lru[K, V] {
	return lru[K, V]{capacity: capacity, byKey: map[K]*list.Element{}, order: list.New()}
}

// find returns the value of key, if there is one.
func (l *lru[K, V]) find(key K) (value V, ok bool) {
	e, ok := l.byKey[key]
	if !ok {
		return value, false
	}
	l.order.MoveToFront(e)
	return e.Value.(lruItem[K, V]).value, true
}

// get returns the value of key, made by fresh if there is none.
func (l *lru[K, V]) get(key K, fresh func() V) V {
	if value, ok := l.find(key); ok {
		return value
	}
	value := fresh()
	l.byKey[key] = l.order.PushFront(lruItem[K, V]{key, value})
	if l.order.Len() > l.capacity {
		last := l.order.Back()
		delete(l.byKey, l.order.Remove(last).(lruItem[K, V]).key)
	}
	return value
}
