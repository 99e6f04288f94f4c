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
	"time"

	"github.com/postseal/postseal/milter/wire"
)

// stage is how far a session is with a message; the server asks when it has to
// choose which connections to end.
type stage int32

const (
	idle     stage = iota // outside a transaction
	envelope              // MAIL has come
	content               // the header has begun: the message is answered
)

// session is one connection of the MTA: many messages, one after the other.
type session struct {
	server *Server
	socket string // the listener's configuration, for its mode
	conn   net.Conn
	wire   *wire.Conn
	log    *slog.Logger

	stage atomic.Int32
	since atomic.Int64 // when stage last changed, in Unix nanoseconds

	negotiated *Snapshot // what the connection was negotiated with
	macros     wire.Macros
	host       string
	addr       netip.Addr
	msg        *message // nil outside a transaction
}

func (s *session) enter(st stage) {
	s.stage.Store(int32(st))
	s.since.Store(time.Now().UnixNano())
}

// run serves the connection until it ends. A panic ends this session alone,
// with a temporary failure for the mail in it.
func (s *session) run() {
	var cmd wire.Command
	defer func() {
		if p := recover(); p != nil {
			s.log.Error("panic in a session; its message is deferred",
				"panic", fmt.Sprint(p), "command", cmd.String(), "stack", string(debug.Stack()))
			s.server.count(ReasonPanic)
			_ = s.wire.Reply(wire.CmdEOM, wire.Tempfail())
		}
		s.msg.end()
		s.conn.Close()
	}()
	for {
		var payload []byte
		var err error
		cmd, payload, err = s.wire.Read()
		if err == nil {
			err = s.handle(cmd, payload)
		}
		if err != nil {
			s.explainEnd(cmd, err)
			return
		}
	}
}

// errQuit is the clean end of a session.
var errQuit = errors.New("quit")

// explainEnd logs why a session ended, where that is worth a line.
func (s *session) explainEnd(cmd wire.Command, err error) {
	var missing *wire.MissingActionsError
	switch {
	case errors.Is(err, errQuit), errors.Is(err, io.EOF), errors.Is(err, net.ErrClosed):
		return
	case errors.As(err, &missing):
		s.log.Error("connection refused: the MTA does not offer what this configuration needs", "err", err)
	case errors.Is(err, os.ErrDeadlineExceeded):
		s.log.Warn("connection closed: the MTA was silent for too long", "after", cmd.String(), "err", err)
	default:
		s.log.Warn("connection closed", "command", cmd.String(), "err", err)
	}
}

// errOrder is a command at a place where the protocol has none.
var errOrder = errors.New("command out of order")

// handle answers one command. An error ends the session.
func (s *session) handle(cmd wire.Command, p []byte) error {
	if s.negotiated == nil && cmd != wire.CmdOptNeg && cmd != wire.CmdQuit {
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
		s.macros.Set(at, pairs)
		return nil
	case wire.CmdConnect:
		return s.connect(p)
	case wire.CmdHelo, wire.CmdUnknown, wire.CmdData:
		return s.wire.Reply(cmd, wire.Continue())
	case wire.CmdMail:
		return s.mail(p)
	case wire.CmdAbort:
		s.endMessage()
		return nil
	case wire.CmdQuit:
		return errQuit
	case wire.CmdQuitNC:
		s.endMessage()
		s.macros.Reset()
		s.host, s.addr = "", netip.Addr{}
		return nil
	}
	if s.msg == nil {
		return errOrder
	}
	switch cmd {
	case wire.CmdRcpt:
		e, err := wire.ParseEnvelope(p)
		if err != nil {
			return err
		}
		s.msg.recipients = append(s.msg.recipients, e.Address)
		return s.wire.Reply(cmd, wire.Continue())
	case wire.CmdHeader:
		if !s.beginContent() {
			return errQuit
		}
		name, value, err := s.wire.ParseHeader(p)
		if err != nil {
			return err
		}
		s.msg.addField(name, value)
		return s.wire.Reply(cmd, wire.Continue())
	case wire.CmdEOH:
		if !s.beginContent() {
			return errQuit
		}
		return s.finish(cmd, s.msg.endOfHeader())
	case wire.CmdBody:
		return s.finish(cmd, s.msg.bodyChunk(p))
	case wire.CmdEOM:
		reply, err := s.msg.endOfMessage(p)
		if err != nil {
			return err
		}
		return s.finish(cmd, reply)
	}
	return fmt.Errorf("unknown command %q", byte(cmd))
}

func (s *session) negotiate(p []byte) error {
	s.endMessage()
	snapshot := s.server.snapshot.Load()
	agreed, err := s.wire.Negotiate(p, snapshot.want())
	if err != nil {
		return err
	}
	s.negotiated = snapshot
	s.log.Debug("negotiated", "version", agreed.Version, "actions", agreed.Actions.String(), "steps", agreed.Steps.String())
	return nil
}

func (s *session) connect(p []byte) error {
	c, err := wire.ParseConnect(p)
	if err != nil {
		return err
	}
	s.host = c.Host
	s.addr, _ = c.Addr()
	if _, peer := s.server.snapshot.Load().peers.Match(s.host, address(s.addr)); peer {
		r := because(ReasonPeer, Facts{Host: s.host, Addr: s.addr}.client())
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
	s.msg.end()
	s.msg = newMessage(s, e.Address)
	s.enter(envelope)
	return s.wire.Reply(wire.CmdMail, wire.Continue())
}

// beginContent marks the message as one that a stop waits for. It reports
// false if the daemon is stopping and the message has not begun in time.
func (s *session) beginContent() bool {
	if stage(s.stage.Load()) == content {
		return true
	}
	s.enter(content)
	return !s.server.stopping.Load()
}

// finish answers cmd. Any reply but Continue and Skip ends the message.
func (s *session) finish(cmd wire.Command, r reply) error {
	if err := s.wire.Reply(cmd, r.Reply); err != nil {
		return err
	}
	if !r.last {
		return nil
	}
	s.endMessage()
	if s.server.stopping.Load() {
		return errQuit
	}
	return nil
}

// endMessage forgets the message and its macros, not the connection's.
func (s *session) endMessage() {
	s.msg.end()
	s.msg = nil
	s.macros.EndMessage()
	s.enter(idle)
}

// snapshotForMessage is the newest snapshot, unless it needs actions that this
// connection has not negotiated.
func (s *session) snapshotForMessage() *Snapshot {
	newest := s.server.snapshot.Load()
	if newest.want().Actions&^s.wire.Agreed().Actions != 0 {
		return s.negotiated
	}
	return newest
}

// reply is an answer to the MTA, and whether the message ends with it.
type reply struct {
	wire.Reply
	last bool
}

func goOn() reply                   { return reply{Reply: wire.Continue()} }
func skip() reply                   { return reply{Reply: wire.Skip()} }
func finalReply(r wire.Reply) reply { return reply{Reply: r, last: true} }
