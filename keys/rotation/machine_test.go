package rotation

import (
	"slices"
	"testing"
	"time"

	"github.com/postseal/postseal/keys/ledger"
)

// noon is the time of these tests.
var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// Each state, with all that can be seen in it.
func TestStep(t *testing.T) {
	const (
		day  = 24 * time.Hour
		text = "v=DKIM1; p=x"
	)
	listed := Sight{Listed: true, Together: true}
	signs := Sight{Listed: true, Signs: true}
	with := func(s Sight, change func(*Sight)) Sight { change(&s); return s }
	missing := func(s *Sight) { s.DNS, s.TTL = Missing, 5*time.Minute }
	partly := func(s *Sight) { s.DNS, s.Anywhere, s.TTL = Missing, true, 5*time.Minute }
	everywhere := func(s *Sight) { s.DNS, s.Anywhere, s.TTL = Everywhere, true, time.Minute }
	replaced := func(s *Sight) { s.Replaced, s.Signs = true, false }
	apart := func(s *Sight) { everywhere(s); s.Together = false }
	unlisted := func(s *Sight) { s.Listed = false }
	ago := func(d time.Duration) time.Time { return noon.Add(-d) }
	for _, tt := range []struct {
		name    string
		key     ledger.Key
		sight   Sight
		state   ledger.State
		since   time.Time
		memory  time.Duration
		actions []Action
	}{
		{"pending, not made", ledger.Key{State: ledger.Pending, Since: ago(0)}, Sight{}, ledger.Pending, noon, 0, []Action{Make}},
		{"pending, its row is gone", ledger.Key{State: ledger.Pending, Since: ago(day), Record: text}, Sight{}, ledger.Pending, ago(day), 0, []Action{Make}},
		{"pending, nobody answers", ledger.Key{State: ledger.Pending, Since: ago(day), Record: text}, listed, ledger.Pending, ago(day), 0, nil},
		{"pending, nowhere", ledger.Key{State: ledger.Pending, Since: ago(day), Record: text}, with(listed, missing), ledger.Pending, ago(day), 5 * time.Minute, []Action{Publish}},
		{"pending, an absurd TTL", ledger.Key{State: ledger.Pending, Since: ago(day), Record: text},
			with(listed, func(s *Sight) { s.DNS, s.TTL = Missing, 7*day }), ledger.Pending, ago(day), day, []Action{Publish}},
		{"pending, a shorter TTL than before", ledger.Key{State: ledger.Pending, Since: ago(day), Record: text, Memory: time.Hour}, with(listed, missing), ledger.Pending, ago(day), time.Hour, []Action{Publish}},
		{"pending, one server lags", ledger.Key{State: ledger.Pending, Since: ago(day), Record: text}, with(listed, partly), ledger.Pending, ago(day), 5 * time.Minute, nil},
		{"pending, everywhere", ledger.Key{State: ledger.Pending, Since: ago(day), Record: text, Memory: time.Minute}, with(listed, everywhere), ledger.Published, noon, time.Minute, nil},
		{"pending, everywhere, nobody knows what was before", ledger.Key{State: ledger.Pending, Since: ago(day), Record: text}, with(listed, everywhere), ledger.Published, noon, time.Hour, nil},
		{"pending, and it signs", ledger.Key{State: ledger.Pending, Since: ago(day), Record: text}, signs, ledger.Active, noon, 0, []Action{Switch}},
		{"pending, and it signs without a record", ledger.Key{State: ledger.Pending, Since: ago(day), Record: text}, with(signs, missing), ledger.Active, noon, 0, []Action{Switch, WarnGone}},

		{"published, too early", ledger.Key{State: ledger.Published, Since: ago(time.Minute), Memory: time.Minute}, with(listed, everywhere), ledger.Published, ago(time.Minute), time.Minute, nil},
		{"published, in time", ledger.Key{State: ledger.Published, Since: ago(61 * time.Second), Memory: time.Minute}, with(listed, everywhere), ledger.Active, noon, time.Minute, []Action{Switch}},
		{"published, in time, the other is not", ledger.Key{State: ledger.Published, Since: ago(day), Memory: time.Minute}, with(listed, apart), ledger.Published, ago(day), time.Minute, nil},
		{"published, in time, nobody answers", ledger.Key{State: ledger.Published, Since: ago(day), Memory: time.Minute}, listed, ledger.Published, ago(day), time.Minute, nil},
		{"published, the record disappears", ledger.Key{State: ledger.Published, Since: ago(day), Memory: time.Minute}, with(listed, missing), ledger.Pending, noon, 5 * time.Minute, []Action{WarnBack}},
		{"published, one server lost it", ledger.Key{State: ledger.Published, Since: ago(day), Memory: time.Minute}, with(listed, partly), ledger.Pending, noon, 5 * time.Minute, []Action{WarnBack}},
		{"published, its row is gone", ledger.Key{State: ledger.Published, Since: ago(day), Memory: time.Minute}, with(with(listed, everywhere), unlisted), ledger.Pending, noon, time.Minute, []Action{Make}},
		{"published, and it signs", ledger.Key{State: ledger.Published, Since: ago(0), Memory: time.Hour}, with(signs, everywhere), ledger.Active, noon, time.Hour, []Action{Switch}},
		{"published, the clock was put back", ledger.Key{State: ledger.Published, Since: ago(-day), Memory: time.Minute}, with(listed, everywhere), ledger.Published, noon, time.Minute, nil},
		{"published, the clock was put forward", ledger.Key{State: ledger.Published, Since: ago(1000 * day), Memory: time.Minute}, with(listed, everywhere), ledger.Active, noon, time.Minute, []Action{Switch}},

		{"active", ledger.Key{State: ledger.Active, Since: ago(day)}, with(signs, everywhere), ledger.Active, ago(day), 0, nil},
		{"active, nobody answers", ledger.Key{State: ledger.Active, Since: ago(day)}, signs, ledger.Active, ago(day), 0, nil},
		{"active, the record disappears", ledger.Key{State: ledger.Active, Since: ago(day)}, with(signs, missing), ledger.Active, ago(day), 0, []Action{WarnGone}},
		{"active, one server lost it", ledger.Key{State: ledger.Active, Since: ago(day)}, with(signs, partly), ledger.Active, ago(day), 0, []Action{WarnGone}},
		{"active, replaced", ledger.Key{State: ledger.Active, Since: ago(day)}, with(signs, replaced), ledger.Retiring, noon, 0, nil},
		{"active, replaced in part", ledger.Key{State: ledger.Active, Since: ago(day)}, with(signs, func(s *Sight) { s.Replaced = true }), ledger.Active, ago(day), 0, nil},
		{"active, taken out by a person", ledger.Key{State: ledger.Active, Since: ago(day)}, with(signs, func(s *Sight) { s.Signs = false }), ledger.Forgotten, noon, 0, nil},
		{"active, the clock was put back", ledger.Key{State: ledger.Active, Since: ago(-day)}, signs, ledger.Active, noon, 0, nil},

		{"retiring", ledger.Key{State: ledger.Retiring, Since: ago(6 * day), Keep: 7 * day}, with(listed, everywhere), ledger.Retiring, ago(6 * day), 0, nil},
		{"retiring, to the second", ledger.Key{State: ledger.Retiring, Since: ago(7 * day), Keep: 7 * day}, with(listed, everywhere), ledger.Retiring, ago(7 * day), 0, nil},
		{"retiring, over", ledger.Key{State: ledger.Retiring, Since: ago(8 * day), Keep: 7 * day}, with(listed, everywhere), ledger.Retired, noon, 0, []Action{Revoke, Remove}},
		{"retiring, over, nobody answers", ledger.Key{State: ledger.Retiring, Since: ago(8 * day), Keep: 7 * day}, listed, ledger.Retired, noon, 0, []Action{Revoke, Remove}},
		{"retiring, the record disappears", ledger.Key{State: ledger.Retiring, Since: ago(day), Keep: 7 * day}, with(listed, missing), ledger.Retiring, ago(day), 0, []Action{WarnGone}},
		{"retiring, its row is put back", ledger.Key{State: ledger.Retiring, Since: ago(8 * day), Keep: 7 * day}, with(signs, everywhere), ledger.Active, noon, 0, []Action{WarnSigns}},
		{"retiring, the clock was put back", ledger.Key{State: ledger.Retiring, Since: ago(-day), Keep: 7 * day}, with(listed, everywhere), ledger.Retiring, noon, 0, nil},

		{"retired, still published", ledger.Key{State: ledger.Retired, Since: ago(30 * day), Keep: 7 * day}, with(Sight{}, everywhere), ledger.Retired, ago(30 * day), 0, []Action{Revoke}},
		{"retired, still published somewhere", ledger.Key{State: ledger.Retired, Since: ago(day), Keep: 7 * day}, with(Sight{}, partly), ledger.Retired, ago(day), 0, []Action{Revoke}},
		{"retired and revoked, for a while", ledger.Key{State: ledger.Retired, Since: ago(day), Keep: 7 * day}, with(Sight{}, missing), ledger.Retired, ago(day), 0, nil},
		{"retired and revoked", ledger.Key{State: ledger.Retired, Since: ago(8 * day), Keep: 7 * day}, with(Sight{}, missing), ledger.Forgotten, noon, 0, nil},
		{"retired, nobody answers", ledger.Key{State: ledger.Retired, Since: ago(30 * day), Keep: 7 * day}, Sight{}, ledger.Retired, ago(30 * day), 0, nil},
		{"retired, put back", ledger.Key{State: ledger.Retired, Since: ago(day), Keep: 7 * day}, with(signs, everywhere), ledger.Active, noon, 0, []Action{WarnSigns}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			before := tt.key
			next, actions := Step(tt.key, noon, tt.sight)
			if next.State != tt.state || !next.Since.Equal(tt.since) || next.Memory != tt.memory || !slices.Equal(actions, tt.actions) {
				t.Errorf("%s since %v, memory %v, %v\nwant %s since %v, memory %v, %v",
					next.State, next.Since, next.Memory, actions, tt.state, tt.since, tt.memory, tt.actions)
			}
			if tt.key.State != before.State {
				t.Error("the argument has changed")
			}
		})
	}
}

// Only a key that has never signed is taken back.
func TestAbort(t *testing.T) {
	for _, tt := range []struct {
		name    string
		key     ledger.Key
		sight   Sight
		actions []Action
		ok      bool
	}{
		{"not made", ledger.Key{State: ledger.Pending}, Sight{}, []Action{Remove}, true},
		{"pending", ledger.Key{State: ledger.Pending, Record: "x"}, Sight{Listed: true}, []Action{Withdraw, Remove}, true},
		{"published", ledger.Key{State: ledger.Published, Record: "x"}, Sight{Listed: true}, []Action{Withdraw, Remove}, true},
		{"published, and it signs", ledger.Key{State: ledger.Published, Record: "x"}, Sight{Listed: true, Signs: true}, nil, false},
		{"active", ledger.Key{State: ledger.Active, Record: "x"}, Sight{}, nil, false},
		{"retiring", ledger.Key{State: ledger.Retiring, Record: "x"}, Sight{}, nil, false},
		{"retired", ledger.Key{State: ledger.Retired, Record: "x"}, Sight{}, nil, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if actions, ok := Abort(tt.key, tt.sight); ok != tt.ok || !slices.Equal(actions, tt.actions) {
				t.Errorf("%v, %v", actions, ok)
			}
		})
	}
}
