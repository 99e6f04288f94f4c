package milter

import (
	"cmp"
	"context"
	"crypto"
	"crypto/sha256"
	"errors"
	"slices"
	"strings"
	"sync"

	"github.com/postseal/postseal/config"
	"github.com/postseal/postseal/keys"
	"github.com/postseal/postseal/milter/dkim"
	"github.com/postseal/postseal/milter/monitor"
)

// maxSightings is of how many keys is remembered what DNS showed: more than tables
// have, but a row for every domain has as many keys as mail has domains.
const maxSightings = 200_000

// Sightings remembers what DNS showed last of keys that sign. The zero value
// remembers nothing yet; it is safe for concurrent use.
//
// Whether an answer is still good is for the resolver to know, which is asked each
// time and remembers answers as long as they last. What an answer means for a key is
// found out once, until another answer comes.
type Sightings struct {
	mu    sync.Mutex
	known map[sight]sighting
}

// sight is a key by its name in the tables, with the name of its DNS record.
type sight struct{ key, record string }

type digest [sha256.Size]byte

// sighting is what an answer means for a key.
type sighting struct {
	public, answer digest
	state          monitor.Publication
	why            string // it is not published, in a sentence
}

// WithheldKey is a key that did not sign when mail last needed it, because DNS does
// not show it.
type WithheldKey struct {
	Name   string `json:"name"`
	Record string `json:"record"` // the name of its DNS record
	Why    string `json:"why"`
}

// maxWithheld is how many keys are told of.
const maxWithheld = 1000

// Withheld are the keys that DNS did not show when mail last needed them, at most
// maxWithheld, in order.
func (v *Sightings) Withheld() (list []WithheldKey) {
	v.mu.Lock()
	for id, seen := range v.known {
		if len(list) < maxWithheld && seen.state != monitor.Published {
			list = append(list, WithheldKey{id.key, id.record, seen.why})
		}
	}
	v.mu.Unlock()
	slices.SortFunc(list, func(a, b WithheldKey) int {
		return cmp.Or(strings.Compare(a.Name, b.Name), strings.Compare(a.Record, b.Record))
	})
	return list
}

// Withhold says why the key of a request, with the public half pub, does not sign as
// unpublished_keys has it, nil if it does. ctx bounds the look-up. While DNS gives no
// answer the last one counts.
func (v *Sightings) Withhold(ctx context.Context, s *Snapshot, r keys.Request, pub crypto.PublicKey) *Reason {
	if s.cfg.UnpublishedKeys == config.SignUnpublished {
		return nil
	}
	switch state, why := v.look(ctx, s.resolver, r, pub); state {
	case monitor.Published:
		return nil
	case monitor.Unknown:
		return &Reason{ReasonKeyUnseen, []string{r.KeyName, why}}
	default:
		return &Reason{ReasonKeyUnpublished, []string{r.KeyName, why}}
	}
}

// Withheld says of each configured key, as far as monitor_keys has them asked about,
// why it does not sign as unpublished_keys has it. ctx bounds the look-ups.
func (s *Snapshot) Withheld(ctx context.Context) (withheld []Reason) {
	if s.cfg.UnpublishedKeys == config.SignUnpublished {
		return nil
	}
	for _, info := range s.FirstKeys(min(s.cfg.MonitorKeys, s.KeyCount())) {
		if _, ok := identify(info); !ok || ctx.Err() != nil {
			continue
		}
		switch state, f := ask(ctx, s.resolver, info); state {
		case monitor.Published:
		case monitor.Unknown:
			withheld = append(withheld, because(ReasonKeyUnseen, info.Name, f.Text))
		default:
			withheld = append(withheld, because(ReasonKeyUnpublished, info.Name, f.Text))
		}
	}
	return withheld
}

// look finds out what DNS shows of a key.
func (v *Sightings) look(ctx context.Context, resolver dkim.Resolver, r keys.Request, pub crypto.PublicKey) (monitor.Publication, string) {
	name := keyName{r.Selector, r.Domain}.dns()
	id, public := sight{r.KeyName, name}, digestOf(keys.RecordText(pub))
	txt, authentic, err := resolver.LookupTXT(ctx, name)
	v.mu.Lock()
	last, seen := v.known[id]
	v.mu.Unlock()
	seen = seen && last.public == public // and not of the key that was there before
	switch answer := digestOf(txt...); {
	case err != nil && !seen:
		return monitor.Unknown, err.Error()
	case err != nil, seen && last.answer == answer:
		return last.state, last.why
	default:
		state, f := ask(ctx, oneAnswer{name, txt, authentic}, keys.KeyInfo{Domain: r.Domain, Selector: r.Selector, Public: pub})
		last = sighting{public, answer, state, f.Text}
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.known == nil {
		v.known = map[sight]sighting{}
	}
	for other := range v.known {
		if len(v.known) < maxSightings {
			break
		}
		delete(v.known, other)
	}
	v.known[id] = last
	return last.state, last.why
}

// digestOf tells texts apart, and where one ends.
func digestOf(texts ...string) (d digest) {
	h := sha256.New()
	for _, t := range texts {
		one := sha256.Sum256([]byte(t))
		h.Write(one[:])
	}
	h.Sum(d[:0])
	return d
}

// oneAnswer is what DNS said of one name; of others it knows nothing.
type oneAnswer struct {
	name      string
	txt       []string
	authentic bool
}

// LookupTXT implements dkim.Resolver.
func (o oneAnswer) LookupTXT(_ context.Context, name string) ([]string, bool, error) {
	if name != o.name {
		return nil, false, errors.New("not asked")
	}
	return slices.Clone(o.txt), o.authentic, nil
}

// mayNotSign reports whether unpublished_keys withholds a key from the message, and
// whether the message ends with that. A row that is skipped is as if it were not
// there. ctx bounds the look-up.
func (m *message) mayNotSign(ctx context.Context, r keys.Request, key crypto.Signer) (withheld, final bool) {
	cfg := m.snapshot.cfg
	why := m.session.server.sightings.Withhold(ctx, m.snapshot, r, key.Public())
	if why == nil {
		return false, false
	}
	m.decision.Reasons = append(m.decision.Reasons, *why)
	switch {
	case cfg.UnpublishedKeys == config.SkipUnpublished:
	case why.Code == ReasonKeyUnseen:
		final = m.settle(cfg.OnDNSError)
	default:
		final = m.settle(config.Tempfail)
	}
	return true, final
}

// nobodySigns ends a message that keys should sign, and none may. What was in the way
// for the time being defers it, by default; else it leaves unsigned, and the log
// warns of it.
func (m *message) nobodySigns() reply {
	cfg := m.snapshot.cfg
	unseen := func(r Reason) bool { return r.Code == ReasonKeyUnseen }
	m.decision.Warn = true
	switch {
	case m.decision.rowError != nil:
		m.decision.rowFails(m.decision.rowError)
		m.settle(cfg.OnInternalError)
	case cfg.UnpublishedKeys == config.SkipUnpublished && slices.ContainsFunc(m.decision.Reasons, unseen):
		m.settle(cfg.OnDNSError)
	}
	return m.dispose(m.outcome.disposition)
}
