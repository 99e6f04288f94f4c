package milter

import (
	"context"
	"errors"
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
	recipients []string
	fields     []dkim.Field
	size       int     // bytes of the header so far
	excess     *Reason // the limit that the header exceeds

	decision Decision
	body     *dkim.Body
	signers  []signer
	verifier *dkim.Verifier
	own      *dkim.Verifier     // for sign_once: our own signatures that are there already
	cancel   context.CancelFunc // of the key look-ups

	outcome outcome
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

// addField keeps a header field, up to the limits of the configuration.
func (m *message) addField(name, value string) {
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
		m.fields = append(m.fields, dkim.Field{Name: name, Value: value})
	}
}

// endOfHeader decides what is done with the message and sets it going.
func (m *message) endOfHeader() reply {
	m.body = dkim.NewBody()
	if m.excess != nil {
		m.decision = Decision{Verdict: Pass, Reasons: []Reason{*m.excess}, Warn: true}
		return m.dispose(disposition{m.snapshot.cfg.OnSecurity, "7.0", "message exceeds a limit of this filter"})
	}
	s := m.session
	m.decision = m.snapshot.Decide(Facts{
		Host: s.host, Addr: s.addr, Macro: s.macros.Get, MailFrom: m.mailFrom, Recipients: m.recipients,
		Fields: m.fields, Mode: m.snapshot.mode(s.socket),
	})
	switch m.decision.Verdict {
	case Sign:
		return m.beginSigning()
	case Verify:
		m.beginVerifying()
	case BadFrom:
		why := m.decision.Reasons[len(m.decision.Reasons)-1]
		m.outcome.badFrom(why)
		if d := (disposition{m.snapshot.cfg.OnBadFrom, "7.0", why.String()}); d.action != config.Accept {
			return m.dispose(d)
		}
	case Refuse:
		return m.dispose(disposition{m.snapshot.cfg.OnInternalError, "7.0", "DKIM signing is not possible for now"})
	case Pass:
		return m.last(wire.Accept())
	}
	return goOn()
}

// bodyChunk hashes a piece of the body.
func (m *message) bodyChunk(p []byte) reply {
	if m.body == nil {
		m.body = dkim.NewBody() // no end of header came: nothing is decided, nothing wants the body
	}
	_, _ = m.body.Write(p)
	if m.body.Done() {
		return skip()
	}
	return goOn()
}

// errNoHeader is an end of message before the end of the header.
var errNoHeader = errors.New("end of message without end of header")

// endOfMessage signs or judges. p is a last piece of the body, which some MTAs
// send with the command.
func (m *message) endOfMessage(p []byte) (reply, error) {
	if m.decision.Verdict == "" {
		return reply{}, errNoHeader
	}
	m.outcome.began = time.Now()
	m.bodyChunk(p)
	m.body.Close()
	switch m.decision.Verdict {
	case Sign:
		return m.sign()
	case Verify:
		return m.judge()
	default:
		return m.conclude()
	}
}

// disposition is an action on the message, with the reply that the SMTP peer
// reads where the action has one: the enhanced status code without its class
// (RFC 3463), and words.
type disposition struct {
	action   config.Action
	enhanced string
	text     string
}

// dispose ends the message at the end of its header. Quarantine waits for the
// end of message, the only place where the protocol has it.
func (m *message) dispose(d disposition) reply {
	m.outcome.disposition = d
	switch d.action {
	case config.Quarantine:
		return goOn()
	default:
		return m.last(m.replyFor(d))
	}
}

// replyFor is the milter reply for an action.
func (m *message) replyFor(d disposition) wire.Reply {
	switch d.action {
	case config.Discard:
		return wire.Discard()
	case config.Reject, config.Tempfail:
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

// removeForged deletes the Authentication-Results fields that claim to be
// ours, and the old signatures where told. The highest index goes first: the
// MTA counts again after each (CVE-2022-48521).
func (m *message) removeForged() error {
	cfg := m.snapshot.cfg
	if m.decision.Verdict == Sign && cfg.RemoveOldSignatures {
		if err := m.remove("DKIM-Signature", func(string) bool { return true }); err != nil {
			return err
		}
	}
	// Mail of our own hosts may carry results of ours from the way in.
	if cfg.KeepAuthResults || m.decision.Verdict == Sign && m.decision.Internal {
		return nil
	}
	ids := append([]string{m.authservID()}, m.snapshot.removeARFrom...)
	return m.remove("Authentication-Results", func(value string) bool {
		if !authres.ClaimsAny(value, ids) {
			return false
		}
		if cfg.RemoveARAll {
			return true
		}
		h, err := authres.Parse(value)
		return err != nil || hasMethod(h, "dkim")
	})
}

func hasMethod(h authres.Header, method string) bool {
	for _, r := range h.Results {
		if r.Method == method {
			return true
		}
	}
	return false
}

// remove deletes the fields called name whose value matches, from the last up.
func (m *message) remove(name string, matches func(value string) bool) error {
	var at []int // counted from 1 among the fields of this name
	n := 0
	for _, f := range m.fields {
		if f.Is(name) {
			n++
			if matches(f.Value) {
				at = append(at, n)
			}
		}
	}
	for i := len(at) - 1; i >= 0; i-- {
		if err := m.session.wire.ChangeHeader(at[i], name, ""); err != nil {
			return err
		}
	}
	return nil
}

// authservID is our name in Authentication-Results (RFC 8601 §2.5).
func (m *message) authservID() string {
	switch id := m.snapshot.cfg.AuthservID; id {
	case "":
		if j, ok := m.session.macros.Get("j"); ok && j != "" {
			return j
		}
	case "HOSTNAME":
	default:
		return id
	}
	return m.session.server.hostname
}

// conclude writes what the outcome asks for and answers the end of message.
func (m *message) conclude() (reply, error) {
	w := m.session.wire
	if err := m.removeForged(); err != nil {
		return reply{}, err
	}
	if len(m.outcome.results) > 0 {
		id := m.authservID()
		if q := m.queueID(); m.snapshot.cfg.AuthservIDWithJobID && q != "" {
			id += "/" + q
		}
		h := authres.Header{AuthservID: id, Results: m.outcome.results}
		if err := w.InsertHeader(0, "Authentication-Results", h.String()); err != nil {
			return reply{}, err
		}
	}
	for _, f := range m.outcome.signatures {
		if err := w.InsertHeader(0, f.Name, f.Value); err != nil {
			return reply{}, err
		}
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
