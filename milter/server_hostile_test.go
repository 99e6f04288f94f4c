package milter

import (
	"encoding/binary"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// resources are the goroutines and descriptors of this process.
func resources(t testing.TB) (goroutines, descriptors int) {
	t.Helper()
	list, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatalf("descriptors cannot be counted: %v", err)
	}
	return runtime.NumGoroutine(), len(list)
}

// settled waits until the server has no session, and wants what the sessions
// took to be given back.
func (s *testServer) settled(t testing.TB, goroutines, descriptors int) {
	t.Helper()
	var g, d int
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		if g, d = resources(t); s.Connections() == 0 && g <= goroutines && d <= descriptors {
			return
		}
	}
	t.Fatalf("%d sessions, %d goroutines and %d descriptors are left; there were %d and %d",
		s.Connections(), g, d, goroutines, descriptors)
}

// raw connects, writes and gives the connection back.
func (s *testServer) raw(t testing.TB, data []byte) net.Conn {
	t.Helper()
	c, err := net.Dial("unix", s.path)
	if err != nil {
		t.Fatal(err)
	}
	_ = c.SetDeadline(time.Now().Add(20 * time.Second))
	_, _ = c.Write(data) // the server may have closed already
	return c
}

// stream is a whole connection's frames as they go over the wire.
func stream(t testing.TB) []byte {
	t.Helper()
	var b []byte
	add := func(cmd byte, payload string) {
		b = binary.BigEndian.AppendUint32(b, uint32(1+len(payload)))
		b = append(append(b, cmd), payload...)
	}
	add('O', "\x00\x00\x00\x06\x00\x00\x01\xff\x00\x1f\xff\xff")
	add('D', "Cj\x00mx.example.org\x00")
	add('C', "localhost\x004\x00\x19127.0.0.1\x00")
	add('H', "client.example\x00")
	for range 2 {
		for _, f := range stepsOf("MRTLNBEA", plainHeader) {
			add(byte(f.cmd), f.payload)
		}
	}
	add('K', "")
	add('Q', "")
	return b
}

// The MTA may vanish anywhere: nothing of its session stays.
func TestDisconnectAnywhere(t *testing.T) {
	srv, _ := signingServer(t, "")
	all := stream(t)
	goroutines, descriptors := resources(t)
	for cut := 0; cut <= len(all); cut++ {
		c := srv.raw(t, all[:cut])
		if cut >= 17 && cut%2 == 0 { // OPTNEG is whole
			_, _ = io.CopyN(io.Discard, c, 13) // a part of its answer
		}
		c.Close()
	}
	srv.settled(t, goroutines, descriptors)
	if log := srv.log.String(); strings.Contains(log, "panic") {
		t.Errorf("a session panicked:\n%s", log)
	}
}

// Frames of every length and in every order end in an answer or a closed
// connection.
func TestAnyFrames(t *testing.T) {
	srv, _ := signingServer(t, "")
	goroutines, descriptors := resources(t)
	negotiation := stream(t)[:17]
	random := rand.New(rand.NewPCG(1, 2))
	const commands = "OCHMRTLNBEADQKU\x00\xffz"
	payloads := []string{"", "\x00", "a", "a\x00", "a\x00b\x00", "<user@example.com>\x00", "From\x00 user@example.com\x00", "localhost\x004\x00\x19127.0.0.1\x00",
		"Mi\x001\x00", "\x00\x00\x00\x06\x00\x00\x01\xff\x00\x1f\xff\xff", strings.Repeat("x", 65535), strings.Repeat("x\x00", 3000), strings.Repeat("\x00", 1025)}
	var wg sync.WaitGroup
	for range 8 {
		seed1, seed2 := random.Uint64(), random.Uint64()
		wg.Go(func() {
			r := rand.New(rand.NewPCG(seed1, seed2))
			for range 100 {
				var b []byte
				if r.IntN(8) > 0 {
					b = append(b, negotiation...)
				}
				for range r.IntN(30) {
					p := payloads[r.IntN(len(payloads))]
					b = binary.BigEndian.AppendUint32(b, uint32(1+len(p)))
					b = append(append(b, commands[r.IntN(len(commands))]), p...)
				}
				if r.IntN(4) == 0 {
					b = binary.BigEndian.AppendUint32(b, r.Uint32())
				}
				c := srv.raw(t, nil)
				go func() { _, _ = c.Write(b); _ = c.(*net.UnixConn).CloseWrite() }()
				if _, err := io.Copy(io.Discard, c); errors.Is(err, os.ErrDeadlineExceeded) {
					t.Errorf("neither answered nor closed: %.200q", b)
				}
				c.Close()
			}
		})
	}
	wg.Wait()
	srv.settled(t, goroutines, descriptors)
	if log := srv.log.String(); strings.Contains(log, "panic") {
		t.Errorf("a session panicked:\n%s", log)
	}
}

// Whoever sends a part of a frame, at whatever pace, is gone after
// frame_timeout; so is one that floods.
func TestSlowAndFlooding(t *testing.T) {
	srv, _ := signingServer(t, `frame_timeout = "300ms"`)
	goroutines, descriptors := resources(t)
	negotiation := string(stream(t)[:17])
	many := strings.Repeat("i\x00v\x00", 400)
	macros := string(binary.BigEndian.AppendUint32(nil, uint32(2+len(many)))) + "D%" + many
	for _, row := range []struct{ name, data, want string }{
		{"five bytes", "\x00\x01\x00\x00B", "silent for too long"},
		{"an HTTP request", "GET / HTTP/1.1\r\n\r\n", "milter frame of a forbidden size"},
		{"no octets", negotiation + "\x00\x00\x00\x00", "milter frame of a forbidden size"},
		{"too large", negotiation + "\x00\x02\x00\x00", "milter frame of a forbidden size"},
		{"macros for every stage", negotiation + strings.Replace(macros, "%", "C", 1) + strings.Replace(macros, "%", "H", 1), "more than the 512"},
	} {
		t.Run(row.name, func(t *testing.T) {
			c := srv.raw(t, []byte(row.data))
			if _, err := io.Copy(io.Discard, c); errors.Is(err, os.ErrDeadlineExceeded) {
				t.Error("the connection stays open")
			}
			c.Close()
			srv.log.wait(t, row.want)
		})
	}
	t.Run("one byte at a time", func(t *testing.T) {
		c := srv.raw(t, []byte(negotiation+"\x00\x00\xff\xffB"))
		defer c.Close()
		for {
			time.Sleep(20 * time.Millisecond)
			if _, err := c.Write([]byte("x")); err != nil {
				if errors.Is(err, os.ErrDeadlineExceeded) {
					t.Error("the connection stays open")
				}
				return
			}
		}
	})
	srv.settled(t, goroutines, descriptors)
}

// Idle connections cost little, and all of it comes back.
func TestManyIdleConnections(t *testing.T) {
	const connections = 400 // each has two descriptors in this process
	srv, records := signingServer(t, "maximum_connections = 300")
	goroutines, descriptors := resources(t)
	var open []net.Conn
	for range connections {
		open = append(open, srv.raw(t, stream(t)[:17]))
	}
	m := srv.connect(t, "localhost", "127.0.0.1")
	if n := srv.Connections(); n > 300 {
		t.Errorf("%d connections, the cap is 300", n)
	}
	srv.log.wait(t, "maximum_connections are in use")
	wantSigned(t, records, m.deliver(letter{header: plainHeader, body: plainBody}), plainHeader, plainBody)
	for _, c := range append(open, m.c) {
		c.Close()
	}
	srv.settled(t, goroutines, descriptors)
}

// failingListener fails first.
type failingListener struct {
	net.Listener
	mu   sync.Mutex
	errs []error
}

func (l *failingListener) Accept() (net.Conn, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.errs) > 0 {
		err := l.errs[0]
		l.errs = l.errs[1:]
		return nil, &net.OpError{Op: "accept", Err: os.NewSyscallError("accept4", err)}
	}
	return l.Listener.Accept()
}

// Without descriptors the server waits and goes on; what does not pass ends it.
func TestAcceptErrors(t *testing.T) {
	srv, _ := signingServer(t, "")
	listen := func(errs ...error) (*failingListener, string) {
		path := filepath.Join(t.TempDir(), "t")
		l, err := Listen("unix:"+path, 0o600, "")
		if err != nil {
			t.Fatal(err)
		}
		return &failingListener{Listener: l, errs: errs}, path
	}
	l, path := listen(syscall.EMFILE, syscall.ENFILE, syscall.ECONNABORTED)
	ended := make(chan error, 1)
	go func() { ended <- srv.Serve(l, "unix:"+path) }()
	(&testServer{Server: srv.Server, path: path}).connect(t, "localhost", "127.0.0.1")
	srv.log.wait(t, "cannot accept connections for now")

	broken, _ := listen(syscall.EBADF)
	if err := srv.Serve(broken, "broken"); !errors.Is(err, syscall.EBADF) {
		t.Errorf("Serve: %v", err)
	}
	broken.Close()
	_ = srv.Shutdown(t.Context())
	if err := <-ended; err != nil {
		t.Errorf("Serve after a stop: %v", err)
	}
	late, _ := listen()
	if err := srv.Serve(late, "late"); err != nil {
		t.Errorf("Serve on a stopped server: %v", err)
	}
}
