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
	took := time.Since(m.outcome.began)
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
	log.LogAttrs(context.Background(), level, "message", m.attrs(took)...)
}

// attrs are what the line of a message says. What people look for comes first: a
// text with a blank or a "=" is quoted, so before the first quotation mark of a
// line every word that looks like an attribute is one, whatever the mail says.
func (m *message) attrs(took time.Duration) []slog.Attr {
	d, o := &m.decision, &m.outcome
	refused := o.disposition.action != config.Accept
	attrs := []slog.Attr{
		slog.String("queue_id", orUnknown(m.queueID())),
		slog.String("decision", string(d.Verdict)),
		slog.String("result", m.result()),
	}
	if refused {
		attrs = append(attrs, slog.String("action", o.disposition.action.String()))
	}
	attrs = append(attrs,
		slog.Duration("duration", took.Round(time.Microsecond)),
		slog.String("from_domain", clipTo(d.Author.Domain, maxArg)))
	if len(o.signedWith) > 0 {
		names := make([]string, len(o.signedWith))
		for i, r := range o.signedWith {
			names[i] = keyName{r.Selector, r.Domain}.dns()
		}
		attrs = append(attrs, slog.String("signed", strings.Join(names, ",")))
	}
	attrs = append(attrs, slog.String("client", Facts{Host: m.session.host, Addr: m.session.addr}.client()))
	if login, ok := m.session.macros.Get("auth_authen"); ok && login != "" {
		attrs = append(attrs, slog.String("login", clipTo(login, maxArg)))
	}
	attrs = append(attrs, slog.String("reason", Words(d.Reasons)))
	if d.Verdict == Verify {
		attrs = append(attrs, slog.String("results", o.words()))
	}
	if refused {
		attrs = append(attrs, slog.String("reply", clipTo(o.disposition.text, maxArg)))
	}
	return attrs
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
