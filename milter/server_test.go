package milter

import (
	"context"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/postseal/postseal/milter/wire"
)

// A stop ends idle connections at once and lets messages in progress end, those too
// whose client has not sent its header yet.
func TestShutdown(t *testing.T) {
	srv, records := signingServer(t, "")
	idle := srv.connect(t, "localhost", "127.0.0.1")
	early := srv.connect(t, "localhost", "127.0.0.1")
	early.send(wire.CmdMail, "<user@example.com>\x00")
	busy := srv.connect(t, "localhost", "127.0.0.1")
	busy.send(wire.CmdMail, "<user@example.com>\x00")
	for _, h := range plainHeader {
		name, value, _ := strings.Cut(h, ":")
		busy.send(wire.CmdHeader, name+"\x00"+value+"\x00")
	}
	busy.send(wire.CmdEOH, "")
	if code, _ := busy.answer(); code != 'c' { // all three are where they should be
		t.Fatalf("EOH is answered with %q", code)
	}
	ended := make(chan error, 1)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	go func() { ended <- srv.Shutdown(ctx) }()
	idle.closed()
	if c, err := net.Dial("unix", srv.path); err == nil {
		c.Close()
		t.Error("the socket still accepts connections")
	}
	select {
	case err := <-ended:
		t.Fatalf("the stop did not wait for the message: %v", err)
	default:
	}
	e := busy.finishBody(plainBody)
	wantSigned(t, records, e, plainHeader, plainBody)
	busy.closed()
	early.play(stepsOf("LN", plainHeader))
	e = early.finishBody(plainBody)
	wantSigned(t, records, e, plainHeader, plainBody)
	early.closed()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// finishBody sends a body and reads to the last reply.
func (m *mta) finishBody(body string) ended {
	m.t.Helper()
	m.send(wire.CmdBody, body)
	m.answer()
	var e ended
	m.send(wire.CmdEOM, "")
	for {
		code, p := m.answer()
		if code != 'i' {
			e.code = code
			return e
		}
		e.changes = append(e.changes, "i0 "+strings.TrimSuffix(strings.Replace(string(p[4:]), "\x00", ":", 1), "\x00"))
	}
}

// What does not end in time is given up.
func TestShutdownGivesUp(t *testing.T) {
	srv, _ := signingServer(t, "")
	m := srv.connect(t, "localhost", "127.0.0.1")
	m.deliver(letter{header: plainHeader, body: plainBody, noEnd: true})
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := srv.Shutdown(ctx); err == nil {
		t.Error("no error for a message that never ended")
	}
	m.closed()
	if n := srv.Connections(); n != 0 {
		t.Errorf("%d connections are left", n)
	}
}

// At the cap, the connection that has been idle for longest goes; one with a
// message does not.
func TestConnectionCap(t *testing.T) {
	srv, records := signingServer(t, "maximum_connections = 3")
	busy := srv.connect(t, "localhost", "127.0.0.1")
	busy.deliver(letter{header: plainHeader, body: plainBody, noEnd: true})
	oldest := srv.connect(t, "localhost", "127.0.0.1")
	younger := srv.connect(t, "localhost", "127.0.0.1")
	newest := srv.connect(t, "localhost", "127.0.0.1")
	oldest.closed()
	for _, m := range []*mta{younger, newest} {
		m.deliver(letter{header: plainHeader, body: plainBody, noEnd: true})
	}
	refused := srv.dial(t)
	refused.closed()
	srv.log.wait(t, "maximum_connections")
	busy.send(wire.CmdEOM, "")
	if code, _ := busy.answer(); code != 'i' {
		t.Errorf("the message in progress is answered with %q", code)
	}
	younger.send(wire.CmdAbort, "")
	wantSigned(t, records, younger.deliver(letter{header: plainHeader, body: plainBody}), plainHeader, plainBody)
}

func TestIdleTimeout(t *testing.T) {
	srv, _ := signingServer(t, `idle_timeout = "50ms"`)
	m := srv.connect(t, "localhost", "127.0.0.1")
	m.closed()
	srv.log.wait(t, "silent for too long")
}

func TestListenUnix(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "s")
	l, err := Listen("local:"+path, 0o620, "0")
	if err != nil {
		t.Fatal(err)
	}
	if fi, err := os.Stat(path); err != nil || fi.Mode().Perm() != 0o620 {
		t.Errorf("mode %v, error %v; want 0620", fi.Mode(), err)
	}
	if _, err := Listen("unix:"+path, 0o600, ""); err == nil || !strings.Contains(err.Error(), "another process answers") {
		t.Errorf("a socket that answers was taken over: %v", err)
	}
	l.(*net.UnixListener).SetUnlinkOnClose(false) // as if the process had been killed
	l.Close()
	if l, err = Listen("local:"+path, 0o600, ""); err != nil {
		t.Fatalf("a stale socket is not replaced: %v", err)
	}
	l.Close()
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Listen("local:"+path, 0o600, ""); err == nil || !strings.Contains(err.Error(), "no socket") {
		t.Errorf("a file was taken for a socket: %v", err)
	}
	if fi, err := os.Stat(path); err != nil || fi.Mode().Type() != fs.FileMode(0) {
		t.Errorf("the file is gone: %v", err)
	}
	if _, err := Listen("local:"+filepath.Join(dir, "t"), 0o600, "no-such-group"); err == nil || !strings.Contains(err.Error(), "groupadd") {
		t.Errorf("unknown group: %v", err)
	}
}

// A socket is its owner's alone until it gets its mode, and what others make at the
// same time gets theirs: the umask of the process stays as it is.
func TestListenUnixAtOnce(t *testing.T) {
	dir := t.TempDir()
	before := umask(t)
	var all sync.WaitGroup
	for i := range 64 {
		path := filepath.Join(dir, strconv.Itoa(i))
		all.Go(func() {
			for range 8 {
				l, err := private.Listen(t.Context(), "unix", path)
				if err != nil {
					t.Error(err)
					return
				}
				if fi, err := os.Stat(path); err != nil || fi.Mode().Perm() != 0o600 {
					t.Errorf("mode %v, error %v; want 0600", fi.Mode(), err)
				}
				l.Close()
				if l, err = Listen("local:"+path, 0o660, ""); err != nil {
					t.Error(err)
					return
				}
				if now := umask(t); now != before {
					t.Errorf("the umask is %s, it was %s", now, before)
				}
				l.Close()
			}
		})
	}
	all.Wait()
}

// umask is that of this process.
func umask(t *testing.T) string {
	t.Helper()
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(status), "Umask:")
	value, _, _ := strings.Cut(rest, "\n")
	return strings.TrimSpace(value)
}

func TestListenTCP(t *testing.T) {
	for _, socket := range []string{"inet:0@127.0.0.1", "inet:0@localhost", "inet6:0@::1"} {
		network, addr := "tcp4", "127.0.0.1:0"
		if strings.HasPrefix(socket, "inet6") {
			network, addr = "tcp6", "[::1]:0"
		}
		free, err := net.Listen(network, addr)
		if err != nil {
			t.Fatal(err)
		}
		_, port, _ := net.SplitHostPort(free.Addr().String())
		free.Close()
		l, err := Listen(strings.Replace(socket, ":0@", ":"+port+"@", 1), 0, "")
		if err != nil {
			t.Fatal(err)
		}
		c, err := net.Dial(network, l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Write([]byte("x")); err != nil {
			t.Fatal(err)
		}
		in, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		if _, ok := in.(*promptConn); !ok {
			t.Errorf("%s: connections are %T", socket, in)
		}
		if n, err := in.Read(make([]byte, 1)); n != 1 || err != nil {
			t.Errorf("%s: read %d, %v", socket, n, err)
		}
		in.Close()
		c.Close()
		l.Close()
	}
}
