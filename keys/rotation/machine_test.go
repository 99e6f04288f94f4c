package rotation

import (
	"slices"
	"testing"
	"time"

	"github.com/postseal/postseal/keys/ledger"
)

// noon is the time of these tests.
var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

type key = ledger.Key

// Each state, with all that can be seen in it.
func TestStep(t *testing.T) {
	const (
		day  = 24 * time.Hour
		text = "v=DKIM1; p=x"

		pending, published, active   = ledger.Pending, ledger.Published, ledger.Active
		retiring, retired, forgotten = ledger.Retiring, ledger.Retired, ledger.Forgotten
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
		{"pending, not made", key{State: pending, Since: ago(0)}, Sight{}, pending, noon, 0, []Action{Make}},
		{"pending, its row is gone", key{State: pending, Since: ago(day), Record: text}, Sight{}, pending, ago(day), 0, []Action{Make}},
		{"pending, nobody answers", key{State: pending, Since: ago(day), Record: text}, listed, pending, ago(day), 0, nil},
		{"pending, nowhere", key{State: pending, Since: ago(day), Record: text}, with(listed, missing), pending, ago(day), 5 * time.Minute, []Action{Publish}},
		{"pending, an absurd TTL", key{State: pending, Since: ago(day), Record: text},
			with(listed, func(s *Sight) { s.DNS, s.TTL = Missing, 30*day }), pending, ago(day), 7 * day, []Action{Publish}},
		{"pending, a shorter TTL than before", key{State: pending, Since: ago(day), Record: text, Memory: time.Hour}, with(listed, missing), pending, ago(day), time.Hour, []Action{Publish}},
		{"pending, one server lags", key{State: pending, Since: ago(day), Record: text}, with(listed, partly), pending, ago(day), 5 * time.Minute, nil},
		{"pending, everywhere", key{State: pending, Since: ago(day), Record: text, Memory: time.Minute}, with(listed, everywhere), published, noon, time.Minute, nil},
		{"pending, everywhere, nobody knows what was before", key{State: pending, Since: ago(day), Record: text}, with(listed, everywhere), published, noon, time.Hour, nil},
		{"pending, and it signs", key{State: pending, Since: ago(day), Record: text}, signs, active, noon, 0, []Action{Switch}},
		{"pending, and it signs without a record", key{State: pending, Since: ago(day), Record: text}, with(signs, missing), active, noon, 0, []Action{Switch, WarnGone}},
		{"pending for long, nowhere", key{State: pending, Since: ago(4 * day), Record: text}, with(listed, missing), pending, ago(4 * day), 5 * time.Minute, []Action{Publish, WarnWaits}},
		{"pending for long, one server lags", key{State: pending, Since: ago(4 * day), Record: text}, with(listed, partly), pending, ago(4 * day), 5 * time.Minute, []Action{WarnWaits}},
		{"pending for long, nobody answers", key{State: pending, Since: ago(4 * day), Record: text}, listed, pending, ago(4 * day), 0, []Action{WarnWaits}},

		{"published, too early", key{State: published, Since: ago(time.Minute), Memory: time.Minute}, with(listed, everywhere), published, ago(time.Minute), time.Minute, nil},
		{"published, in time", key{State: published, Since: ago(61 * time.Second), Memory: time.Minute}, with(listed, everywhere), active, noon, time.Minute, []Action{Switch}},
		{"published, in time, the other is not", key{State: published, Since: ago(day), Memory: time.Minute}, with(listed, apart), published, ago(day), time.Minute, nil},
		{"published, in time, nobody answers", key{State: published, Since: ago(day), Memory: time.Minute}, listed, published, ago(day), time.Minute, nil},
		{"published for long, one server is silent", key{State: published, Since: ago(5 * day), Memory: day},
			with(listed, func(s *Sight) { s.Anywhere = true }), published, ago(5 * day), day, []Action{WarnWaits}},
		{"published, the record disappears", key{State: published, Since: ago(day), Memory: time.Minute}, with(listed, missing), pending, noon, 5 * time.Minute, []Action{WarnBack}},
		{"published, one server lost it", key{State: published, Since: ago(day), Memory: time.Minute}, with(listed, partly), pending, noon, 5 * time.Minute, []Action{WarnBack}},
		{"published, its row is gone", key{State: published, Since: ago(day), Memory: time.Minute}, with(with(listed, everywhere), unlisted), pending, noon, time.Minute, []Action{Make}},
		{"published, and it signs", key{State: published, Since: ago(0), Memory: time.Hour}, with(signs, everywhere), active, noon, time.Hour, []Action{Switch}},
		{"published, the clock was put back", key{State: published, Since: ago(-day), Memory: time.Minute}, with(listed, everywhere), published, noon, time.Minute, nil},
		{"published, the clock was put forward", key{State: published, Since: ago(1000 * day), Memory: time.Minute}, with(listed, everywhere), active, noon, time.Minute, []Action{Switch}},

		{"active", key{State: active, Since: ago(day)}, with(signs, everywhere), active, ago(day), 0, nil},
		{"active, nobody answers", key{State: active, Since: ago(day)}, signs, active, ago(day), 0, nil},
		{"active, the record disappears", key{State: active, Since: ago(day)}, with(signs, missing), active, ago(day), 0, []Action{WarnGone}},
		{"active, one server lost it", key{State: active, Since: ago(day)}, with(signs, partly), active, ago(day), 0, []Action{WarnGone}},
		{"active, replaced", key{State: active, Since: ago(day)}, with(signs, replaced), retiring, noon, 0, nil},
		{"active, replaced in part", key{State: active, Since: ago(day)}, with(signs, func(s *Sight) { s.Replaced = true }), active, ago(day), 0, nil},
		{"active, its row names the next one, which the daemon has not read", key{State: active, Since: ago(day)},
			with(signs, func(s *Sight) { s.Awaited, s.Signs = true, false }), active, ago(day), 0, nil},
		{"active, taken out by a person", key{State: active, Since: ago(day)}, with(signs, func(s *Sight) { s.Signs = false }), forgotten, noon, 0, nil},
		{"active, the clock was put back", key{State: active, Since: ago(-day)}, signs, active, noon, 0, nil},

		{"retiring", key{State: retiring, Since: ago(6 * day), Keep: 7 * day}, with(listed, everywhere), retiring, ago(6 * day), 0, nil},
		{"retiring, to the second", key{State: retiring, Since: ago(7 * day), Keep: 7 * day}, with(listed, everywhere), retiring, ago(7 * day), 0, nil},
		{"retiring, over", key{State: retiring, Since: ago(8 * day), Keep: 7 * day}, with(listed, everywhere), retired, noon, 0, []Action{Revoke, Remove}},
		{"retiring, over, nobody answers", key{State: retiring, Since: ago(8 * day), Keep: 7 * day}, listed, retired, noon, 0, []Action{Revoke, Remove}},
		{"retiring, the record disappears", key{State: retiring, Since: ago(day), Keep: 7 * day}, with(listed, missing), retiring, ago(day), 0, []Action{WarnGone}},
		{"retiring, its row is put back", key{State: retiring, Since: ago(8 * day), Keep: 7 * day}, with(signs, everywhere), active, noon, 0, []Action{WarnSigns}},
		{"retiring, the clock was put back", key{State: retiring, Since: ago(-day), Keep: 7 * day}, with(listed, everywhere), retiring, noon, 0, nil},

		{"retired, still published", key{State: retired, Since: ago(30 * day), Keep: 7 * day}, with(Sight{}, everywhere), retired, ago(30 * day), 0, []Action{Revoke}},
		{"retired, still published somewhere", key{State: retired, Since: ago(day), Keep: 7 * day}, with(Sight{}, partly), retired, ago(day), 0, []Action{Revoke}},
		{"retired and revoked, for a while", key{State: retired, Since: ago(day), Keep: 7 * day}, with(Sight{}, missing), retired, ago(day), 0, nil},
		{"retired and revoked", key{State: retired, Since: ago(8 * day), Keep: 7 * day}, with(Sight{}, missing), forgotten, noon, 0, nil},
		{"retired, nobody answers", key{State: retired, Since: ago(30 * day), Keep: 7 * day}, Sight{}, retired, ago(30 * day), 0, nil},
		{"retired, put back", key{State: retired, Since: ago(day), Keep: 7 * day}, with(signs, everywhere), active, noon, 0, []Action{WarnSigns}},
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
		{"not made", key{State: ledger.Pending}, Sight{}, []Action{Remove}, true},
		{"pending", key{State: ledger.Pending, Record: "x"}, Sight{Listed: true}, []Action{Withdraw, Remove}, true},
		{"published", key{State: ledger.Published, Record: "x"}, Sight{Listed: true}, []Action{Withdraw, Remove}, true},
		{"published, and it signs", key{State: ledger.Published, Record: "x"}, Sight{Listed: true, Signs: true}, nil, false},
		{"active", key{State: ledger.Active, Record: "x"}, Sight{}, nil, false},
		{"retiring", key{State: ledger.Retiring, Record: "x"}, Sight{}, nil, false},
		{"retired", key{State: ledger.Retired, Record: "x"}, Sight{}, nil, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if actions, ok := Abort(tt.key, tt.sight); ok != tt.ok || !slices.Equal(actions, tt.actions) {
				t.Errorf("%v, %v", actions, ok)
			}
		})
	}
}
