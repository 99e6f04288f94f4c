package milter

import (
	"context"
	"slices"
	"strconv"
	"time"

	"github.com/postseal/postseal/config"
	"github.com/postseal/postseal/milter/authres"
	"github.com/postseal/postseal/milter/dkim"
	"github.com/postseal/postseal/milter/wire"
)

// message is one mail on its way through a session. Its header is kept, its
// body is hashed as it arrives and never held.
type message struct {
	session    *session
	snapshot   *Snapshot
	mailFrom   string
	recipients recipients
	fields     []dkim.Field
	size       int     // bytes of the header so far
	excess     *Reason // the limit that the header exceeds
	forged     forged  // fields that came and claim to be ours
	redirected redirected

	decision Decision
	body     *dkim.Body
	signers  []signer
	verifier *dkim.Verifier
	own      *dkim.Verifier     // for sign_once: our own signatures that are there already
	cancel   context.CancelFunc // of the key look-ups

	outcome  outcome
	disposed bool // the outcome stands since the end of the header
}

func newMessage(s *session, mailFrom string) *message {
	return &message{session: s, snapshot: s.snapshotForMessage(), mailFrom: mailFrom, cancel: func() {}}
}

// end gives up what the message holds: the look-ups that nobody waits for.
func (m *message) end() {
	if m != nil {
		m.cancel()
	}
}

// addField keeps a header field, up to the limits of the configuration. What
// exceeds them is looked at for forged results alone.
func (m *message) addField(name, value string) {
	f := dkim.Field{Name: name, Value: value}
	if f.Is("Authentication-Results") {
		m.noteResults(value)
	}
	m.size += len(name) + len(value) + len(":\r\n")
	cfg := m.snapshot.cfg
	switch {
	case m.excess != nil:
		return
	case m.size > cfg.MaximumHeaders:
		r := because(ReasonHeaderSize, strconv.Itoa(cfg.MaximumHeaders))
		m.excess = &r
	case len(m.fields) >= cfg.MaximumHeaderFields:
		r := because(ReasonHeaderFields, strconv.Itoa(cfg.MaximumHeaderFields))
		m.excess = &r
	default:
		m.fields = append(m.fields, f)
	}
}

// endOfHeader decides what is done with the message and sets it going.
func (m *message) endOfHeader() reply {
	m.outcome.began = time.Now()
	m.body = dkim.NewBody()
	if m.snapshot.cfg.FixCRLF {
		m.body.FixCRLF()
	}
	s := m.session
	mode := m.snapshot.mode(s.socket)
	if m.excess != nil {
		return m.exceeded(mode)
	}
	m.decision = m.snapshot.Decide(Facts{
		Host: s.host, Addr: s.addr, Macro: s.macros.Get, MailFrom: m.mailFrom, Recipients: m.recipients.list(),
		Fields: m.fields, Mode: mode,
	})
	switch m.decision.Verdict {
	case Sign:
		return m.beginSigning()
	case Verify:
		return m.beginVerifying()
	case BadFrom:
		if m.snapshot.cfg.IgnoreMalformedMail {
			return m.dispose(disposition{})
		}
		why := m.decision.Reasons[len(m.decision.Reasons)-1]
		if mode.Verify {
			m.outcome.unverifiable(why)
		}
		return m.dispose(disposition{m.snapshot.cfg.OnBadFrom, "7.0", why.String()})
	case Malformed:
		return m.malformed(mode.Verify)
	case Refuse:
		return m.dispose(m.cannotSign(m.snapshot.cfg.OnInternalError))
	}
	return m.dispose(disposition{}) // Pass
}

// exceeded ends a message whose header is above a limit. It is read no further,
// so where on_security accepts it, it passes unsigned and unverified. A header
// with more Authentication-Results than it may have fields is not accepted at all.
func (m *message) exceeded(mode config.Mode) reply {
	_, internal := m.snapshot.internalHosts.Match(m.session.host, address(m.session.addr))
	m.decision = Decision{Verdict: Pass, Reasons: []Reason{*m.excess}, Internal: internal, Warn: true}
	if mode.Verify {
		m.outcome.unverifiable(*m.excess)
	}
	d := disposition{m.snapshot.cfg.OnSecurity, "7.0", "message exceeds a limit of this filter"}
	if m.forged.uncounted && (d.action == config.Accept || d.action == config.Quarantine) {
		d.action = config.Reject
	}
	return m.dispose(d)
}

// bodyChunk hashes a piece of the body.
func (m *message) bodyChunk(p []byte) reply {
	_, _ = m.body.Write(p)
	if m.body.Done() {
		return skip()
	}
	return goOn()
}

// endOfMessage signs or judges. p is a last piece of the body, which some MTAs
// send with the command.
func (m *message) endOfMessage(p []byte) (reply, error) {
	m.outcome.began = time.Now()
	m.bodyChunk(p)
	m.body.Close()
	switch {
	case m.disposed:
		return m.conclude()
	case m.decision.Verdict == Sign:
		return m.sign()
	default: // Verify: whatever else there is has been disposed of
		return m.judge()
	}
}

// disposition is an action on the message, with the reply that the SMTP peer
// reads where the action has one: the enhanced status code without its class
// (RFC 3463), and words. Without a code, tempfail is the MTA's own reply.
type disposition struct {
	action   config.Action
	enhanced string
	text     string
}

// cannotSign is the disposition of mail that should be signed and cannot be:
// what is wrong with our keys is for the log. It is deferred without words, as
// OpenDKIM does and scripts expect.
func (m *message) cannotSign(a config.Action) disposition {
	d := disposition{a, "7.0", "DKIM signing is not possible for now"}
	if d.action == config.Tempfail {
		d.enhanced = ""
	}
	return d
}

// dispose settles what is done with the message and ends it, unless that needs
// a change to it: changes and quarantine wait for the end of message, the only
// place where the protocol has them.
func (m *message) dispose(d disposition) reply {
	m.outcome.disposition, m.disposed = d, true
	if d.action == config.Quarantine || d.action == config.Accept && (len(m.outcome.results) > 0 || m.mustClean()) {
		return goOn()
	}
	return m.last(m.replyFor(d))
}

// replyFor is the milter reply for an action.
func (m *message) replyFor(d disposition) wire.Reply {
	switch d.action {
	case config.Discard:
		return wire.Discard()
	case config.Reject, config.Tempfail:
		if d.enhanced == "" {
			return wire.Tempfail()
		}
		code, class := 550, "5."
		if d.action == config.Tempfail {
			code, class = 451, "4."
		}
		if r, err := wire.ReplyText(code, class+d.enhanced, d.text); err == nil {
			return r
		}
		return wire.Tempfail()
	}
	return wire.Accept()
}

// last logs the message and ends it with r.
func (m *message) last(r wire.Reply) reply {
	m.session.server.record(m)
	return finalReply(r)
}

// resultsSize is how long an Authentication-Results field of several results
// gets, in octets; the signatures of ordinary mail share one.
const resultsSize = 600

// conclude writes what the outcome asks for and answers the end of message.
func (m *message) conclude() (reply, error) {
	w := m.session.wire
	if err := m.clean(); err != nil {
		return reply{}, err
	}
	id := m.authservID()
	if q := m.queueID(); m.snapshot.cfg.AuthservIDWithJobID && q != "" {
		id += "/" + q
	}
	h := authres.Header{AuthservID: id, Results: m.outcome.results}
	for _, h := range slices.Backward(h.Split(resultsSize)) {
		if err := w.InsertHeader(0, "Authentication-Results", h.String()); err != nil {
			return reply{}, err
		}
	}
	for _, f := range m.outcome.signatures {
		if err := w.InsertHeader(0, f.Name, f.Value); err != nil {
			return reply{}, err
		}
	}
	if err := m.addSoftware(); err != nil {
		return reply{}, err
	}
	if err := m.redirect(); err != nil {
		return reply{}, err
	}
	d := m.outcome.disposition
	if d.action == config.Quarantine {
		if err := w.Quarantine(d.text); err != nil {
			return reply{}, err
		}
	}
	return m.last(m.replyFor(d)), nil
}

func (m *message) queueID() string {
	id, _ := m.session.macros.Get("i")
	return id
}
