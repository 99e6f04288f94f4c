package milter

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/postseal/postseal/config"
	"github.com/postseal/postseal/keys"
	"github.com/postseal/postseal/keys/ledger"
	"github.com/postseal/postseal/keys/published"
	"github.com/postseal/postseal/milter/dkim"
	"github.com/postseal/postseal/milter/monitor"
	"github.com/postseal/postseal/milter/resolver"
)

const (
	// askEvery is the time between two questions to DNS.
	askEvery = time.Second
	// publishedAgain is when a key that is published is asked for again, otherAgain
	// when any other is.
	publishedAgain = 10 * time.Minute
	otherAgain     = time.Minute
	// listAgain is how often it is looked which keys there are under one
	// configuration: a file gets another key, or one is read that was not.
	listAgain = 30 * time.Second
)

// publishing watches whether DNS publishes the configured keys.
type publishing struct {
	log      *slog.Logger
	snapshot func() *Snapshot
	rotation *rotationStates
	now      func() time.Time

	// Of the goroutine that asks.
	listed   *Snapshot // whose keys are in order
	listedAt time.Time

	mu    sync.Mutex
	order []*publication // of the configuration
	known map[publicKey]*publication
}

// publicKey is a key at its place in DNS.
type publicKey struct{ domain, selector, record string }

// publication is what is known of a key in DNS.
type publication struct {
	key     keys.KeyInfo
	rows    int // of the configuration that have it
	due     time.Time
	state   monitor.Publication
	finding string
	asked   time.Time
	alarmed bool // the log was told that it is not published
	quiet   bool // no mail needs it: nothing is amiss where it is not published
	// withheld: it does not sign while it is not published.
	withheld bool
}

func newPublishing(log *slog.Logger, snapshot func() *Snapshot, now func() time.Time) *publishing {
	return &publishing{log: log, snapshot: snapshot, rotation: new(rotationStates), now: now}
}

// runEvery is run with a tick as often as DNS may be asked; nil asks nothing.
func (p *publishing) runEvery(ctx context.Context) {
	if p == nil {
		return
	}
	ticker := time.NewTicker(askEvery)
	defer ticker.Stop()
	p.run(ctx, ticker.C)
}

// run asks for one key after the other, one question a tick, until ctx ends.
func (p *publishing) run(ctx context.Context, ticks <-chan time.Time) {
	wait := 0
	for {
		select {
		case <-ticks:
			if wait--; wait < 0 {
				wait = p.step(ctx) - 1
			}
		case <-ctx.Done():
			return
		}
	}
}

// step asks for the key whose turn it is, if there is one, and returns how many
// questions that took.
func (p *publishing) step(ctx context.Context) (questions int) {
	s, now := p.snapshot(), p.now()
	if s != p.listed || now.Sub(p.listedAt) >= listAgain {
		p.list(s)
		p.listed, p.listedAt = s, now
	}
	next := p.next(now)
	if next == nil {
		return 0
	}
	asked := &asker{Resolver: s.resolver}
	if client, ok := s.resolver.(*resolver.Client); ok {
		asked.Resolver = resolver.Anew{Client: client}
	}
	state, finding := ask(ctx, asked, next.key)
	if ctx.Err() == nil {
		p.note(next, state, finding)
	}
	return asked.questions
}

// list takes the keys of a configuration. What is known of those that stay is kept.
func (p *publishing) list(s *Snapshot) {
	var infos []keys.KeyInfo
	if unasked(s) == "" {
		infos = p.rotation.mark(s, s.FirstKeys(s.KeyCount()))
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	old := p.known
	p.order, p.known = nil, map[publicKey]*publication{}
	for _, info := range infos {
		id, ok := identify(info)
		if !ok {
			continue
		}
		one := p.known[id]
		if one == nil {
			if one = old[id]; one == nil {
				one = &publication{state: monitor.Unknown}
			}
			one.key, one.rows, one.quiet = info, 0, true
			p.known[id] = one
			p.order = append(p.order, one)
		}
		one.rows++
		one.withheld = s.cfg.UnpublishedKeys != config.SignUnpublished
		one.quiet = one.quiet && info.Unused && info.Rotation != string(ledger.Retiring)
	}
}

// identify names a key at its place in DNS; ok is false where it has no certain
// place, or was not read.
func identify(k keys.KeyInfo) (id publicKey, ok bool) {
	if k.Public == nil || k.Domain == "%" {
		return id, false
	}
	return publicKey{k.Domain, k.Selector, keys.RecordText(k.Public)}, true
}

// unasked says why DNS is not asked about the keys of a configuration, "" if it is.
func unasked(s *Snapshot) string {
	switch most, n := s.cfg.MonitorKeys, s.KeyCount(); {
	case most == 0:
		return "DNS is not asked whether it publishes the keys: monitor_keys = 0."
	case n > most:
		return fmt.Sprintf("DNS is not asked whether it publishes the keys: there are %d, more than monitor_keys = %d.", n, most)
	}
	return ""
}

// next is the key that has been due for longest, a new one before all others; nil if
// none is due.
func (p *publishing) next(now time.Time) (next *publication) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, one := range p.order {
		if !one.due.After(now) && (next == nil || one.due.Before(next.due)) {
			next = one
		}
	}
	return next
}

// note keeps what DNS says of a key, and tells the log of a key that is not
// published, once, and when it is again. Trouble with DNS says nothing of a key.
func (p *publishing) note(one *publication, state monitor.Publication, f published.Finding) {
	now := p.now()
	p.mu.Lock()
	one.state, one.finding, one.asked, one.due = state, f.Text, now, now.Add(otherAgain)
	was := one.alarmed
	switch state {
	case monitor.Published:
		one.due = now.Add(publishedAgain)
		one.alarmed = false
	case monitor.Missing, monitor.Different:
		one.alarmed = !one.quiet
	}
	is := one.alarmed
	p.mu.Unlock()
	switch attrs := []any{"key", one.key.Name, "domain", one.key.Domain, "selector", one.key.Selector}; {
	case is && !was:
		told := "DNS does not publish a key as it signs: receivers cannot verify its signatures"
		if one.withheld {
			told = "DNS does not publish a key, and unpublished_keys keeps it from signing"
		}
		p.log.Warn(told,
			append(attrs, "state", string(state), "finding", f.Text, "fix", f.Fix)...)
	case was && !is && state == monitor.Published:
		p.log.Info("DNS publishes a key again", attrs...)
	}
}

// ask looks for a key in DNS. The finding is what is worst, if there is anything to
// say. What stands in DNS is others' text: a panic over it is no reason to end.
func ask(ctx context.Context, r dkim.Resolver, k keys.KeyInfo) (state monitor.Publication, worst published.Finding) {
	defer func() {
		if p := recover(); p != nil {
			state, worst = monitor.Unknown, published.Finding{Text: fmt.Sprintf("The record could not be read: panic: %v.", p)}
		}
	}()
	report := published.Check(ctx, r, k.Domain, k.Selector, k.Public)
	for _, level := range []published.Level{published.Note, published.Warning, published.Problem} {
		for _, f := range report.Findings {
			if f.Level == level && worst.Level != level {
				worst = f
			}
		}
	}
	switch {
	case report.Has(published.LookupFailed):
		state = monitor.Unknown
	case len(report.Records) == 0:
		state = monitor.Missing
	case report.Same && report.Usable():
		state = monitor.Published
	default:
		state = monitor.Different
	}
	return state, worst
}

// asker counts questions.
type asker struct {
	dkim.Resolver
	questions int
}

// LookupTXT implements dkim.Resolver.
func (c *asker) LookupTXT(ctx context.Context, name string) ([]string, bool, error) {
	c.questions++
	return c.Resolver.LookupTXT(ctx, name)
}

// about is what is known of a key; nil knows nothing.
func (p *publishing) about(k keys.KeyInfo) (state monitor.Publication, finding string, asked time.Time) {
	if p == nil {
		return monitor.Unknown, "", time.Time{}
	}
	id, _ := identify(k)
	p.mu.Lock()
	defer p.mu.Unlock()
	if one := p.known[id]; one != nil {
		return one.state, one.finding, one.asked
	}
	return monitor.Unknown, "", time.Time{}
}

// count counts rows of the configuration by what DNS says of their keys, of so many
// all in all. Every state is in it; keys that no mail needs are unknown where they are
// not published.
func (p *publishing) count(all int) map[monitor.Publication]int {
	counts := map[monitor.Publication]int{monitor.Unknown: all, monitor.Published: 0, monitor.Missing: 0, monitor.Different: 0}
	if p == nil {
		return counts
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, one := range p.order {
		if one.quiet && one.state != monitor.Published {
			continue
		}
		counts[monitor.Unknown] -= one.rows
		counts[one.state] += one.rows
	}
	counts[monitor.Unknown] = max(counts[monitor.Unknown], 0) // the configuration changes meanwhile
	return counts
}
