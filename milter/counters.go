package milter

import (
	"slices"
	"sync"
	"time"

	"github.com/postseal/postseal/config"
	"github.com/postseal/postseal/milter/dkim"
	"github.com/postseal/postseal/milter/latency"
	"github.com/postseal/postseal/milter/monitor"
)

// counters count what happened to messages since the start. From the start on the
// maps have all that they will ever have.
type counters struct {
	mu         sync.Mutex
	messages   map[monitor.Outcome]uint64
	reasons    map[Code]uint64
	actions    map[config.Action]uint64
	results    map[dkim.Status]uint64 // of verified signatures
	signatures map[dkim.Algorithm]uint64
	duration   latency.Histogram
}

func newCounters() *counters {
	c := &counters{
		messages: map[monitor.Outcome]uint64{}, reasons: map[Code]uint64{}, actions: map[config.Action]uint64{},
		results:    map[dkim.Status]uint64{},
		signatures: map[dkim.Algorithm]uint64{dkim.RSASHA256: 0, dkim.Ed25519SHA256: 0},
	}
	for _, verdict := range []Verdict{Sign, Verify, Pass, BadFrom, Malformed, Refuse} {
		for _, result := range resultsOf(verdict) {
			c.messages[monitor.Outcome{Decision: string(verdict), Result: result}] = 0
		}
	}
	for code := range reasonWords {
		c.reasons[code] = 0
	}
	for a := config.Accept; a <= config.Tempfail; a++ {
		c.actions[a] = 0
	}
	for _, status := range statuses {
		if status != dkim.None {
			c.results[status] = 0
		}
	}
	return c
}

// statuses are the results of signatures in the order in which one stands for a
// message: what passed, what may pass later, what was checked, what could not be,
// what was left out, and none.
var statuses = []dkim.Status{
	dkim.Pass, dkim.TempError, dkim.Policy, dkim.Fail, dkim.PermError, dkim.Neutral, dkim.None,
}

// The results of messages that should be signed, and of those that are neither
// signed nor verified.
const (
	resultSigned   = "signed"
	resultUnsigned = "unsigned"
	resultNone     = "none"
)

// resultsOf are the results that messages of a verdict may have.
func resultsOf(v Verdict) []string {
	switch v {
	case Sign:
		return []string{resultSigned, resultUnsigned}
	case Verify:
		all := make([]string, len(statuses))
		for i, status := range statuses {
			all[i] = string(status)
		}
		return all
	}
	return []string{resultNone}
}

// result is what came of a message, one of resultsOf.
func (m *message) result() string {
	switch m.decision.Verdict {
	case Sign:
		// A signature of ours that was there already is as good.
		there := func(r Reason) bool { return r.Code == ReasonAlreadySigned }
		if len(m.outcome.signedWith) > 0 || slices.ContainsFunc(m.decision.Reasons, there) && !m.disposed {
			return resultSigned
		}
		return resultUnsigned
	case Verify:
		best := len(statuses) - 1
		for i := range m.outcome.verified {
			best = min(best, slices.Index(statuses, m.outcome.verified[i].Status))
		}
		return string(statuses[best])
	}
	return resultNone
}

// message counts a message that has ended; took is the time for its answer.
func (c *counters) message(m *message, took time.Duration) {
	outcome := monitor.Outcome{Decision: string(m.decision.Verdict), Result: m.result()}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.messages[outcome]++
	for i := range m.decision.Reasons {
		c.reasons[m.decision.Reasons[i].Code]++
	}
	c.actions[m.outcome.disposition.action]++
	for i := range m.outcome.verified {
		c.results[m.outcome.verified[i].Status]++
	}
	for i := range m.outcome.signedWith {
		c.signatures[m.outcome.signedWith[i].algorithm]++
	}
	c.duration.Observe(took)
}

// count counts a reason that stands without a message.
func (s *Server) count(c Code) {
	s.counters.mu.Lock()
	defer s.counters.mu.Unlock()
	s.counters.reasons[c]++
}

// Counts are messages and their steps, as far as there were any. The keys are
// closed sets.
type Counts struct {
	// Messages counts by verdict, Outcomes by verdict and what came of it.
	Messages map[Verdict]uint64            `json:"messages"`
	Outcomes map[Verdict]map[string]uint64 `json:"outcomes"`
	// Reasons counts the steps of decisions.
	Reasons map[Code]uint64 `json:"reasons"`
	// Actions counts by the action taken.
	Actions map[string]uint64 `json:"actions"`
	// Results counts verified signatures by result.
	Results map[string]uint64 `json:"results"`
	// Signatures counts those that were made, by algorithm.
	Signatures map[string]uint64 `json:"signatures"`
	// Connections counts those of the MTA.
	Connections Connected `json:"connections"`
}

// Connected counts the MTA's connections since the start.
type Connected struct {
	Accepted uint64 `json:"accepted"`
	// Evicted were closed to make room for others, Refused found no room.
	Evicted uint64 `json:"evicted"`
	Refused uint64 `json:"refused"`
}

// Counts returns the counters as they are.
func (s *Server) Counts() Counts {
	c, connected := s.counters, s.Connected()
	c.mu.Lock()
	defer c.mu.Unlock()
	counts := Counts{
		Messages: map[Verdict]uint64{}, Outcomes: map[Verdict]map[string]uint64{},
		Reasons: positive(c.reasons, func(c Code) Code { return c }), Actions: positive(c.actions, config.Action.String),
		Results: positive(c.results, word[dkim.Status]), Signatures: positive(c.signatures, word[dkim.Algorithm]),
		Connections: connected,
	}
	for o, n := range c.messages {
		if n > 0 {
			v := Verdict(o.Decision)
			if counts.Outcomes[v] == nil {
				counts.Outcomes[v] = map[string]uint64{}
			}
			counts.Outcomes[v][o.Result] = n
			counts.Messages[v] += n
		}
	}
	return counts
}

// positive is a map of counters without those that are zero, under names of their own.
func positive[K, Name comparable](counters map[K]uint64, name func(K) Name) map[Name]uint64 {
	named := map[Name]uint64{}
	for k, n := range counters {
		if n > 0 {
			named[name(k)] = n
		}
	}
	return named
}
