package milter

import (
	"errors"
	"net"
	"os"
	"sync"
	"time"

	"github.com/postseal/postseal/milter/wire"
)

const (
	// lastLook is how long a session without a message waits for one, twice, once the
	// daemon stops: what the MTA has sent by then is there.
	lastLook = 100 * time.Millisecond
	// firstLook is the same for a connection on which nothing has come yet. An MTA
	// speaks as soon as it has connected.
	firstLook = time.Second
)

// hurriedConn is a connection whose reads can be made to end soon, those under way
// among them.
type hurriedConn struct {
	net.Conn

	mu       sync.Mutex
	patience time.Duration // 0: without end
}

// SetReadDeadline implements net.Conn.
func (c *hurriedConn) SetReadDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if latest := time.Now().Add(c.patience); c.patience > 0 && (t.IsZero() || t.After(latest)) {
		t = latest
	}
	return c.Conn.SetReadDeadline(t)
}

func (c *hurriedConn) hurry(patience time.Duration) {
	c.mu.Lock()
	c.patience = patience
	c.mu.Unlock()
	if patience > 0 {
		_ = c.SetReadDeadline(time.Time{}) // it is closed if this fails
	}
}

// hurry has a session end soon that is outside a transaction. The others have their
// time: between MAIL and the header of a message, Postfix receives all of it from its
// client, and is silent here.
func (s *session) hurry() {
	switch stage(s.stage.Load()) {
	case fresh:
		s.conn.hurry(firstLook)
	case idle:
		s.conn.hurry(lastLook)
	}
}

// read reads the next command. While the daemon stops, a message is not waited for;
// one that was on its way is not lost.
func (s *session) read() (cmd wire.Command, payload []byte, err error) {
	for looked := false; ; looked = true {
		cmd, payload, err = s.wire.Read()
		switch {
		case err == nil, !errors.Is(err, os.ErrDeadlineExceeded), !s.server.stopping.Load():
			return cmd, payload, err
		case stage(s.stage.Load()) == busy:
			s.conn.hurry(0) // the message came as the stop did
		case looked:
			return 0, nil, errQuit
		}
	}
}
