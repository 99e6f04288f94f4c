package wire

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"time"
)

// MaxFrame is the longest frame that is read when [Limits] names no other: a
// body chunk of 65535 octets and some slack. It counts what the length octets
// count, the command and its payload.
const MaxFrame = 64<<10 + 4<<10

const (
	// lengthSize is the size of the length that begins a frame.
	lengthSize = 4
	// smallBuffer is what a connection holds while it waits: Postfix writes
	// header fields in pieces of this size.
	smallBuffer = 4 << 10
	// bufferGrowth is how many times larger a full buffer becomes: memory is
	// about this multiple of what has arrived, and never more than a frame.
	bufferGrowth = 4
	// largestKept is the biggest output buffer that is kept for the next reply.
	largestKept = 16 << 10
	// maxStalls is how often a connection may read nothing without an error.
	maxStalls = 100
)

var (
	// ErrFrameSize: a frame of no octets or of more than Limits.MaxFrame. What
	// follows in the stream means nothing; the connection is to be closed.
	ErrFrameSize = errors.New("milter frame of a forbidden size")
	// ErrMalformed: a payload that is not what its command calls for.
	ErrMalformed = errors.New("malformed milter payload")
)

// Limits bounds what a peer can cost. A zero duration is no limit.
type Limits struct {
	// MaxFrame is the longest frame in octets, command and payload; zero is the
	// constant MaxFrame. Body chunks need 65536.
	MaxFrame int
	// Idle is how long Read waits for the first octet of a frame.
	Idle time.Duration
	// Frame is how long a frame may take from its first octet to its last.
	Frame time.Duration
	// Write is how long one reply may take to be written.
	Write time.Duration
}

// Conn is one connection from an MTA. It serves one goroutine at a time.
type Conn struct {
	net    net.Conn
	limits Limits
	agreed Agreement

	in       []byte // in[r:w] has arrived and is not yet read; nil until the first Read
	r, w     int
	last     Command // what Read returned last
	deadline bool    // a read deadline is set

	out []byte // header changes that wait for the reply
}

// NewConn returns a Conn that reads from and writes to c. It does not close c.
func NewConn(c net.Conn, l Limits) *Conn {
	if l.MaxFrame <= 0 {
		l.MaxFrame = MaxFrame
	}
	return &Conn{net: c, limits: l}
}

// Read returns the next frame: its command, which may be an octet that is none
// of the Cmd constants, and its payload, which is valid until the next Read.
//
// The error is io.EOF, bare, when the peer closed between two frames; else it
// wraps io.ErrUnexpectedEOF (closed inside a frame), os.ErrDeadlineExceeded
// (Limits.Idle or Limits.Frame has passed), ErrFrameSize, or what the
// connection returned. After a deadline Read may be called again: nothing of
// what had arrived is lost.
func (c *Conn) Read() (Command, []byte, error) {
	c.shrink()
	var idle, begun bool // the deadline that was set for this frame
	for {
		need, err := c.need()
		if err != nil {
			return 0, nil, err
		}
		have := c.w - c.r
		if have >= need {
			frame := c.in[c.r+lengthSize : c.r+need : c.r+need]
			c.r += need
			c.last = Command(frame[0])
			return c.last, frame[1:], nil
		}
		switch {
		case have == 0 && !idle:
			idle = true
			err = c.setReadDeadline(c.limits.Idle)
		case have > 0 && !begun:
			begun = true
			err = c.setReadDeadline(c.limits.Frame)
		}
		if err == nil {
			err = c.fill(need)
		}
		switch {
		case err == nil:
		case have == 0 && errors.Is(err, io.EOF):
			return 0, nil, io.EOF
		case have == 0:
			return 0, nil, fmt.Errorf("wait for a milter frame: %w", err)
		case errors.Is(err, io.EOF):
			return 0, nil, fmt.Errorf("read a milter frame, %d of at least %d octets: %w", have, need, io.ErrUnexpectedEOF)
		default:
			return 0, nil, fmt.Errorf("read a milter frame, %d of at least %d octets: %w", have, need, err)
		}
	}
}

// need is the size of the next frame with its length, or the smallest size that
// a frame has as long as the length has not arrived.
func (c *Conn) need() (int, error) {
	if c.w-c.r < lengthSize {
		return lengthSize + 1, nil
	}
	n := binary.BigEndian.Uint32(c.in[c.r:])
	if n == 0 || uint64(n) > uint64(c.limits.MaxFrame) {
		return 0, fmt.Errorf("%w: %d octets announced, 1 to %d allowed; is the peer an MTA that speaks milter?",
			ErrFrameSize, n, c.limits.MaxFrame)
	}
	return lengthSize + int(n), nil
}

// shrink gives a big buffer back once nothing is in it and no stream of large
// frames is under way.
func (c *Conn) shrink() {
	if c.r == c.w && len(c.in) > smallBuffer && c.last != CmdBody && c.last != CmdHeader {
		c.in, c.r, c.w = nil, 0, 0
	}
}

// fill reads once, more than one octet where it can. The buffer grows only when
// it is full, and never beyond the longest frame.
func (c *Conn) fill(need int) error {
	switch {
	case c.r == c.w:
		c.r, c.w = 0, 0
	case c.r > 0 && c.r+need > len(c.in):
		c.w = copy(c.in, c.in[c.r:c.w])
		c.r = 0
	}
	if c.w == len(c.in) {
		size, longest := bufferGrowth*len(c.in), lengthSize+c.limits.MaxFrame
		if size > longest/2 {
			size = longest // one step less for a body chunk
		}
		grown := make([]byte, max(smallBuffer, size))
		copy(grown, c.in[:c.w])
		c.in = grown
	}
	for range maxStalls {
		n, err := c.net.Read(c.in[c.w:])
		c.w += n
		if n > 0 {
			return nil // an error comes again with the next Read
		}
		if err != nil {
			return err
		}
	}
	return io.ErrNoProgress
}

// setReadDeadline lets reads end after d; zero takes an older deadline away.
func (c *Conn) setReadDeadline(d time.Duration) error {
	if d > 0 {
		c.deadline = true
		return c.net.SetReadDeadline(time.Now().Add(d))
	}
	if !c.deadline {
		return nil
	}
	c.deadline = false
	return c.net.SetReadDeadline(time.Time{})
}

// write sends p with one Write call.
func (c *Conn) write(p []byte) error {
	if c.limits.Write > 0 {
		if err := c.net.SetWriteDeadline(time.Now().Add(c.limits.Write)); err != nil {
			return fmt.Errorf("write to the MTA: %w", err)
		}
	}
	if _, err := c.net.Write(p); err != nil {
		return fmt.Errorf("write to the MTA: %w", err)
	}
	return nil
}

// flush writes everything queued and keeps the buffer unless it grew big.
func (c *Conn) flush() error {
	err := c.write(c.out)
	c.dropQueue()
	return err
}

// dropQueue forgets what is queued.
func (c *Conn) dropQueue() {
	if cap(c.out) > largestKept {
		c.out = nil
		return
	}
	c.out = c.out[:0]
}

// beginFrame appends the beginning of a frame; endFrame fills its length in.
func beginFrame(dst []byte, code byte) []byte {
	return append(dst, 0, 0, 0, 0, code)
}

// endFrame fills in the length of the frame that begins at start.
func endFrame(dst []byte, start int) []byte {
	binary.BigEndian.PutUint32(dst[start:], uint32(len(dst)-start-lengthSize))
	return dst
}
