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

// counters count what happened since the start.
type counters struct {
	mu sync.Mutex
	Counts
}

// Counts are messages and their steps. The keys are closed sets.
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

func newCounts() Counts {
	return Counts{map[Verdict]uint64{}, map[Code]uint64{}, map[string]uint64{}, map[string]uint64{}}
}

// count counts a reason that stands without a message.
func (s *Server) count(c Code) {
	s.counters.mu.Lock()
	defer s.counters.mu.Unlock()
	s.counters.Reasons[c]++
}

// Counts returns a copy of the counters.
func (s *Server) Counts() Counts {
	c := &s.counters
	c.mu.Lock()
	defer c.mu.Unlock()
	return Counts{maps.Clone(c.Messages), maps.Clone(c.Reasons), maps.Clone(c.Actions), maps.Clone(c.Results)}
}

// record counts a message that has ended and writes its line.
func (s *Server) record(m *message) {
	d, o := &m.decision, &m.outcome
	action := o.disposition.action
	c := &s.counters
	c.mu.Lock()
	c.Messages[d.Verdict]++
	for _, r := range d.Reasons {
		c.Reasons[r.Code]++
	}
	c.Actions[action.String()]++
	for _, r := range o.verified {
		c.Results[string(r.Status)]++
	}
	c.mu.Unlock()
	s.lines.message(m)
	if s.lines.instead() {
		return
	}

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
		slog.String("from_domain", clipTo(d.Author.Domain, maxArg)),
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
		attrs = append(attrs, slog.String("action", action.String()), slog.String("reply", clipTo(o.disposition.text, maxArg)))
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
