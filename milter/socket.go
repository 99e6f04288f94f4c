package milter

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"time"

	"github.com/postseal/postseal/milter/wire"
)

// socket is an open socket for the MTA, which can be asked whether connections
// are taken from it.
type socket struct {
	net.Listener
	wake   func(time.Time) error // sets the deadline of Accept
	checks chan net.Conn         // to be taken as if they had come from an MTA

	name string // as configured
	// inherited: whoever started the daemon opened it, and goes on using it.
	inherited bool
}

// newSocket wraps a listener for TCP or a unix socket.
func newSocket(l net.Listener, name string, inherited bool) *socket {
	s := &socket{Listener: l, name: name, inherited: inherited, checks: make(chan net.Conn, 1)}
	s.wake = l.(interface{ SetDeadline(time.Time) error }).SetDeadline
	return s
}

// String is the name, and whether it is inherited.
func (s *socket) String() string {
	if s.inherited {
		return s.name + " (inherited)"
	}
	return s.name
}

// selfCheck is a connection that the daemon has made to itself.
type selfCheck struct{ net.Conn }

// Accept implements net.Listener.
func (s *socket) Accept() (net.Conn, error) {
	for {
		c, err := s.Listener.Accept()
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			return c, err
		}
		if err := s.wake(time.Time{}); err != nil {
			return nil, err
		}
		select {
		case c := <-s.checks:
			return c, nil
		default:
		}
	}
}

// everyOffer is OPTNEG of an MTA that can do everything, in version 6.
const everyOffer = "\x00\x00\x00\x0dO\x00\x00\x00\x06\x00\x00\x01\xff\x00\x1f\xff\xff"

// answers hands a connection to whoever accepts those of the MTA, and negotiates a
// session on it. Its error is that nobody answered before ctx ended. This takes no
// descriptor and no right to connect, and is not in the way of MTAs.
func (s *socket) answers(ctx context.Context) error {
	ours, theirs := net.Pipe()
	defer ours.Close()
	select {
	case s.checks <- selfCheck{theirs}:
	case <-ctx.Done():
		return fmt.Errorf("accepts no connections: %w", ctx.Err())
	}
	if err := s.wake(time.Unix(0, 1)); err != nil { // Accept ends, and is called again
		return err
	}
	defer context.AfterFunc(ctx, func() { ours.Close() })()
	if _, err := io.WriteString(ours, everyOffer); err != nil {
		return fmt.Errorf("serves no connection: %w", errors.Join(ctx.Err(), err))
	}
	var head [5]byte
	if _, err := io.ReadFull(ours, head[:]); err != nil {
		return fmt.Errorf("answers no MTA: %w", errors.Join(ctx.Err(), err))
	}
	if code := wire.Command(head[4]); code != wire.CmdOptNeg {
		return fmt.Errorf("answers an MTA with %v", code)
	}
	_, err := io.CopyN(io.Discard, ours, int64(binary.BigEndian.Uint32(head[:]))-1)
	return err
}

// Answers gives itself a connection through each of its sockets, as if an MTA had
// connected, and looks at its own status. Its error says what did not answer before
// ctx ended. Nobody else notices: these connections are not counted, take no other's
// place and are in no log.
func (d *Daemon) Answers(ctx context.Context) error {
	for _, s := range d.sockets {
		if err := s.answers(ctx); err != nil {
			return fmt.Errorf("socket %s: %w", s.name, err)
		}
	}
	d.monitorStatus()
	return nil
}
