package milter

import (
	"fmt"
	"log/syslog"
	"net/netip"
	"slices"
	"strings"

	"github.com/postseal/postseal/config"
	"github.com/postseal/postseal/keys"
	"github.com/postseal/postseal/milter/authres"
	"github.com/postseal/postseal/milter/dkim"
)

// lineFacts is all that OpenDKIM's lines tell of a message.
type lineFacts struct {
	cfg      *config.Config
	job      string // queue id, "" if unknown
	host     string // the client
	addr     netip.Addr
	mtaHost  string // macros j and {daemon_name}, "" if not set
	mtaName  string
	fields   []dkim.Field
	decision Decision
	outcome  outcome

	// byDomain: domain, selector and key_file say who signs, and not tables.
	byDomain bool
	// ownDomain is d= for the sender then, "" if there is none.
	ownDomain string
	// ignored: the client is in external_ignore_list.
	ignored bool
	// unreadResults counts the Authentication-Results fields that cannot be read.
	unreadResults int
}

// lineFacts collects them at the end of a message.
func (m *message) lineFacts() lineFacts {
	s := m.snapshot
	f := lineFacts{
		cfg: s.cfg, job: m.queueID(), host: m.session.host, addr: address(m.session.addr),
		fields: m.fields, decision: m.decision, outcome: m.outcome,
		byDomain: !s.cfg.SigningTable.IsSet() && s.cfg.Domain.IsSet(),
	}
	f.mtaHost, _ = m.session.macros.Get("j")
	f.mtaName, _ = m.session.macros.Get("daemon_name")
	if f.byDomain {
		sender := m.decision.Sender
		requests, err := s.keys.Select(keys.Address{Local: sender.Local, Domain: sender.Domain})
		if err == nil && len(requests) > 0 {
			f.ownDomain = strings.ToLower(requests[0].Domain)
		}
		_, f.ignored = s.externalIgnore.Match(f.host, f.addr)
	}
	if m.decision.Verdict == Verify && !s.cfg.KeepAuthResults {
		for _, field := range m.fields {
			if field.Is("Authentication-Results") {
				if _, err := authres.Parse(field.Value); err != nil {
					f.unreadResults++
				}
			}
		}
	}
	return f
}

// messageLines are the lines for a message, in the order in which OpenDKIM
// writes them.
func messageLines(f lineFacts) []line {
	w := lineWriter{lineFacts: f}
	for _, name := range f.decision.Ignored {
		w.bare(syslog.LOG_NOTICE, "ignoring header field '%s'", name)
	}
	if w.limits() || w.decided() {
		return w.lines
	}
	w.failures()
	w.withheld()
	for _, r := range f.outcome.signedWith {
		w.success("DKIM-Signature field added (s=%s, d=%s)", r.Selector, r.Domain)
	}
	if f.decision.Verdict == Verify {
		w.verified()
	}
	return w.lines
}

// lineWriter collects lines.
type lineWriter struct {
	lineFacts
	lines []line
}

// bare adds a line without the queue id.
func (w *lineWriter) bare(s syslog.Priority, format string, args ...any) {
	w.lines = append(w.lines, line{s, fmt.Sprintf(format, args...)})
}

// add adds a line with the queue id.
func (w *lineWriter) add(s syslog.Priority, format string, args ...any) {
	job := w.job
	if job == "" {
		job = "(unknown-jobid)"
	}
	w.bare(s, "%s: "+format, append([]any{job}, args...)...)
}

// why adds a line that LogWhy asks for, success one for SyslogSuccess.
func (w *lineWriter) why(format string, args ...any) {
	if w.cfg.LogWhy {
		w.add(syslog.LOG_INFO, format, args...)
	}
}

func (w *lineWriter) success(format string, args ...any) {
	if w.cfg.SyslogSuccess {
		w.add(syslog.LOG_INFO, format, args...)
	}
}

// reason finds a step of the decision.
func (w *lineWriter) reason(codes ...Code) *Reason {
	i := slices.IndexFunc(w.decision.Reasons, func(r Reason) bool { return slices.Contains(codes, r.Code) })
	if i < 0 {
		return nil
	}
	return &w.decision.Reasons[i]
}

// limits tells of a header that is too large. It reports whether that is all.
func (w *lineWriter) limits() (done bool) {
	if w.reason(ReasonHeaderSize, ReasonHeaderFields) == nil {
		return false
	}
	w.bare(syslog.LOG_NOTICE, "too much header data")
	return true
}

// decided tells of the decision. It reports whether that is all.
func (w *lineWriter) decided() (done bool) {
	if w.noSender() {
		return true
	}
	if r := w.reason(ReasonExemptDomain); r != nil {
		w.why("domain '%s' exempted, accepting", strings.ToLower(r.Args[0]))
		return true
	}
	if w.cfg.MTA.IsSet() && w.reason(ReasonMTAMatch) == nil {
		w.why("no MTA name match (host=%s, MTA=%s)", orElse(w.mtaHost, "(null)"), orElse(w.mtaName, "?"))
	}
	if w.cfg.MacroList.IsSet() && w.reason(ReasonMTAMatch, ReasonMacroMatch) == nil {
		w.why("no macros match")
	}
	outside := w.reason(ReasonNotInternal) != nil
	if outside {
		w.why("%s [%s] not internal", w.host, w.addr)
		w.why("not authenticated")
	}
	domain := strings.ToLower(w.decision.Sender.Domain)
	if w.byDomain && w.ownDomain != domain {
		w.why("no signing domain match for '%s'", domain)
	}
	switch {
	case w.byDomain && w.ownDomain == "":
		w.why("no signing subdomain match for '%s'", domain)
	case w.byDomain && outside && !w.ignored:
		w.add(syslog.LOG_NOTICE, "external host %s attempted to send as %s", w.host, w.ownDomain)
	case !w.byDomain && w.cfg.SigningTable.IsSet() && w.reason(ReasonNoRow) != nil:
		w.why("no signing table match for '%s@%s'", w.decision.Sender.Local, domain)
	}
	if r := w.reason(ReasonRecipient); r != nil {
		w.add(syslog.LOG_INFO, "skipping signing of mail to '%s'", r.Args[0])
		return true
	}
	if r := w.reason(ReasonBodyLength); r != nil && w.decision.Verdict != Pass && len(w.decision.failures) == 0 {
		w.add(syslog.LOG_INFO, "BodyLengthDB matched %s, signing with l= requested", r.Args[0])
	}
	if r := w.reason(ReasonRequiredFields); r != nil {
		w.add(syslog.LOG_INFO, "RFC5322 header requirement error: %s", r.Args[0])
		return true
	}
	return w.decision.Verdict == Malformed
}

// withheld tells of keys that did not sign as unpublished_keys asks, which OpenDKIM
// does not have: of each with LogWhy, and in any case where no other key signed.
func (w *lineWriter) withheld() {
	for _, r := range w.decision.Reasons {
		switch {
		case r.Code != ReasonKeyUnpublished && r.Code != ReasonKeyUnseen:
		case len(w.outcome.signedWith) == 0:
			w.add(syslog.LOG_WARNING, "%s", r.String())
		default:
			w.why("%s", r.String())
		}
	}
}

// noSender tells of a header that does not say whose the message is. It
// reports whether that is all.
func (w *lineWriter) noSender() (done bool) {
	if w.reason(ReasonRequiredFields) != nil {
		return false
	}
	if r := w.reason(ReasonNoFrom, ReasonManyFrom); r != nil {
		accepting := "; accepting"
		if w.outcome.disposition.action != config.Accept {
			accepting = ""
		}
		w.add(syslog.LOG_INFO, "can't determine message sender%s", accepting)
		return true
	}
	if w.reason(ReasonBadFrom) != nil {
		w.unreadable("From")
		return w.decision.Verdict != Verify // weak_syntax_checks
	}
	if r := w.reason(ReasonMacroUnread); r != nil {
		w.add(syslog.LOG_INFO, "can't parse macro %s header value '%s'", w.cfg.SenderMacro, r.Args[1])
		return true
	}
	if r := w.reason(ReasonSenderUnread); r != nil {
		w.unreadable(r.Args[0])
	}
	return false
}

func (w *lineWriter) unreadable(name string) {
	i := slices.IndexFunc(w.fields, func(f dkim.Field) bool { return f.Is(name) })
	if i >= 0 {
		w.add(syslog.LOG_INFO, "can't parse %s: header value '%s'", w.fields[i].Name, strings.ReplaceAll(w.fields[i].Value, "\r\n", "\n"))
	}
}

// orElse is the value of a macro, or what OpenDKIM writes without one.
func orElse(macro, otherwise string) string {
	if macro == "" {
		return otherwise
	}
	return macro
}
