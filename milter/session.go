package milter

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"runtime/debug"
	"sync/atomic"

	"github.com/postseal/postseal/milter/wire"
)

// stage is how far a session is with a message; the server asks when it has to
// choose which connections to end.
type stage int32

const (
	fresh stage = iota // nothing is negotiated
	idle               // outside a transaction
	busy               // MAIL has come: a message is on its way
)

// session is one connection of the MTA: many messages, one after the other.
type session struct {
	server *Server
	socket string // the listener's configuration, for its mode
	conn   *hurriedConn
	wire   *wire.Conn
	log    *slog.Logger

	stage atomic.Int32
	since atomic.Uint64 // when stage last changed, by the server's count of such changes

	fitting  atomic.Pointer[Snapshot] // the newest that asks for no more than was negotiated; nil before
	macros   wire.Macros
	host     string
	addr     netip.Addr
	msg      *message   // nil outside a transaction
	answered wire.Reply // how the last message ended; zero once the next step has come
}

// newSession serves conn. Until CONNECT comes, the client is a stranger.
func newSession(server *Server, socket string, conn net.Conn, log *slog.Logger) *session {
	hurried := &hurriedConn{Conn: conn}
	s := &session{server: server, socket: socket, conn: hurried, wire: wire.NewConn(hurried, server.limits), log: log}
	s.forgetClient()
	s.enter(fresh)
	return s
}

func (s *session) enter(st stage) {
	s.stage.Store(int32(st))
	s.since.Store(s.server.changes.Add(1))
}

// run serves the connection until it ends. A panic ends this session alone,
// with a temporary failure for the mail in it.
func (s *session) run() {
	var last wire.Command // the one that is handled, or was
	defer func() {
		if p := recover(); p != nil {
			s.log.Error("panic in a session; its message is deferred",
				"panic", fmt.Sprint(p), "command", last.String(), "stack", string(debug.Stack()))
			s.server.count(ReasonPanic)
			_ = s.wire.Reply(wire.CmdEOM, wire.Tempfail())
		}
		s.msg.end()
		s.conn.Close()
	}()
	for {
		cmd, payload, err := s.read()
		before := s.msg
		if err == nil {
			last = cmd
			err = s.handle(cmd, payload)
		}
		if err == nil && before != nil && before != s.msg && s.server.stopping.Load() {
			err = errQuit // the message has ended
		}
		if err != nil {
			s.explainEnd(last, err)
			return
		}
	}
}

// errQuit is the clean end of a session.
var errQuit = errors.New("quit")

// explainEnd logs why a session ended, where that is worth a line. last is the
// last command that came, 0 before the first.
func (s *session) explainEnd(last wire.Command, err error) {
	after := "nothing"
	if last != 0 {
		after = last.String()
	}
	var missing *wire.MissingActionsError
	switch {
	case errors.Is(err, errQuit), errors.Is(err, io.EOF), errors.Is(err, net.ErrClosed):
		s.log.Debug("connection ended", "after", after)
	case errors.As(err, &missing):
		s.log.Error("connection refused: the MTA does not offer what this configuration needs", "err", err)
	case errors.Is(err, os.ErrDeadlineExceeded):
		s.log.Warn("connection closed: the MTA was silent for too long", "after", after, "err", err)
	default:
		s.log.Warn("connection closed", "after", after, "err", err)
	}
}

// errOrder is a command at a place where it would do harm.
var errOrder = errors.New("command out of order")

// handle answers one command. An error ends the session.
func (s *session) handle(cmd wire.Command, p []byte) error {
	if s.fitting.Load() == nil && cmd != wire.CmdOptNeg && cmd != wire.CmdQuit {
		return errOrder
	}
	switch cmd {
	case wire.CmdOptNeg:
		return s.negotiate(p)
	case wire.CmdMacro:
		at, pairs, err := wire.ParseMacros(p)
		if err != nil {
			return err
		}
		return s.macros.Set(at, pairs)
	case wire.CmdConnect:
		return s.connect(p)
	case wire.CmdHelo, wire.CmdUnknown, wire.CmdData:
		return s.wire.Reply(cmd, wire.Continue())
	case wire.CmdMail:
		return s.mail(p)
	case wire.CmdRcpt, wire.CmdHeader, wire.CmdEOH, wire.CmdBody, wire.CmdEOM:
		return s.inMessage(cmd, p)
	case wire.CmdAbort:
		s.endMessage()
		return nil
	case wire.CmdQuit:
		return errQuit
	case wire.CmdQuitNC:
		s.endMessage()
		s.macros.Reset()
		s.forgetClient()
		return nil
	}
	return fmt.Errorf("unknown command %v", cmd)
}

// inMessage answers a command that belongs to a message. MTAs, and those who
// play one, leave steps out: a message may begin without MAIL (its sender is
// unknown then, which matches no author) and its header may end without EOH.
// What comes after the message's last reply gets that reply again.
func (s *session) inMessage(cmd wire.Command, p []byte) error {
	if s.msg == nil {
		again := cmd != wire.CmdRcpt && cmd != wire.CmdHeader
		if again && s.answered != (wire.Reply{}) {
			return s.wire.Reply(cmd, s.answered)
		}
		s.begin("")
	}
	decided := s.msg.decision.Verdict != ""
	switch cmd {
	case wire.CmdRcpt:
		if decided {
			return errOrder
		}
		return s.recipient(p)
	case wire.CmdHeader:
		if decided {
			return errOrder // it would be neither signed nor judged
		}
		return s.header(p)
	}
	if !decided {
		if r := s.msg.endOfHeader(); r.last || cmd == wire.CmdEOH {
			return s.finish(cmd, r)
		}
	}
	switch cmd {
	case wire.CmdBody:
		return s.finish(cmd, s.msg.bodyChunk(p))
	case wire.CmdEOM:
		r, err := s.msg.endOfMessage(p)
		if err != nil {
			return err
		}
		return s.finish(cmd, r)
	}
	return s.finish(cmd, goOn()) // EOH for the second time
}

// recipient takes note of a recipient. Only what a list names matters: a message
// may have any number.
func (s *session) recipient(p []byte) error {
	e, err := wire.ParseEnvelope(p)
	if err != nil {
		return err
	}
	s.msg.recipients.note(s.msg.snapshot, e.Address)
	s.msg.noteRecipient(e.Address)
	return s.wire.Reply(wire.CmdRcpt, wire.Continue())
}

func (s *session) header(p []byte) error {
	name, value, err := s.wire.ParseHeader(p)
	if err != nil {
		return err
	}
	s.msg.addField(name, value)
	return s.wire.Reply(wire.CmdHeader, wire.Continue())
}

func (s *session) negotiate(p []byte) error {
	s.endMessage()
	snapshot := s.server.snapshot.Load()
	agreed, err := s.wire.Negotiate(p, snapshot.want)
	if err != nil {
		return err
	}
	s.fitting.Store(snapshot)
	s.log.Debug("negotiated", "version", agreed.Version, "actions", agreed.Actions.String(), "steps", agreed.Steps.String())
	return nil
}

func (s *session) connect(p []byte) error {
	s.endMessage()
	c, err := wire.ParseConnect(p)
	if err != nil {
		return err
	}
	s.forgetClient()
	s.host = c.Host
	switch a, ok := c.Addr(); {
	case ok:
		s.addr = a
	case c.Family == wire.FamilyUnknown, c.Family == wire.FamilyUnix:
		s.addr = netip.Addr{} // local submission
	default: // an address that cannot be read is not local submission's
		s.log.Warn("the MTA names a client's address that cannot be read; the client counts as a stranger", "client", s.host, "address", c.Address)
	}
	if r, peer := s.server.snapshot.Load().Peer(Facts{Host: s.host, Addr: s.addr}); peer {
		s.log.Debug("connection left alone", "reason", r.String())
		s.server.count(r.Code)
		return s.wire.Reply(wire.CmdConnect, wire.Accept())
	}
	return s.wire.Reply(wire.CmdConnect, wire.Continue())
}

// mail begins a message. MAIL alone does: not every MTA sends ABORT after the
// message before.
func (s *session) mail(p []byte) error {
	e, err := wire.ParseEnvelope(p)
	if err != nil {
		return err
	}
	s.begin(e.Address)
	return s.wire.Reply(wire.CmdMail, wire.Continue())
}

// begin begins a message. The macros stay: those of its MAIL have come already.
func (s *session) begin(mailFrom string) {
	s.msg.end()
	s.msg = newMessage(s, mailFrom)
	s.answered = wire.Reply{}
	s.enter(busy)
}

// finish answers cmd. Any reply but Continue and Skip ends the message.
func (s *session) finish(cmd wire.Command, r reply) error {
	if err := s.wire.Reply(cmd, r.Reply); err != nil {
		return err
	}
	if r.last {
		s.endMessage()
		s.answered = r.Reply
	}
	return nil
}

// endMessage forgets the message and its macros, not the connection's.
func (s *session) endMessage() {
	s.msg.end()
	s.msg = nil
	s.answered = wire.Reply{}
	s.macros.EndMessage()
	s.enter(idle)
}

// forgetClient makes the client one that no list of addresses names but "all":
// nobody is internal because the MTA says nothing of him.
func (s *session) forgetClient() {
	s.host, s.addr = "unknown", netip.IPv4Unspecified()
}

// snapshotForMessage is the newest snapshot that needs no actions beyond those
// that this connection has negotiated.
func (s *session) snapshotForMessage() *Snapshot {
	newest := s.server.snapshot.Load()
	if newest.want.Actions&^s.wire.Agreed().Actions == 0 {
		s.fitting.Store(newest)
	}
	return s.fitting.Load()
}

// letGo has the session keep next in place of an older snapshot, which may be large,
// unless next needs more actions. The session may be idle, or at work.
func (s *session) letGo(next *Snapshot) {
	if old := s.fitting.Load(); old != nil && next.want.Actions&^old.want.Actions == 0 {
		s.fitting.CompareAndSwap(old, next)
	}
}

// reply is an answer to the MTA, and whether the message ends with it.
type reply struct {
	wire.Reply
	last bool
}

func goOn() reply                   { return reply{Reply: wire.Continue()} }
func skip() reply                   { return reply{Reply: wire.Skip()} }
func finalReply(r wire.Reply) reply { return reply{Reply: r, last: true} }
