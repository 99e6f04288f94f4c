package milter

import (
	"strings"

	"github.com/postseal/postseal/config"
)

// redirected are the recipients of a message that may be sent to
// redirect_failures_to in place of them.
type redirected struct {
	from  []string
	bytes int
	over  bool // there are more than can be kept
}

// maxRedirected bounds what a message's recipients take, in bytes: far more
// than an MTA accepts in one transaction.
const maxRedirected = 1 << 20

// noteRecipient keeps a recipient, once, where redirect_failures_to needs it.
func (m *message) noteRecipient(address string) {
	r := &m.redirected
	if m.snapshot.cfg.RedirectFailuresTo == "" || r.over {
		return
	}
	const each = 16 // what a string takes beside its bytes
	if r.bytes += len(address) + each; r.bytes > maxRedirected {
		r.over = true
		return
	}
	r.from = append(r.from, address)
}

// boundRedirection defers a message that should be redirected and has more
// recipients than could be kept: some would get it all the same.
func (m *message) boundRedirection() {
	if m.outcome.broken && m.redirected.over {
		m.outcome.disposition = disposition{config.Tempfail, "5.3", "too many recipients"}
	}
}

// redirect sends a message with a broken signature to redirect_failures_to. Its
// recipients become header fields. The error is the connection's, or that of a
// recipient with octets that no address and no field may hold.
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
