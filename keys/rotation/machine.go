package rotation

import (
	"slices"
	"time"
)

// State is where a key is in its life.
type State string

const (
	// Pending: it is made, stands in key_table, and its record is to be published.
	Pending State = "pending"
	// Published: every name server of the domain shows it. It signs once no resolver
	// can remember what stood there before.
	Published State = "published"
	// Active: signing_table names it.
	Active State = "active"
	// Retiring: another has taken its place; its record stays for the mail under way.
	Retiring State = "retiring"
	// Retired: it is out of key_table, and its record is to say that it is revoked.
	Retired State = "retired"
	// Forgotten: nothing is left to be done about it.
	Forgotten State = "forgotten"
)

// States are those that a key can be found in, in their order.
func States() []State { return []State{Pending, Published, Active, Retiring, Retired} }

// order is its place among them, -1 for no state.
func (s State) order() int { return slices.Index(States(), s) }

// Shown is what the name servers of a domain show of a key.
type Shown int

const (
	// Unsure: not all have answered, and none of those that did lacks it.
	Unsure Shown = iota
	// Missing: at least one does not show it.
	Missing
	// Everywhere: all of them show it.
	Everywhere
)

// Sight is what is seen of a key at one moment.
type Sight struct {
	DNS Shown
	// Anywhere: at least one name server shows it.
	Anywhere bool
	// TTL is the longest that a resolver may remember what the name servers say now that
	// do not show the key, be it that there is no record; or what all say.
	TTL time.Duration
	// Listed: key_table has it. Signs: a row of signing_table names it.
	Listed, Signs bool
	// Replaced: a key that takes its place is active.
	Replaced bool
	// Together: the keys that are to become active at the same time as this one may.
	Together bool
}

// Action is something to be done. Each can be done twice, so that after a crash all
// of a step's can be done again.
type Action string

const (
	// Make makes the private key, where its file is not there, and its row.
	Make Action = "make"
	// Publish hands the record to DNS, or to a person.
	Publish Action = "publish"
	// Switch has the rows that name the key whose place it takes name it, and waits
	// until the daemon goes by them.
	Switch Action = "switch"
	// Revoke has the record say that the key is revoked: p= without a key.
	Revoke Action = "revoke"
	// Remove takes the key out of key_table, and puts its file away.
	Remove Action = "remove"
	// Withdraw takes the record of a key out of DNS that has never signed.
	Withdraw Action = "withdraw"
	// WarnGone tells of a record that DNS does not show any more although mail needs it.
	WarnGone Action = "warn-gone"
	// WarnBack tells of a key whose record was there and is not now: it has to wait anew.
	WarnBack Action = "warn-back"
	// WarnSigns tells of a key that signs again because a row was put back.
	WarnSigns Action = "warn-signs"
)

const (
	// MostMemory bounds how long a resolver is taken to remember: caches keep no answer
	// for longer than a day by themselves, whatever an SOA record says (RFC 2308 §5).
	MostMemory = 24 * time.Hour
	// DefaultKeep is how long the record of an old key stays: longer than a mail is tried
	// to be delivered (RFC 5321 §4.5.4.1: 4 or 5 days).
	DefaultKeep = 7 * 24 * time.Hour
	// unknownMemory is the time where nobody saw what stood there before.
	unknownMemory = time.Hour
)

// Step says what becomes of a key at a time: its next state, and what has to be done
// before that is kept. Step changes nothing and looks at nothing but its arguments;
// where the actions fail, or the state cannot be kept, the same step comes again.
//
// A clock that was put back begins the present wait anew.
func Step(k Key, now time.Time, s Sight) (Key, []Action) {
	if k.Since.After(now) {
		k.Since = now
	}
	switch k.State {
	case Pending:
		return stepPending(k, now, s)
	case Published:
		return stepPublished(k, now, s)
	case Active:
		return stepActive(k, now, s)
	case Retiring:
		return stepRetiring(k, now, s)
	case Retired:
		return stepRetired(k, now, s)
	}
	return k, nil
}

func stepPending(k Key, now time.Time, s Sight) (Key, []Action) {
	switch {
	case s.Signs: // somebody has done it, or we have, and could not keep it
		return k.to(Active, now), gone(s, Switch)
	case k.Record == "" || !s.Listed:
		return k, []Action{Make}
	case s.DNS == Everywhere:
		if k.Memory == 0 {
			k.remember(max(unknownMemory, s.TTL))
		}
		return k.to(Published, now), nil
	case s.DNS == Missing:
		k.remember(s.TTL)
		if !s.Anywhere { // otherwise the others are behind
			return k, []Action{Publish}
		}
	}
	return k, nil
}

func stepPublished(k Key, now time.Time, s Sight) (Key, []Action) {
	switch {
	case s.Signs:
		return k.to(Active, now), gone(s, Switch)
	case !s.Listed:
		return k.to(Pending, now), []Action{Make}
	case s.DNS == Missing:
		k.remember(s.TTL)
		return k.to(Pending, now), []Action{WarnBack}
	case s.DNS == Everywhere && s.Together && k.Due(now):
		return k.to(Active, now), []Action{Switch}
	}
	return k, nil
}

func stepActive(k Key, now time.Time, s Sight) (Key, []Action) {
	switch {
	case !s.Signs && s.Replaced:
		return k.to(Retiring, now), nil
	case !s.Signs: // somebody has taken it out of our hands
		return k.to(Forgotten, now), nil
	}
	return k, gone(s)
}

func stepRetiring(k Key, now time.Time, s Sight) (Key, []Action) {
	switch {
	case s.Signs:
		return k.to(Active, now), gone(s, WarnSigns)
	case k.Due(now):
		return k.to(Retired, now), []Action{Revoke, Remove}
	}
	return k, gone(s)
}

func stepRetired(k Key, now time.Time, s Sight) (Key, []Action) {
	switch {
	case s.Signs && s.Listed:
		return k.to(Active, now), gone(s, WarnSigns)
	case s.Anywhere:
		return k, []Action{Revoke}
	case s.DNS == Missing && k.Due(now):
		return k.to(Forgotten, now), nil
	}
	return k, nil
}

// gone adds to actions the warning of a key that mail needs, if DNS lacks it.
func gone(s Sight, actions ...Action) []Action {
	if s.DNS == Missing {
		return append(actions, WarnGone)
	}
	return actions
}

// Abort says what has to be done to take a key back that has never signed; ok is
// false for others.
func Abort(k Key, s Sight) (actions []Action, ok bool) {
	if (k.State != Pending && k.State != Published) || s.Signs {
		return nil, false
	}
	if k.Record == "" {
		return []Action{Remove}, true
	}
	return []Action{Withdraw, Remove}, true
}

// to is the key in another state.
func (k Key) to(s State, now time.Time) Key {
	k.State, k.Since = s, now
	return k
}

// remember notes how long resolvers may remember what stands at the record's name.
func (k *Key) remember(ttl time.Duration) { k.Memory = min(max(k.Memory, ttl), MostMemory) }

// Until is when the wait of a key's state ends; zero where time alone changes nothing.
func (k Key) Until() time.Time {
	switch k.State {
	case Published:
		return k.Since.Add(k.Memory)
	case Retiring, Retired:
		return k.Since.Add(k.Keep)
	}
	return time.Time{}
}

// Due reports whether that wait is over.
func (k Key) Due(now time.Time) bool {
	until := k.Until()
	return !until.IsZero() && now.After(until)
}
