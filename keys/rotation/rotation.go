package rotation

import (
	"context"
	"reflect"
	"slices"
	"sync"
	"time"

	"github.com/postseal/postseal/config/dataset"
	"github.com/postseal/postseal/keys/ledger"
	"golang.org/x/sync/errgroup"
)

// Rotation is what it takes to lead the keys of one configuration.
type Rotation struct {
	// KeyTable and SigningTable are the configuration's, and Base is where its relative
	// paths start.
	KeyTable, SigningTable dataset.Spec
	Base                   string
	// Ledger keeps what is known of keys.
	Ledger *ledger.Ledger
	// DNS shows records and takes them.
	DNS DNS
	// Daemon uses the tables; nil for none.
	Daemon Daemon
	// Owner is the user whose new keys are, by number; -1 for the user who asks.
	Owner int
	// Keep is how long the record of a key stays after its last signature.
	Keep time.Duration
	// Now is the clock.
	Now func() time.Time
	// Seen is what name servers have shown of keys in the last run, by name in key_table.
	Seen map[string]View

	// acted is told of each action that was done, before that is kept; an error ends the
	// run there. Tests stop it so.
	acted func(Action) error
}

// DNS is the records of keys.
type DNS interface {
	// Look says what the name servers of its domain show of a key that is made. An
	// error says that nobody could be asked.
	Look(ctx context.Context, k ledger.Key) (View, error)
	// Taken reports whether anything stands at a name.
	Taken(ctx context.Context, name string) bool
	// Publish, Revoke and Withdraw change the record of a key; handed is false where that
	// is left to a person. Each may be called again.
	Publish(ctx context.Context, k ledger.Key) (handed bool, err error)
	Revoke(ctx context.Context, k ledger.Key) (handed bool, err error)
	Withdraw(ctx context.Context, k ledger.Key) (handed bool, err error)
}

// View is what name servers show of a key.
type View struct {
	Shown    Shown
	Anywhere bool
	// TTL is for how long resolvers may remember it; where not all show the key, what those
	// say that do not.
	TTL time.Duration
	// Why says in words why they do not all show it.
	Why string
	// Alias is where the name of an old key's record leads (CNAME): who keeps that is the
	// one to change the record.
	Alias string
}

// Daemon uses the tables.
type Daemon interface {
	// Ready says why the daemon could not sign with a key of key_table; nil if it can, or
	// if no daemon runs.
	Ready(ctx context.Context, name string) error
	// Reload has it read the tables anew; note is what a person has to do beside that,
	// as where no daemon runs.
	Reload(ctx context.Context) (note string, err error)
}

// Event is something that a run has done or found.
type Event struct {
	Key ledger.Key
	// From is the state that the key was in, where it has changed.
	From ledger.State
	// Action is what was done or is to be told; "" for a change of state alone.
	Action Action
	// Handed: DNS has got the record; otherwise a person has to see to it.
	Handed bool
	// Note is what is worth saying beside it.
	Note string
	// Err says why the action failed: the key stays as it was, and the next run tries
	// again.
	Err error
}

// lookAtOnce is how many keys are looked for in DNS at the same time.
const lookAtOnce = 8

// mostRounds bounds the steps of one run: a key goes from its making to its end in less.
const mostRounds = 10

// run is one Advance.
type run struct {
	*Rotation
	tables *tables // nil: to be read
	done   map[string]bool
	failed map[string]bool
	events []Event
}

// Advance does for the keys of domains whatever is due now, and tells what it did and
// found. An error means that the tables or the ledger could not be read or written; what
// concerns one key alone is in its event, and the others go on.
func (r *Rotation) Advance(ctx context.Context, domains ...string) ([]Event, error) {
	w := r.newRun(ctx, domains)
	for _, d := range domains {
		for range mostRounds {
			if moved, err := w.round(ctx, d); err != nil || !moved {
				if err != nil {
					return w.events, err
				}
				break
			}
		}
	}
	return w.events, nil
}

// newRun looks for all the keys of domains at first, many at once.
func (r *Rotation) newRun(ctx context.Context, domains []string) *run {
	w := &run{Rotation: r, done: map[string]bool{}, failed: map[string]bool{}}
	r.Seen = map[string]View{}
	var all []ledger.Key
	for _, d := range domains {
		all = append(all, r.Ledger.Of(d)...)
	}
	w.look(ctx, all)
	return w
}

// Preview tells what Advance would do first, and does nothing. What would follow from
// that is not in it.
func (r *Rotation) Preview(ctx context.Context, domains ...string) ([]Event, error) {
	w := r.newRun(ctx, domains)
	for _, d := range domains {
		for _, k := range r.Ledger.Of(d) {
			s, err := w.sight(k)
			if err != nil {
				return w.events, err
			}
			next, actions := Step(k, r.Now(), s)
			for _, a := range actions {
				w.events = append(w.events, Event{Key: k, Action: a, Note: w.note(a, k)})
			}
			if next.State != k.State {
				w.events = append(w.events, Event{Key: next, From: k.State})
			}
		}
	}
	return w.events, nil
}

// round makes a step with each key of a domain; moved: more may follow at once.
func (w *run) round(ctx context.Context, domain string) (moved bool, err error) {
	for _, k := range w.Ledger.Of(domain) {
		if w.failed[k.Name] {
			continue
		}
		m, err := w.step(ctx, k)
		if err != nil {
			return false, err
		}
		moved = moved || m
	}
	return moved, nil
}

// step does what one key needs now, and keeps what has become of it.
func (w *run) step(ctx context.Context, k ledger.Key) (moved bool, err error) {
	w.look(ctx, []ledger.Key{k})
	s, err := w.sight(k)
	if err != nil {
		return false, err
	}
	next, actions := Step(k, w.Now(), s)
	for _, a := range actions {
		if id := k.Name + " " + string(a); w.done[id] {
			continue // once a run
		} else {
			w.done[id] = true
		}
		e := w.act(ctx, a, &next)
		w.events = append(w.events, e)
		if e.Err != nil {
			w.failed[k.Name] = true
			return false, nil
		}
		if w.acted != nil {
			if err := w.acted(a); err != nil {
				return false, err
			}
		}
		if a == Make || e.Handed {
			delete(w.Seen, k.Name) // to be looked for anew
			moved = moved || a == Make || a == Publish
		}
	}
	if reflect.DeepEqual(k, next) {
		return moved, nil
	}
	w.Ledger.Put(next)
	if err := w.Ledger.Save(); err != nil {
		return false, err
	}
	if next.State != k.State {
		w.events = append(w.events, Event{Key: next, From: k.State})
		moved = true
	}
	return moved, nil
}

// look looks in DNS for those of the keys that it has not looked for.
func (w *run) look(ctx context.Context, list []ledger.Key) {
	var mu sync.Mutex
	var group errgroup.Group
	group.SetLimit(lookAtOnce)
	for _, k := range list {
		mu.Lock()
		_, known := w.Seen[k.Name]
		mu.Unlock()
		if known || k.Record == "" {
			continue
		}
		group.Go(func() error {
			v, err := w.DNS.Look(ctx, k)
			if err != nil {
				v = View{Why: err.Error()}
			}
			mu.Lock()
			defer mu.Unlock()
			w.Seen[k.Name] = v
			return nil
		})
	}
	_ = group.Wait() // none returns an error
}

// sight is what is seen of a key now.
func (w *run) sight(k ledger.Key) (Sight, error) {
	if w.tables == nil {
		t, err := w.readTables()
		if err != nil {
			return Sight{}, err
		}
		w.tables = t
	}
	v := w.Seen[k.Name]
	s := Sight{
		DNS: v.Shown, Anywhere: v.Anywhere, TTL: v.TTL,
		Listed: w.tables.listed[k.Name], Signs: w.tables.signs[k.Name], Together: true,
	}
	for _, o := range w.Ledger.Keys {
		if o.Domain != k.Domain || o.Name == k.Name {
			continue
		}
		replaces := slices.Contains(o.Replaces, k.Name)
		switch o.State {
		case ledger.Active:
			s.Replaced = s.Replaced || replaces
		case ledger.Pending:
			s.Awaited, s.Together = s.Awaited || replaces, false
		case ledger.Published:
			s.Awaited = s.Awaited || replaces
			s.Together = s.Together && o.Due(w.Now()) && w.Seen[o.Name].Shown == Everywhere
		}
	}
	return s, nil
}

// act does one action; what it learns of the key is in k then.
func (w *run) act(ctx context.Context, a Action, k *ledger.Key) Event {
	e := Event{Action: a}
	switch a {
	case Make:
		e.Err = w.make(k)
	case Publish:
		e.Handed, e.Err = w.DNS.Publish(ctx, *k)
	case Switch:
		e.Note, e.Err = w.switchTo(ctx, *k)
	case Revoke:
		e.Handed, e.Err = w.DNS.Revoke(ctx, *k)
	case Withdraw:
		e.Handed, e.Err = w.DNS.Withdraw(ctx, *k)
	case Remove:
		e.Note, e.Err = w.remove(ctx, *k)
	default:
		e.Note = w.note(a, *k)
	}
	switch a {
	case Make, Switch, Remove:
		w.tables = nil
	}
	e.Key = *k
	return e
}

// note is what is worth saying of an action before it is done.
func (w *run) note(a Action, k ledger.Key) string {
	switch a {
	case WarnGone, WarnBack, WarnWaits:
		return w.Seen[k.Name].Why
	}
	return ""
}

// Abort takes back the keys of a domain that have never signed.
func (r *Rotation) Abort(ctx context.Context, domain string, kind string) ([]Event, error) {
	w := &run{Rotation: r}
	for _, k := range r.Ledger.Of(domain) {
		s, err := w.sight(k)
		if err != nil {
			return w.events, err
		}
		actions, ok := Abort(k, s)
		if !ok || kind != "" && kind != k.Type {
			continue
		}
		for _, a := range actions {
			e := w.act(ctx, a, &k)
			if w.events = append(w.events, e); e.Err != nil {
				return w.events, nil
			}
		}
		w.Ledger.Put(k.To(ledger.Forgotten, r.Now()))
		if err := w.Ledger.Save(); err != nil {
			return w.events, err
		}
	}
	return w.events, nil
}
