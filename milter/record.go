package milter

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/postseal/postseal/config"
)

// record counts a message that has ended and writes its line.
func (s *Server) record(m *message) {
	d, o := &m.decision, &m.outcome
	action := o.disposition.action
	took := time.Since(o.began)
	s.counters.message(m, took)
	s.troubles.note(m, s.now())
	s.lines.message(m)
	if s.lines.instead() {
		return
	}

	level := slog.LevelInfo
	if m.warns() {
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
	attrs = append(attrs, slog.Duration("duration", took.Round(time.Microsecond)))
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
