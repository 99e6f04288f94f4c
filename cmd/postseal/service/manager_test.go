package service

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// notified is a service manager's end of NOTIFY_SOCKET.
type notified struct {
	t    testing.TB
	conn *net.UnixConn
}

func newNotified(t testing.TB, name string) *notified {
	t.Helper()
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Net: "unixgram", Name: name})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return &notified{t, conn}
}

// next is the next message, but for signs of life.
func (n *notified) next() []string {
	n.t.Helper()
	for {
		if lines := n.any(); !slices.Equal(lines, []string{"WATCHDOG=1"}) {
			return lines
		}
	}
}

func (n *notified) any() []string {
	n.t.Helper()
	buf := make([]byte, 8192)
	if err := n.conn.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
		n.t.Fatal(err)
	}
	size, err := n.conn.Read(buf)
	if err != nil {
		n.t.Fatal(err)
	}
	return strings.Split(string(buf[:size]), "\n")
}

// want wants a message of these lines; "…" at the end of one stands for anything.
func (n *notified) want(lines ...string) {
	n.t.Helper()
	got := n.next()
	same := len(got) == len(lines)
	for i := 0; same && i < len(got); i++ {
		start, open := strings.CutSuffix(lines[i], "…")
		same = got[i] == lines[i] || open && strings.HasPrefix(got[i], start)
	}
	if !same {
		n.t.Errorf("told %q, want %q", got, lines)
	}
}

// environment sets the variables of a service manager, and only them.
func environment(t *testing.T, variables map[string]string) {
	for _, name := range []string{"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"} {
		t.Setenv(name, "") // and as it was, in the end
		os.Unsetenv(name)
		if v, ok := variables[name]; ok {
			os.Setenv(name, v)
		}
	}
}

// What the daemon is about reaches the service manager, whatever kind of socket
// that has; what others put into words is no assignment.
func TestManagerIsTold(t *testing.T) {
	for _, name := range []string{filepath.Join(t.TempDir(), "notify"), fmt.Sprintf("@postseal-test-%d", os.Getpid())} {
		t.Run(name[:1], func(t *testing.T) {
			n := newNotified(t, name)
			environment(t, map[string]string{"NOTIFY_SOCKET": name})
			m, err := findManager()
			if err != nil {
				t.Fatal(err)
			}
			if v, ok := os.LookupEnv("NOTIFY_SOCKET"); ok {
				t.Errorf("a child finds NOTIFY_SOCKET=%s", v)
			}
			if !m.wants() || m.watchdog != 0 || len(m.sockets) > 0 {
				t.Errorf("%+v", m)
			}
			_ = os.Remove(name) // as a root folder of its own hides it
			served := 0
			m.serving = func() { served++ }
			m.Loading()
			n.want("STATUS=reading …", "EXTEND_TIMEOUT_USEC=600000000")
			m.Serving("serving; keys: 1")
			n.want("READY=1", "STATUS=serving; keys: 1")
			m.Reloading()
			n.want("RELOADING=1", "MONOTONIC_USEC=…", "STATUS=reloading", "EXTEND_TIMEOUT_USEC=600000000")
			m.Serving("a\nSTOPPING=1\r\x00\xff" + strings.Repeat("é", 1000))
			n.want("READY=1", "STATUS=a STOPPING=1  "+"\uFFFD"+strings.Repeat("é", 488)+"…")
			m.Stopping(30 * time.Second)
			n.want("STOPPING=1", "STATUS=stopping; messages in progress have 30s", "EXTEND_TIMEOUT_USEC=40000000")
			m.Reloading()
			m.Serving("a reload that ends while it stops")
			m.tell("nothing between")
			n.want("nothing between")
			if served != 1 {
				t.Errorf("%d times told that it serves", served)
			}
		})
	}
}

func TestFindManager(t *testing.T) {
	pid := fmt.Sprint(os.Getpid())
	for _, tt := range []struct {
		name     string
		set      map[string]string
		watchdog time.Duration
		err      string
	}{
		{"nobody", nil, 0, ""},
		{"a watchdog", map[string]string{"WATCHDOG_USEC": "60000000", "WATCHDOG_PID": pid}, time.Minute, ""},
		{"a watchdog for anybody", map[string]string{"WATCHDOG_USEC": "1000000"}, time.Second, ""},
		{"a watchdog for another process", map[string]string{"WATCHDOG_USEC": "60000000", "WATCHDOG_PID": "1"}, 0, ""},
		{"no time", map[string]string{"WATCHDOG_USEC": "soon"}, 0, "WATCHDOG_USEC"},
		{"sockets for another process", map[string]string{"LISTEN_PID": "1", "LISTEN_FDS": "2"}, 0, ""},
		{"nobody listens", map[string]string{"NOTIFY_SOCKET": "/nonexistent/notify", "WATCHDOG_USEC": "60000000"}, time.Minute, "/nonexistent/notify"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			environment(t, tt.set)
			m, err := findManager()
			if (err == nil) != (tt.err == "") || err != nil && !strings.Contains(err.Error(), tt.err) {
				t.Errorf("error %v, want %q", err, tt.err)
			}
			if m.watchdog != tt.watchdog || len(m.sockets) != 0 || m.wants() != (tt.watchdog > 0) {
				t.Errorf("%+v", m)
			}
			for name := range tt.set {
				if v, ok := os.LookupEnv(name); ok {
					t.Errorf("a child finds %s=%s", name, v)
				}
			}
			m.Loading() // with nobody to be told
			m.Serving("x")
		})
	}
}

// Only sockets are taken that a daemon can serve.
func TestPassedSockets(t *testing.T) {
	dir := t.TempDir()
	file := func(open interface{ File() (*os.File, error) }, err error) *os.File {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		f, err := open.File()
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
	listen := func(network, address string) *os.File {
		t.Helper()
		l, err := net.Listen(network, address)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { l.Close() })
		return file(l.(interface{ File() (*os.File, error) }), nil)
	}
	udp, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	udpFile := file(udp, err)
	defer udp.Close()
	stream := listen("unix", filepath.Join(dir, "stream"))
	dialled, err := net.DialUnix("unix", nil, &net.UnixAddr{Net: "unix", Name: filepath.Join(dir, "stream")})
	connected := file(dialled, err)
	defer dialled.Close()
	plain, err := os.Create(filepath.Join(dir, "plain"))
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name    string
		f       *os.File
		network string
		err     string
	}{
		{"unix", stream, "unix", ""},
		{"TCP", listen("tcp4", "127.0.0.1:0"), "tcp", ""},
		{"packets", listen("unixpacket", filepath.Join(dir, "packets")), "", "use ListenStream="},
		{"datagrams", udpFile, "", "use ListenStream="},
		{"a connection", connected, "", "without Accept=yes"},
		{"a file", plain, "", "non-socket"},
	} {
		got, err := passed([]*os.File{tt.f})
		switch {
		case tt.err != "":
			if err == nil || len(got) > 0 || !strings.HasPrefix(err.Error(), "socket ") || !strings.Contains(err.Error(), tt.err) {
				t.Errorf("%s: %v, %v", tt.name, got, err)
			}
		case err != nil || len(got) != 1 || got[0].Addr().Network() != tt.network:
			t.Errorf("%s: %v, %v", tt.name, got, err)
		}
		for _, l := range got {
			l.Close()
		}
		if err := tt.f.Close(); !errors.Is(err, os.ErrClosed) {
			t.Errorf("%s: the descriptor stays open (%v)", tt.name, err)
		}
	}
	if _, err := os.Lstat(filepath.Join(dir, "stream")); err != nil {
		t.Errorf("the manager's socket is removed: %v", err)
	}
}

// A sign of life is sent only after the daemon has answered: none while it hangs, or
// says that it does.
func TestWatch(t *testing.T) {
	name := filepath.Join(t.TempDir(), "notify")
	n := newNotified(t, name)
	environment(t, map[string]string{"NOTIFY_SOCKET": name, "WATCHDOG_USEC": "40000"})
	m, err := findManager()
	if err != nil {
		t.Fatal(err)
	}
	var asked atomic.Int32
	stuck, refused := make(chan struct{}), make(chan struct{})
	answers := func(ctx context.Context) error {
		switch asked.Add(1) {
		case 1:
			return nil
		case 2: // hangs without end
			close(refused)
			<-stuck
			return nil
		case 3, 4, 5: // hangs for as long as it may
			<-ctx.Done()
			return fmt.Errorf("call %d: %w", asked.Load(), ctx.Err())
		}
		return nil
	}
	var log strings.Builder
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		m.watch(ctx, answers, slog.New(slog.NewTextHandler(&log, nil)))
		close(ended)
	}()
	alive := func() {
		t.Helper()
		if got := n.any(); !slices.Equal(got, []string{"WATCHDOG=1"}) {
			t.Errorf("told %q", got)
		}
	}
	alive()
	<-refused
	if err := n.conn.SetReadDeadline(time.Now().Add(200 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	if size, err := n.conn.Read(make([]byte, 100)); err == nil {
		t.Errorf("a daemon that hangs sends %d octets", size)
	}
	close(stuck)
	alive() // of the second, which has answered in the end
	alive() // of the sixth
	if got := asked.Load(); got < 6 {
		t.Errorf("a sign of life after %d calls, three of which had no answer", got)
	}
	cancel()
	<-ended
	if got := strings.Count(log.String(), "does not answer itself"); got != 3 {
		t.Errorf("%d complaints:\n%s", got, log.String())
	}
}
