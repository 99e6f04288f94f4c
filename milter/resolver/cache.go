package resolver

import (
	"container/list"
	"sync"
	"time"
)

const (
	maxPositiveTTL = time.Hour
	maxNegativeTTL = 5 * time.Minute
	// failureTTL keeps a storm of mail from asking a dead nameserver again for
	// each message (RFC 2308 §7 allows up to five minutes).
	failureTTL = 5 * time.Second
	// maxCacheBytes bounds names and records together.
	maxCacheBytes = 16 << 20
	// entryOverhead is about what an entry costs beside its text.
	entryOverhead = 256
)

// answer is what a look-up found. It is never changed once it is shared.
type answer struct {
	txt       []string
	authentic bool
	err       error
	ttl       time.Duration // not cached when zero
}

// cache remembers answers by canonical name: the least recently used go first.
type cache struct {
	now      func() time.Time
	entries  int
	maxBytes int

	mu    sync.Mutex
	bytes int
	byKey map[string]*list.Element
	order *list.List // of *entry, most recently used first
}

type entry struct {
	key     string
	answer  *answer
	expires time.Time
	size    int
}

func newCache(entries int, now func() time.Time) *cache {
	return &cache{now: now, entries: entries, maxBytes: maxCacheBytes, byKey: make(map[string]*list.Element), order: list.New()}
}

func (c *cache) get(key string) (*answer, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	el, ok := c.byKey[key]
	if !ok {
		return nil, false
	}
	e := el.Value.(*entry)
	if !c.now().Before(e.expires) {
		c.remove(el)
		return nil, false
	}
	c.order.MoveToFront(el)
	return e.answer, true
}

func (c *cache) put(key string, a *answer) {
	if a.ttl <= 0 || c.entries == 0 {
		return
	}
	e := &entry{key: key, answer: a, expires: c.now().Add(a.ttl), size: entryOverhead + len(key)}
	for _, s := range a.txt {
		e.size += len(s)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if old, ok := c.byKey[key]; ok {
		c.remove(old)
	}
	c.byKey[key] = c.order.PushFront(e)
	c.bytes += e.size
	for c.order.Len() > c.entries || c.bytes > c.maxBytes {
		c.remove(c.order.Back())
	}
}

func (c *cache) remove(el *list.Element) {
	e := c.order.Remove(el).(*entry)
	delete(c.byKey, e.key)
	c.bytes -= e.size
}
