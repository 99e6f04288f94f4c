package milter

import (
	"strings"
	"unicode"

	"github.com/postseal/postseal/config"
)

// redirected are the recipients of a message that may be sent to
// redirect_failures_to in place of them.
type redirected struct {
	from  []string
	bytes int
	// trouble is why they cannot be replaced, and how such mail is answered.
	trouble disposition
}

// maxRedirected bounds what a message's recipients take, in bytes: far more
// than an MTA accepts in one transaction.
const maxRedirected = 1 << 20

// noteRecipient keeps a recipient where redirect_failures_to needs it.
func (m *message) noteRecipient(address string) {
	r := &m.redirected
	if m.snapshot.cfg.RedirectFailuresTo == "" || r.trouble.enhanced != "" {
		return
	}
	const each = 16 // what a string takes beside its bytes
	r.bytes += len(address) + each
	switch {
	case address == "" || len(address) > maxAddress || strings.ContainsFunc(address, unicode.IsControl):
		r.trouble = disposition{config.Tempfail, "1.3", "a recipient's address cannot be replaced"}
	case r.bytes > maxRedirected:
		r.trouble = disposition{config.Tempfail, "5.3", "too many recipients"}
	default:
		r.from = append(r.from, address)
	}
}

// checkRedirection defers a message that should be redirected, and so is
// delivered, and has recipients that could not be kept: they would get it all
// the same.
func (m *message) checkRedirection() {
	a := m.outcome.disposition.action
	if m.outcome.broken && m.redirected.trouble.enhanced != "" && (a == config.Accept || a == config.Quarantine) {
		m.outcome.disposition = m.redirected.trouble
	}
}

// redirect sends a message with a broken signature to redirect_failures_to. Its
// recipients become header fields. The error is the connection's.
func (m *message) redirect() error {
	to := m.snapshot.cfg.RedirectFailuresTo
	if to == "" || !m.outcome.broken {
		return nil
	}
	w := m.session.wire
	for _, rcpt := range m.redirected.from {
		if err := w.DeleteRecipient(rcpt); err != nil {
			return err
		}
		kind := "rfc822;"
		if strings.ContainsFunc(rcpt, func(r rune) bool { return r > '~' }) {
			kind = "utf-8;" // RFC 6533 §3
		}
		if err := w.AddHeader("Original-Recipient", " "+kind+rcpt); err != nil {
			return err
		}
	}
	return w.AddRecipient(to)
}
