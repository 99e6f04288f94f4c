package wire

import (
	"bytes"
	"encoding/binary"
	"io"
	"net"
	"testing"
	"time"
)

// scriptConn is a connection in memory: each Read gives one chunk, or the part
// of it that fits; then comes end.
type scriptConn struct {
	net.Conn // nil: what is not overridden is not to be called

	chunks [][]byte
	end    error // io.EOF when nil

	reads          int
	writes         [][]byte
	readDeadlines  []time.Time
	writeDeadlines int
	writeErr       error
}

func (s *scriptConn) Read(p []byte) (int, error) {
	s.reads++
	for len(s.chunks) > 0 && len(s.chunks[0]) == 0 {
		s.chunks = s.chunks[1:]
	}
	if len(s.chunks) == 0 {
		if s.end != nil {
			return 0, s.end
		}
		return 0, io.EOF
	}
	n := copy(p, s.chunks[0])
	s.chunks[0] = s.chunks[0][n:]
	return n, nil
}

func (s *scriptConn) Write(p []byte) (int, error) {
	if s.writeErr != nil {
		return 0, s.writeErr
	}
	s.writes = append(s.writes, bytes.Clone(p))
	return len(p), nil
}

func (s *scriptConn) SetReadDeadline(t time.Time) error {
	s.readDeadlines = append(s.readDeadlines, t)
	return nil
}

func (s *scriptConn) SetWriteDeadline(time.Time) error {
	s.writeDeadlines++
	return nil
}

// frame is one frame as a peer sends it.
func frame(code byte, payload string) []byte {
	b := binary.BigEndian.AppendUint32(nil, uint32(1+len(payload)))
	return append(append(b, code), payload...)
}

// optNeg is the payload of an OPTNEG.
func optNeg(version uint32, actions Action, steps Step) []byte {
	b := binary.BigEndian.AppendUint32(nil, version)
	b = binary.BigEndian.AppendUint32(b, uint32(actions))
	return binary.BigEndian.AppendUint32(b, uint32(steps))
}

const (
	allActions = ActSetSymList<<1 - 1
	allSteps   = StepHeaderLeadSpace<<1 - 1
)

// agreed is a connection that has negotiated exactly actions and steps. What
// was written for it is forgotten.
func agreed(t testing.TB, actions Action, steps Step) (*Conn, *scriptConn) {
	t.Helper()
	s := &scriptConn{}
	c := NewConn(s, Limits{})
	if _, err := c.Negotiate(optNeg(6, allActions, allSteps), Want{Actions: actions, Steps: steps}); err != nil {
		t.Fatal(err)
	}
	s.writes = nil
	return c, s
}
