package milter

import (
	"errors"
	"net"
	"os"
	"sync"
	"time"

	"github.com/postseal/postseal/milter/wire"
)

// lastLook is how long a session waits for more of a message whose header has not
// come, twice, once the daemon stops: what the MTA has sent by then is there.
const lastLook = 100 * time.Millisecond

// hurriedConn is a connection whose reads can be made to wait for lastLook at
// most, those under way among them.
type hurriedConn struct {
	net.Conn

	mu      sync.Mutex
	hurried bool
}

// SetReadDeadline implements net.Conn.
func (c *hurriedConn) SetReadDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if latest := time.Now().Add(lastLook); c.hurried && (t.IsZero() || t.After(latest)) {
		t = latest
	}
	return c.Conn.SetReadDeadline(t)
}

func (c *hurriedConn) hurry(on bool) {
	c.mu.Lock()
	c.hurried = on
	c.mu.Unlock()
	if on {
		_ = c.SetReadDeadline(time.Time{}) // it is closed if this fails
	}
}

// read reads the next command. While the daemon stops, a message whose header has
// not come is not waited for; one whose header was on its way is not lost.
func (s *session) read() (cmd wire.Command, payload []byte, err error) {
	for looked := false; ; looked = true {
		cmd, payload, err = s.wire.Read()
		switch {
		case err == nil, !errors.Is(err, os.ErrDeadlineExceeded), !s.server.stopping.Load():
			return cmd, payload, err
		case stage(s.stage.Load()) == content:
			s.conn.hurry(false) // the header came as the stop did
		case looked:
			return 0, nil, errQuit
		}
	}
}
