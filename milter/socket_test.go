package milter

import (
	"context"
	"errors"
	"net"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// soon ends a check that is to fail.
func soon(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	t.Cleanup(cancel)
	return ctx
}

// A daemon that serves answers itself, and nobody notices: at the cap no MTA loses
// its connection, and nothing is counted or logged.
func TestAnswers(t *testing.T) {
	d := startDaemonWith(t, `maximum_connections = 2`+"\n"+`log_level = "debug"`)
	ours := []*mta{d.connect(t), d.connect(t)}
	log, counts := d.log.String(), d.monitorStatus()
	for range 10 {
		if err := d.Answers(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	st := d.monitorStatus()
	if st.Accepted != counts.Accepted || st.Evicted != 0 || st.Refused != 0 || st.Connections != 2 {
		t.Errorf("connections before %+v, after %+v", counts, st)
	}
	if now := d.log.String(); now != log {
		t.Errorf("logged: %s", strings.TrimPrefix(now, log))
	}
	for _, m := range ours {
		wantSigned(t, d.records, m.deliver(letter{header: header("example.com"), body: "x\r\n"}), header("example.com"), "x\r\n")
	}
}

// A daemon that hangs anywhere between a new connection and its status does not
// answer, and does once it goes on.
func TestDoesNotAnswer(t *testing.T) {
	for _, tt := range []struct {
		name string
		hang func(d *runningDaemon) (goOn func())
		err  string // empty: the check itself hangs
	}{
		{"the server's mutex", func(d *runningDaemon) func() { d.server.mu.Lock(); return d.server.mu.Unlock }, "socket local:"},
		{"the status", func(d *runningDaemon) func() { d.mu.Lock(); return d.mu.Unlock }, ""},
		{"the counters", func(d *runningDaemon) func() { d.server.counters.mu.Lock(); return d.server.counters.mu.Unlock }, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d := startDaemon(t)
			goOn := tt.hang(d)
			answered := make(chan error, 1)
			ctx := soon(t)
			go func() { answered <- d.Answers(ctx) }()
			if tt.err != "" {
				if err := <-answered; !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), tt.err) {
					t.Errorf("answered: %v", err)
				}
				goOn()
			} else {
				<-ctx.Done()
				select {
				case err := <-answered:
					t.Errorf("answered: %v", err)
				default:
				}
				goOn()
				<-answered
			}
			if err := d.Answers(t.Context()); err != nil {
				t.Errorf("does not answer again: %v", err)
			}
		})
	}
}

// haltedListener's Accept does not return while it is halted, or returns errors.
type haltedListener struct {
	*net.UnixListener
	halted atomic.Pointer[chan struct{}]
	fail   atomic.Bool
}

func (l *haltedListener) Accept() (net.Conn, error) {
	c, err := l.UnixListener.Accept()
	if halted := l.halted.Load(); halted != nil {
		<-*halted
	}
	if err == nil && l.fail.Load() {
		c.Close()
		return nil, &net.OpError{Op: "accept", Err: syscall.EMFILE}
	}
	return c, err
}

// Who accepts connections is asked as well. Trouble that passes, such as no
// descriptors left, is no reason to start the daemon again.
func TestAcceptingAnswers(t *testing.T) {
	srv, _ := signingServer(t, "")
	inner, err := Listen("unix:"+t.TempDir()+"/l", 0o600, "")
	if err != nil {
		t.Fatal(err)
	}
	l := &haltedListener{UnixListener: inner.(*net.UnixListener)}
	s := newSocket(l, "unix:l", false)
	if err := s.answers(soon(t)); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("before anybody accepts: %v", err)
	}
	served := make(chan error, 1)
	go func() { served <- srv.Serve(s, s.name) }()
	if err := s.answers(t.Context()); err != nil {
		t.Error(err)
	}
	halted := make(chan struct{})
	l.halted.Store(&halted)
	if err := s.answers(soon(t)); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("nobody accepts: %v", err)
	}
	if err := s.answers(soon(t)); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("nobody accepts, for the second time: %v", err)
	}
	l.halted.Store(nil)
	close(halted)
	l.fail.Store(true)
	for range 3 {
		c, err := net.Dial("unix", inner.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
	}
	srv.log.wait(t, "cannot accept connections for now")
	if err := s.answers(t.Context()); err != nil {
		t.Errorf("without descriptors: %v", err)
	}
	if err := srv.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	if err := <-served; err != nil {
		t.Error(err)
	}
}

// observing notes what an observer is told.
type observing struct{ told chan string }

func (w observing) Serving(words string)         { w.told <- words }
func (w observing) Reloading()                   { w.told <- "reloading" }
func (w observing) Stopping(drain time.Duration) { w.told <- "stopping " + drain.String() }

func TestObserver(t *testing.T) {
	w := observing{make(chan string, 10)}
	d := startDaemonWith(t, `drain_timeout = "7s"`, func(o *DaemonOptions) { o.Observer = w })
	want := func(want string) {
		t.Helper()
		if got := <-w.told; got != want && !(strings.HasSuffix(want, "…") && strings.HasPrefix(got, strings.TrimSuffix(want, "…"))) {
			t.Errorf("told %q, want %q", got, want)
		}
	}
	want("serving; keys: 1")
	if _, err := d.Daemon.reload(); err != nil {
		t.Fatal(err)
	}
	want("reloading")
	want("serving; keys: 1")
	d.write(t, "signing.table", "*@example.com nosuchkey\n")
	d.reload <- syscall.SIGHUP
	want("reloading")
	want("serving; keys: 1; the last reload failed, the old configuration is in force: …")
	d.write(t, "signing.table", "*@example.com k\n")
	d.write(t, "key.table", "k example.com:s1:/nonexistent\n")
	if _, err := d.Daemon.reload(); err != nil {
		t.Fatal(err)
	}
	want("reloading")
	want("serving; keys: 1; keys and rows that cannot sign: 1")
	if err := d.stop(); err != nil {
		t.Error(err)
	}
	want("stopping 7s")
}
