package milter

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/postseal/postseal/milter/resolver"
	"github.com/postseal/postseal/milter/wire"
)

// onTCP serves on a loopback port, too, until the server stops.
func (s *testServer) onTCP(t testing.TB) (addr string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(tcpListener{l.(*net.TCPListener)}, "inet:0@127.0.0.1") }()
	t.Cleanup(func() {
		gone, cancel := context.WithCancel(context.Background())
		cancel()
		_ = s.Shutdown(gone)
		if err := <-ended; err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
	return l.Addr().String()
}

// halves is a connection that can be closed in one direction.
type halves interface {
	net.Conn
	CloseWrite() error
	CloseRead() error
}

// peers are the ways to a server: by unix socket and by TCP.
func (s *testServer) peers(t testing.TB) map[string]func() halves {
	addr := s.onTCP(t)
	dial := func(network, addr string) func() halves {
		return func() halves {
			t.Helper()
			c, err := net.Dial(network, addr)
			if err != nil {
				t.Fatal(err)
			}
			_ = c.SetDeadline(time.Now().Add(time.Minute))
			return c.(halves)
		}
	}
	return map[string]func() halves{"unix": dial("unix", s.path), "tcp": dial("tcp", addr)}
}

// framesTo are the octets of a sequence of commands.
func framesTo(order string) (b []byte) {
	for _, cmd := range []byte(order) {
		for _, f := range framesOf(cmd) {
			b = appendFrame(b, f.cmd, f.payload)
		}
	}
	return b
}

// A peer that goes at any stage, between two frames or in the middle of one,
// however it goes, leaves no goroutine, no descriptor and no timer behind: not
// even one whose mail waits for DNS.
func TestDisconnectAtEveryStage(t *testing.T) {
	signer, records := signingServer(t, "")
	type stream struct {
		in      []byte
		answers int
	}
	waiting := framesTo("O")
	waiting = appendFrame(waiting, wire.CmdConnect, "mail.elsewhere.example\x004\x00\x19192.0.2.9\x00")
	for _, h := range signedHeader(t, signer, plainHeader, plainBody) {
		name, value, _ := strings.Cut(h, ":")
		waiting = appendFrame(waiting, wire.CmdHeader, name+"\x00"+value+"\x00")
	}
	waiting = append(waiting, framesTo("NBE")...)
	streams := []stream{{waiting, 2 + len(plainHeader) + 1 + 2}} // all but that to the end
	for _, stage := range stages {
		streams = append(streams, stream{framesTo(stage), len(stage) + strings.Count(stage, "L")*(len(plainHeader)-1)})
	}
	snapshot := loadText(t, "dns_timeout = 290", records)
	snapshot.resolver = hangingResolver{}
	srv := startServer(t, snapshot)
	ways := map[string]func(c halves){
		"close": func(c halves) { c.Close() },
		"half close": func(c halves) {
			_ = c.CloseWrite()
			c.Close()
		},
		"no more reading": func(c halves) { _ = c.CloseRead(); c.Close() },
		"reset": func(c halves) {
			if tcp, ok := c.(*net.TCPConn); ok {
				_ = tcp.SetLinger(0)
			}
			c.Close()
		},
	}
	dials := srv.peers(t)
	goroutines, descriptors := resources(t)
	round := func() {
		for _, dial := range dials {
			for _, leave := range ways {
				for _, s := range streams {
					for i, half := range []string{"", "\x00\x00", "\x00\x00\x00\x10", "\x00\x00\x00\x10L", "\x00\x00\xff\xffBxxxxxx"} {
						c := dial()
						_, _ = c.Write(append(s.in[:len(s.in):len(s.in)], half...))
						for range s.answers * min(i, 1) { // the first goes before any answer comes
							if err := readReply(c); err != nil {
								t.Fatal(err)
							}
						}
						leave(c)
					}
				}
			}
		}
		srv.settled(t, goroutines, descriptors)
	}
	objects := func() int64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.GC() // what has a cleanup goes with the second
		runtime.ReadMemStats(&m)
		return int64(m.HeapObjects)
	}
	round()
	before := objects()
	round()
	// Each round ends 400 sessions. A timer that stays takes several objects.
	if left := objects() - before; left > 200 {
		t.Errorf("%d objects are left in memory", left)
	}
	if log := srv.log.String(); strings.Contains(log, "panic") {
		t.Errorf("a session panicked:\n%s", log)
	}
}

// hangingResolver answers when nobody waits any more.
type hangingResolver struct{}

func (hangingResolver) LookupTXT(ctx context.Context, _ string) ([]string, bool, error) {
	<-ctx.Done()
	return nil, false, ctx.Err()
}

// A peer that sends a whole message and closes its half gets every answer. One
// that closes its half in the middle gets none of the end.
func TestHalfClosedConnections(t *testing.T) {
	srv, records := signingServer(t, "")
	for network, dial := range srv.peers(t) {
		for _, row := range []struct {
			order  string
			signed bool
		}{{"OCMRTLNBE", true}, {"OCMRTLNB", false}, {"OCMRTL", false}, {"OC", false}} {
			c := dial()
			defer c.Close()
			if _, err := c.Write(framesTo(row.order)); err != nil {
				t.Fatal(err)
			}
			_ = c.CloseWrite()
			out, err := io.ReadAll(c)
			if err != nil {
				t.Errorf("%s, %s: %v", network, row.order, err)
			}
			talk := conversation{order: row.order, out: out}
			for _, cmd := range []byte(row.order) {
				talk.expect(t, records, cmd)
			}
			if (talk.signed > 0) != row.signed {
				t.Errorf("%s, %s: signed %d", network, row.order, talk.signed)
			}
		}
	}
}

// Commands of many messages that come at once, without waiting for an answer,
// are answered in their order, each message for itself.
func TestPipelinedMessages(t *testing.T) {
	srv, records := signingServer(t, "")
	for network, dial := range srv.peers(t) {
		t.Run(network, func(t *testing.T) {
			const messages = 200
			order := "OC" + strings.Repeat("MRTLNBEAMLNBE", messages/2)
			c := dial()
			defer c.Close()
			go func() {
				_, _ = c.Write(framesTo(order))
				_ = c.CloseWrite()
			}()
			out, err := io.ReadAll(c)
			if err != nil {
				t.Fatal(err)
			}
			talk := conversation{order: "pipelined", out: out}
			for _, cmd := range []byte(order) {
				talk.expect(t, records, cmd)
			}
			if talk.signed != messages || len(talk.out) != 0 {
				t.Errorf("%d messages are signed, %d octets follow", talk.signed, len(talk.out))
			}
		})
	}
}

// A peer that sends without end and never reads is gone after frame_timeout,
// whatever lies in the kernel's buffers.
func TestFloodThatNeverReads(t *testing.T) {
	srv, _ := signingServer(t, `frame_timeout = "300ms"`)
	dials := srv.peers(t)
	goroutines, descriptors := resources(t)
	for network, dial := range dials {
		c := dial()
		chunk := bytes.Repeat(framesTo("H"), 1000)
		_, err := c.Write(framesTo("O"))
		for err == nil {
			_, err = c.Write(chunk)
		}
		if errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("%s: the connection stays open", network)
		}
		c.Close()
	}
	srv.settled(t, goroutines, descriptors)
	srv.log.wait(t, "silent for too long")
}

// floods are what connections that flood the server have sent.
func floods() map[string][]byte {
	return map[string][]byte{
		"nothing":         nil,
		"half an OPTNEG":  framesTo("O")[:9],
		"something else":  []byte("GET / HTTP/1.1\r\n\r\n"),
		"an OPTNEG":       framesTo("O"),
		"many small ones": framesTo("OCHAAA"),
	}
}

// However many connections come, there are never more than
// maximum_connections, a new one gets through after them, and none of those
// that negotiate nothing takes the place of an MTA's that waits.
func TestConnectionFlood(t *testing.T) {
	const most, flood = 20, 300
	srv, records := signingServer(t, fmt.Sprintf("maximum_connections = %d", most))
	l := letter{header: plainHeader, body: plainBody}
	for name, sent := range floods() {
		t.Run(name, func(t *testing.T) {
			goroutines, descriptors := resources(t)
			waits := srv.connect(t, "localhost", "127.0.0.1")
			busy := srv.connect(t, "localhost", "127.0.0.1")
			busy.deliver(letter{header: plainHeader, body: plainBody, noEnd: true})
			var open []net.Conn
			for range flood {
				open = append(open, srv.raw(t, sent))
				if n := srv.Connections(); n > most {
					t.Fatalf("%d connections, the cap is %d", n, most)
				}
			}
			m := srv.connect(t, "localhost", "127.0.0.1")
			wantSigned(t, records, m.deliver(l), plainHeader, plainBody)
			busy.send(wire.CmdEOM, "")
			if code, _ := busy.answer(); code != 'i' {
				t.Errorf("the message in progress is answered with %q", code)
			}
			if !bytes.HasPrefix(sent, framesTo("O")) { // else it looks like an MTA, too
				wantSigned(t, records, waits.deliver(l), plainHeader, plainBody)
			}
			for _, c := range append(open, m.c, busy.c, waits.c) {
				c.Close()
			}
			srv.settled(t, goroutines, descriptors)
		})
	}
}

// While others fill every place with connections, and open a new one for each
// that is closed, an MTA that tries again as MTAs do gets its mail signed.
func TestMailDuringConnectionFlood(t *testing.T) {
	srv, records := signingServer(t, "maximum_connections = 50")
	goroutines, descriptors := resources(t)
	stop := make(chan struct{})
	var flood sync.WaitGroup
	for name, sent := range floods() {
		if bytes.HasPrefix(sent, framesTo("O")) {
			continue // they look like an MTA
		}
		for range 30 {
			flood.Go(func() {
				for {
					select {
					case <-stop:
						return
					default:
					}
					c, err := net.Dial("unix", srv.path)
					if err != nil {
						t.Errorf("%s: %v", name, err)
						return
					}
					_, _ = c.Write(sent)
					_ = c.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
					_, _ = c.Read(make([]byte, 1)) // until the server closes
					c.Close()
				}
			})
		}
	}
	for sent, end := 0, time.Now().Add(time.Minute); sent < 20; {
		if signedOnce(t, srv, records) {
			sent++
		} else if time.Now().After(end) {
			t.Errorf("%d messages of 20 got through in a minute", sent)
			break
		}
	}
	close(stop)
	flood.Wait()
	srv.settled(t, goroutines, descriptors)
	srv.log.wait(t, "maximum_connections are in use")
}

// signedOnce delivers a message on a connection of its own; false means that
// the connection did not last.
func signedOnce(t *testing.T, srv *testServer, records *resolver.Records) bool {
	t.Helper()
	c, err := net.Dial("unix", srv.path)
	if err != nil {
		return false
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(time.Minute))
	const order = "OCMRTLNBE"
	if _, err := c.Write(framesTo(order)); err != nil {
		return false
	}
	_ = c.(halves).CloseWrite()
	out, err := io.ReadAll(c)
	if err != nil || len(out) == 0 {
		return false
	}
	talk := conversation{order: order, out: out}
	for _, cmd := range []byte(order) {
		talk.expect(t, records, cmd)
	}
	return talk.signed == 1
}
