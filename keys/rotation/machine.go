// Package rotation leads keys through their lives: a new one is made, published, and
// takes the place of an old one, whose record stays until the mail that it has signed
// has arrived. [Step] says what comes next and changes nothing; a [Rotation] does it,
// and keeps it in a [ledger.Ledger].
package rotation

import (
	"time"

	"github.com/postseal/postseal/keys/ledger"
)

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
	// Replaced: a key that takes its place is active. Awaited: one is to be.
	Replaced, Awaited bool
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
	// WarnWaits tells of a key that has waited for name servers for days.
	WarnWaits Action = "warn-waits"
	// WarnSigns tells of a key that signs again because a row was put back.
	WarnSigns Action = "warn-signs"
)

const (
	// MostMemory bounds how long a resolver is taken to remember: no common one keeps an
	// answer for longer than a week, whatever its TTL (RFC 2181 §8); most do not for more
	// than a day.
	MostMemory = 7 * 24 * time.Hour
	// DefaultKeep is how long the record of an old key stays: longer than a mail is tried
	// to be delivered (RFC 5321 §4.5.4.1: 4 or 5 days).
	DefaultKeep = 7 * 24 * time.Hour
	// unknownMemory is the time where nobody saw what stood there before.
	unknownMemory = time.Hour
	// longWait is how long name servers may take before somebody has to look at them.
	longWait = 3 * 24 * time.Hour
)

// Step says what becomes of a key at a time: its next state, and what has to be done
// before that is kept. Step changes nothing and looks at nothing but its arguments;
// where the actions fail, or the state cannot be kept, the same step comes again.
//
// A clock that was put back begins the present wait anew.
func Step(k ledger.Key, now time.Time, s Sight) (ledger.Key, []Action) {
	if k.Since.After(now) {
		k.Since = now
	}
	switch k.State {
	case ledger.Pending:
		return stepPending(k, now, s)
	case ledger.Published:
		return stepPublished(k, now, s)
	case ledger.Active:
		return stepActive(k, now, s)
	case ledger.Retiring:
		return stepRetiring(k, now, s)
	case ledger.Retired:
		return stepRetired(k, now, s)
	}
	return k, nil
}

func stepPending(k ledger.Key, now time.Time, s Sight) (ledger.Key, []Action) {
	switch {
	case s.Signs: // somebody has done it, or we have, and could not keep it
		return k.To(ledger.Active, now), gone(s, Switch)
	case k.Record == "" || !s.Listed:
		return k, []Action{Make}
	case s.DNS == Everywhere:
		if k.Memory == 0 {
			remember(&k, max(unknownMemory, s.TTL))
		}
		return k.To(ledger.Published, now), nil
	}
	var actions []Action
	if s.DNS == Missing {
		remember(&k, s.TTL)
		if !s.Anywhere { // otherwise the others are behind
			actions = append(actions, Publish)
		}
	}
	if now.Sub(k.Since) > longWait {
		actions = append(actions, WarnWaits)
	}
	return k, actions
}

func stepPublished(k ledger.Key, now time.Time, s Sight) (ledger.Key, []Action) {
	switch {
	case s.Signs:
		return k.To(ledger.Active, now), gone(s, Switch)
	case !s.Listed:
		return k.To(ledger.Pending, now), []Action{Make}
	case s.DNS == Missing:
		remember(&k, s.TTL)
		return k.To(ledger.Pending, now), []Action{WarnBack}
	case s.DNS == Everywhere && s.Together && k.Due(now):
		return k.To(ledger.Active, now), []Action{Switch}
	case s.DNS == Unsure && now.Sub(k.Until()) > longWait:
		return k, []Action{WarnWaits}
	}
	return k, nil
}

func stepActive(k ledger.Key, now time.Time, s Sight) (ledger.Key, []Action) {
	switch {
	case !s.Signs && s.Replaced:
		return k.To(ledger.Retiring, now), nil
	case !s.Signs && !s.Awaited: // somebody has taken it out of our hands
		return k.To(ledger.Forgotten, now), nil
	}
	return k, gone(s)
}

func stepRetiring(k ledger.Key, now time.Time, s Sight) (ledger.Key, []Action) {
	switch {
	case s.Signs:
		return k.To(ledger.Active, now), gone(s, WarnSigns)
	case k.Due(now):
		return k.To(ledger.Retired, now), []Action{Revoke, Remove}
	}
	return k, gone(s)
}

func stepRetired(k ledger.Key, now time.Time, s Sight) (ledger.Key, []Action) {
	switch {
	case s.Signs && s.Listed:
		return k.To(ledger.Active, now), gone(s, WarnSigns)
	case s.Anywhere:
		return k, []Action{Revoke}
	case s.DNS == Missing && k.Due(now):
		return k.To(ledger.Forgotten, now), nil
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
func Abort(k ledger.Key, s Sight) (actions []Action, ok bool) {
	if (k.State != ledger.Pending && k.State != ledger.Published) || s.Signs {
		return nil, false
	}
	if k.Record == "" {
		return []Action{Remove}, true
	}
	return []Action{Withdraw, Remove}, true
}

// remember notes how long resolvers may remember what stands at the record's name.
func remember(k *ledger.Key, ttl time.Duration) { k.Memory = min(max(k.Memory, ttl), MostMemory) }
