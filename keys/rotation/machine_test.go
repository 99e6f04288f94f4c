package rotation

import (
	"slices"
	"testing"
	"time"
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
		key     Key
		sight   Sight
		state   State
		since   time.Time
		memory  time.Duration
		actions []Action
	}{
		{"pending, not made", Key{State: Pending, Since: ago(0)}, Sight{}, Pending, noon, 0, []Action{Make}},
		{"pending, its row is gone", Key{State: Pending, Since: ago(day), Record: text}, Sight{}, Pending, ago(day), 0, []Action{Make}},
		{"pending, nobody answers", Key{State: Pending, Since: ago(day), Record: text}, listed, Pending, ago(day), 0, nil},
		{"pending, nowhere", Key{State: Pending, Since: ago(day), Record: text}, with(listed, missing), Pending, ago(day), 5 * time.Minute, []Action{Publish}},
		{"pending, an absurd TTL", Key{State: Pending, Since: ago(day), Record: text},
			with(listed, func(s *Sight) { s.DNS, s.TTL = Missing, 7*day }), Pending, ago(day), day, []Action{Publish}},
		{"pending, a shorter TTL than before", Key{State: Pending, Since: ago(day), Record: text, Memory: time.Hour}, with(listed, missing), Pending, ago(day), time.Hour, []Action{Publish}},
		{"pending, one server lags", Key{State: Pending, Since: ago(day), Record: text}, with(listed, partly), Pending, ago(day), 5 * time.Minute, nil},
		{"pending, everywhere", Key{State: Pending, Since: ago(day), Record: text, Memory: time.Minute}, with(listed, everywhere), Published, noon, time.Minute, nil},
		{"pending, everywhere, nobody knows what was before", Key{State: Pending, Since: ago(day), Record: text}, with(listed, everywhere), Published, noon, time.Hour, nil},
		{"pending, and it signs", Key{State: Pending, Since: ago(day), Record: text}, signs, Active, noon, 0, []Action{Switch}},
		{"pending, and it signs without a record", Key{State: Pending, Since: ago(day), Record: text}, with(signs, missing), Active, noon, 0, []Action{Switch, WarnGone}},

		{"published, too early", Key{State: Published, Since: ago(time.Minute), Memory: time.Minute}, with(listed, everywhere), Published, ago(time.Minute), time.Minute, nil},
		{"published, in time", Key{State: Published, Since: ago(61 * time.Second), Memory: time.Minute}, with(listed, everywhere), Active, noon, time.Minute, []Action{Switch}},
		{"published, in time, the other is not", Key{State: Published, Since: ago(day), Memory: time.Minute}, with(listed, apart), Published, ago(day), time.Minute, nil},
		{"published, in time, nobody answers", Key{State: Published, Since: ago(day), Memory: time.Minute}, listed, Published, ago(day), time.Minute, nil},
		{"published, the record disappears", Key{State: Published, Since: ago(day), Memory: time.Minute}, with(listed, missing), Pending, noon, 5 * time.Minute, []Action{WarnBack}},
		{"published, one server lost it", Key{State: Published, Since: ago(day), Memory: time.Minute}, with(listed, partly), Pending, noon, 5 * time.Minute, []Action{WarnBack}},
		{"published, its row is gone", Key{State: Published, Since: ago(day), Memory: time.Minute}, with(with(listed, everywhere), unlisted), Pending, noon, time.Minute, []Action{Make}},
		{"published, and it signs", Key{State: Published, Since: ago(0), Memory: time.Hour}, with(signs, everywhere), Active, noon, time.Hour, []Action{Switch}},
		{"published, the clock was put back", Key{State: Published, Since: ago(-day), Memory: time.Minute}, with(listed, everywhere), Published, noon, time.Minute, nil},
		{"published, the clock was put forward", Key{State: Published, Since: ago(1000 * day), Memory: time.Minute}, with(listed, everywhere), Active, noon, time.Minute, []Action{Switch}},

		{"active", Key{State: Active, Since: ago(day)}, with(signs, everywhere), Active, ago(day), 0, nil},
		{"active, nobody answers", Key{State: Active, Since: ago(day)}, signs, Active, ago(day), 0, nil},
		{"active, the record disappears", Key{State: Active, Since: ago(day)}, with(signs, missing), Active, ago(day), 0, []Action{WarnGone}},
		{"active, one server lost it", Key{State: Active, Since: ago(day)}, with(signs, partly), Active, ago(day), 0, []Action{WarnGone}},
		{"active, replaced", Key{State: Active, Since: ago(day)}, with(signs, replaced), Retiring, noon, 0, nil},
		{"active, replaced in part", Key{State: Active, Since: ago(day)}, with(signs, func(s *Sight) { s.Replaced = true }), Active, ago(day), 0, nil},
		{"active, taken out by a person", Key{State: Active, Since: ago(day)}, with(signs, func(s *Sight) { s.Signs = false }), Forgotten, noon, 0, nil},
		{"active, the clock was put back", Key{State: Active, Since: ago(-day)}, signs, Active, noon, 0, nil},

		{"retiring", Key{State: Retiring, Since: ago(6 * day), Keep: 7 * day}, with(listed, everywhere), Retiring, ago(6 * day), 0, nil},
		{"retiring, to the second", Key{State: Retiring, Since: ago(7 * day), Keep: 7 * day}, with(listed, everywhere), Retiring, ago(7 * day), 0, nil},
		{"retiring, over", Key{State: Retiring, Since: ago(8 * day), Keep: 7 * day}, with(listed, everywhere), Retired, noon, 0, []Action{Revoke, Remove}},
		{"retiring, over, nobody answers", Key{State: Retiring, Since: ago(8 * day), Keep: 7 * day}, listed, Retired, noon, 0, []Action{Revoke, Remove}},
		{"retiring, the record disappears", Key{State: Retiring, Since: ago(day), Keep: 7 * day}, with(listed, missing), Retiring, ago(day), 0, []Action{WarnGone}},
		{"retiring, its row is put back", Key{State: Retiring, Since: ago(8 * day), Keep: 7 * day}, with(signs, everywhere), Active, noon, 0, []Action{WarnSigns}},
		{"retiring, the clock was put back", Key{State: Retiring, Since: ago(-day), Keep: 7 * day}, with(listed, everywhere), Retiring, noon, 0, nil},

		{"retired, still published", Key{State: Retired, Since: ago(30 * day), Keep: 7 * day}, with(Sight{}, everywhere), Retired, ago(30 * day), 0, []Action{Revoke}},
		{"retired, still published somewhere", Key{State: Retired, Since: ago(day), Keep: 7 * day}, with(Sight{}, partly), Retired, ago(day), 0, []Action{Revoke}},
		{"retired and revoked, for a while", Key{State: Retired, Since: ago(day), Keep: 7 * day}, with(Sight{}, missing), Retired, ago(day), 0, nil},
		{"retired and revoked", Key{State: Retired, Since: ago(8 * day), Keep: 7 * day}, with(Sight{}, missing), Forgotten, noon, 0, nil},
		{"retired, nobody answers", Key{State: Retired, Since: ago(30 * day), Keep: 7 * day}, Sight{}, Retired, ago(30 * day), 0, nil},
		{"retired, put back", Key{State: Retired, Since: ago(day), Keep: 7 * day}, with(signs, everywhere), Active, noon, 0, []Action{WarnSigns}},
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
		key     Key
		sight   Sight
		actions []Action
		ok      bool
	}{
		{"not made", Key{State: Pending}, Sight{}, []Action{Remove}, true},
		{"pending", Key{State: Pending, Record: "x"}, Sight{Listed: true}, []Action{Withdraw, Remove}, true},
		{"published", Key{State: Published, Record: "x"}, Sight{Listed: true}, []Action{Withdraw, Remove}, true},
		{"published, and it signs", Key{State: Published, Record: "x"}, Sight{Listed: true, Signs: true}, nil, false},
		{"active", Key{State: Active, Record: "x"}, Sight{}, nil, false},
		{"retiring", Key{State: Retiring, Record: "x"}, Sight{}, nil, false},
		{"retired", Key{State: Retired, Record: "x"}, Sight{}, nil, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if actions, ok := Abort(tt.key, tt.sight); ok != tt.ok || !slices.Equal(actions, tt.actions) {
				t.Errorf("%v, %v", actions, ok)
			}
		})
	}
}
