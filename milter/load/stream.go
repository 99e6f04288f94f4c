package load

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"time"

	"github.com/postseal/postseal/milter/wire"
)

const (
	// unixBuffer and tcpBuffer are how much Postfix collects before it writes: a
	// page on a unix socket, and twice the segment size of the loopback over TCP.
	unixBuffer = 4096
	tcpBuffer  = 128 << 10
	// readBuffer holds most replies whole.
	readBuffer = 4096
	// largestReply is the longest frame of a filter that is read; Postfix takes
	// twice the size of a body chunk.
	largestReply = 2 * maxChunk
)

// ErrClosed is the error of a connection that the filter ends.
var ErrClosed = errors.New("the filter has closed the connection")

// stream is a buffered connection as Postfix's VSTREAM is one: what is sent is
// collected, across frames, and written when the buffer is full or when a reply
// is to be read. So a macro frame and its command are one write, and where the
// filter asked for no replies a whole small message is. What is left when nobody
// waits, an ABORT, goes with the next command.
type stream struct {
	c       net.Conn
	timeout time.Duration
	limit   int    // of out
	out     []byte // collected
	in      []byte // in[r:w] has arrived
	r, w    int
}

func newStream(c net.Conn, timeout time.Duration) stream {
	limit := unixBuffer
	if _, ok := c.(*net.TCPConn); ok {
		limit = tcpBuffer
	}
	return stream{c: c, timeout: timeout, limit: limit, in: make([]byte, readBuffer)}
}

// put sends octets, which need not be a whole frame.
func (s *stream) put(p []byte) error {
	for len(p) > 0 {
		if s.out == nil {
			s.out = make([]byte, 0, unixBuffer)
		}
		n := min(len(p), s.limit-len(s.out))
		s.out = append(s.out, p[:n]...)
		p = p[n:]
		if len(s.out) == s.limit {
			if err := s.flush(); err != nil {
				return err
			}
		}
	}
	return nil
}

// head sends the length and the command of a frame whose payload follows.
func (s *stream) head(cmd wire.Command, payload int) error {
	h := [5]byte{4: byte(cmd)}
	binary.BigEndian.PutUint32(h[:], uint32(1+payload))
	return s.put(h[:])
}

// flush writes what is collected.
func (s *stream) flush() error {
	if len(s.out) == 0 {
		return nil
	}
	if err := s.c.SetWriteDeadline(time.Now().Add(s.timeout)); err != nil {
		return err
	}
	_, err := s.c.Write(s.out)
	s.out = s.out[:0]
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return fmt.Errorf("the filter has taken nothing for %v", s.timeout)
	case err != nil:
		return fmt.Errorf("the filter takes no more: %w", err)
	}
	return nil
}

// frame writes what is collected and reads a frame. The payload is valid until
// the next one.
func (s *stream) frame() (code byte, payload []byte, err error) {
	if err := s.flush(); err != nil {
		return 0, nil, err
	}
	need := 5
	for waiting := false; ; {
		if have := s.w - s.r; have >= need {
			size := binary.BigEndian.Uint32(s.in[s.r:])
			if size == 0 || size > largestReply {
				return 0, nil, fmt.Errorf("a frame of %d octets; does a milter listen there?", size)
			}
			need = 4 + int(size)
			if have >= need {
				f := s.in[s.r : s.r+need]
				s.r += need
				return f[4], f[5:], nil
			}
		}
		if !waiting {
			waiting = true
			if err := s.c.SetReadDeadline(time.Now().Add(s.timeout)); err != nil {
				return 0, nil, err
			}
		}
		if err := s.fill(need); err != nil {
			return 0, nil, err
		}
	}
}

// fill reads once; the buffer holds need octets then.
func (s *stream) fill(need int) error {
	if s.r > 0 {
		s.w = copy(s.in, s.in[s.r:s.w])
		s.r = 0
	}
	if need > len(s.in) {
		grown := make([]byte, need)
		copy(grown, s.in[:s.w])
		s.in = grown
	}
	n, err := s.c.Read(s.in[s.w:])
	s.w += n
	switch {
	case n > 0:
		return nil
	case errors.Is(err, os.ErrDeadlineExceeded):
		return fmt.Errorf("no reply within %v", s.timeout)
	case errors.Is(err, io.EOF):
		return ErrClosed
	default:
		return err
	}
}
