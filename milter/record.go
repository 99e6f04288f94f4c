package milter

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"strings"
	"sync"
	"time"

	"github.com/postseal/postseal/config"
)

// counters count what happened since the start. The keys are closed sets.
type counters struct {
	mu       sync.Mutex
	verdicts map[Verdict]uint64
	reasons  map[Code]uint64
	actions  map[string]uint64
	results  map[string]uint64
}

// Counts is a copy of the counters.
type Counts struct {
	// Messages counts by verdict.
	Messages map[Verdict]uint64 `json:"messages"`
	// Reasons counts the steps of decisions.
	Reasons map[Code]uint64 `json:"reasons"`
	// Actions counts by the action taken.
	Actions map[string]uint64 `json:"actions"`
	// Results counts verified signatures by result.
	Results map[string]uint64 `json:"results"`
}

func add[K comparable](m *map[K]uint64, k K) {
	if *m == nil {
		*m = map[K]uint64{}
	}
	(*m)[k]++
}

// count counts a reason that stands without a message.
func (s *Server) count(c Code) {
	s.counters.mu.Lock()
	defer s.counters.mu.Unlock()
	add(&s.counters.reasons, c)
}

// Counts returns the counters.
func (s *Server) Counts() Counts {
	c := &s.counters
	c.mu.Lock()
	defer c.mu.Unlock()
	return Counts{maps.Clone(c.verdicts), maps.Clone(c.reasons), maps.Clone(c.actions), maps.Clone(c.results)}
}

// record counts a message that has ended and writes its line.
func (s *Server) record(m *message) {
	d, o := &m.decision, &m.outcome
	action := o.disposition.action
	c := &s.counters
	c.mu.Lock()
	add(&c.verdicts, d.Verdict)
	for _, r := range d.Reasons {
		add(&c.reasons, r.Code)
	}
	add(&c.actions, action.String())
	for _, r := range o.verified {
		add(&c.results, string(r.Status))
	}
	c.mu.Unlock()

	level := slog.LevelInfo
	if d.Warn && !o.passed || action != config.Accept {
		level = slog.LevelWarn
	}
	log := m.session.log
	if !log.Enabled(context.Background(), level) {
		return
	}
	attrs := []slog.Attr{
		slog.String("queue_id", orUnknown(m.queueID())),
		slog.String("client", Facts{Host: m.session.host, Addr: m.session.addr}.client()),
		slog.String("from_domain", d.Author.Domain),
		slog.String("decision", string(d.Verdict)),
		slog.String("reason", Words(d.Reasons)),
	}
	if len(o.signedWith) > 0 {
		names := make([]string, len(o.signedWith))
		for i, r := range o.signedWith {
			names[i] = keyName{r.Selector, r.Domain}.dns()
		}
		attrs = append(attrs, slog.String("signed", strings.Join(names, " ")))
	}
	if d.Verdict == Verify {
		attrs = append(attrs, slog.String("results", o.words()))
	}
	if action != config.Accept {
		attrs = append(attrs, slog.String("action", action.String()), slog.String("reply", o.disposition.text))
	}
	if !o.began.IsZero() {
		attrs = append(attrs, slog.Duration("duration", time.Since(o.began).Round(time.Microsecond)))
	}
	log.LogAttrs(context.Background(), level, "message", attrs...)
}

// words are the results of the signatures.
func (o *outcome) words() string {
	if len(o.verified) == 0 {
		return "none"
	}
	const most = 10 // a line stays readable
	var b strings.Builder
	for i, r := range o.verified {
		if i > 0 {
			b.WriteString("; ")
		}
		if i == most {
			fmt.Fprintf(&b, "and %d more", len(o.verified)-most)
			break
		}
		fmt.Fprintf(&b, "%s d=%s s=%s a=%s", r.Status, bare(r.Domain), bare(r.Selector), bare(string(r.Algorithm)))
		if r.Err != nil {
			fmt.Fprintf(&b, " %s", quoted(clip(r.Err.Error())))
		}
	}
	return b.String()
}

func orUnknown(id string) string {
	if id == "" {
		return "unknown"
	}
	return id
}
