package milter

import (
	"bytes"
	"encoding/binary"
	"io"
	"log/slog"
	"net"
	"runtime"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/postseal/postseal/milter/wire"
)

// memoryConn is a peer in memory: it has sent all of in, and then closed. What
// the session writes is kept, unless nobody wants it.
type memoryConn struct {
	in     []byte
	atEnd  func() // called once everything is read
	forget bool
	out    bytes.Buffer
}

func (c *memoryConn) Read(p []byte) (int, error) {
	if len(c.in) == 0 {
		if c.atEnd != nil {
			c.atEnd()
			c.atEnd = nil
		}
		return 0, io.EOF
	}
	n := copy(p, c.in)
	c.in = c.in[n:]
	return n, nil
}

func (c *memoryConn) Write(p []byte) (int, error) {
	if c.forget {
		return len(p), nil
	}
	return c.out.Write(p)
}

func (*memoryConn) Close() error                     { return nil }
func (*memoryConn) LocalAddr() net.Addr              { return nil }
func (*memoryConn) RemoteAddr() net.Addr             { return nil }
func (*memoryConn) SetDeadline(time.Time) error      { return nil }
func (*memoryConn) SetReadDeadline(time.Time) error  { return nil }
func (*memoryConn) SetWriteDeadline(time.Time) error { return nil }

// serveMemory runs a session to its end in this goroutine.
func serveMemory(srv *Server, c *memoryConn) {
	newSession(srv, "unix:memory", c, srv.log).run()
}

// quietServer has no listener and no log.
func quietServer(s *Snapshot) *Server {
	return NewServer(s, ServerOptions{Log: slog.New(slog.DiscardHandler), Hostname: "host.example"})
}

// appendFrame appends a frame as the MTA sends it.
func appendFrame(b []byte, cmd wire.Command, payload string) []byte {
	b = binary.BigEndian.AppendUint32(b, uint32(1+len(payload)))
	return append(append(b, byte(cmd)), payload...)
}

// offer is the payload of an OPTNEG.
func offer(version, actions, steps uint32) string {
	p := binary.BigEndian.AppendUint32(nil, version)
	p = binary.BigEndian.AppendUint32(p, actions)
	return string(binary.BigEndian.AppendUint32(p, steps))
}

// tick is more than what the kernel may be wrong by in the time of a thread.
const tick = 50 * time.Millisecond

// threadCPU is the least processor time of several calls of f, which runs in
// this goroutine alone: what other tests do meanwhile does not count.
func threadCPU(t testing.TB, f func()) time.Duration {
	t.Helper()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	least := time.Duration(-1)
	for range 3 {
		before := threadTime(t)
		f()
		if d := threadTime(t) - before; least < 0 || d < least {
			least = d
		}
	}
	return least
}

func threadTime(t testing.TB) time.Duration {
	t.Helper()
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_THREAD, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// liveHeap is what is in use after a collection, in octets.
func liveHeap() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
