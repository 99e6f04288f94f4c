package milter

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/postseal/postseal/milter/dkim"
	"github.com/postseal/postseal/milter/wire"
)

// octets are frames as they go over the wire.
func octets(frames []frame) (b []byte) {
	for _, f := range frames {
		b = binary.BigEndian.AppendUint32(b, uint32(1+len(f.payload)))
		b = append(append(b, byte(f.cmd)), f.payload...)
	}
	return b
}

// stopStages are where a session can be when the signal comes. In those that have a
// message it is answered; rest is what the MTA goes on with there.
var stopStages = []struct{ name, order, rest string }{
	{"idle", "", ""},
	{"after a message", "MRTLNBEA", ""},
	{"after MAIL", "M", "RTLNBE"},
	{"after RCPT", "MRR", "LNBE"},
	{"after DATA", "MRT", "LNBE"},
	{"in the header", "MRTL", "NBE"},
	{"after the header", "MRTLN", "BE"},
	{"in the body", "MRTLNB", "E"},
}

// A daemon that is stopped under load, with messages in every stage, answers each
// that has begun to leave the MTA, whether it has read of it yet or not, and rightly;
// it closes the other connections between two replies. It ends with status 0 and
// leaves no socket behind.
func TestStopAtEveryStage(t *testing.T) {
	t.Parallel()
	program := buildProgram(t)
	for _, row := range []struct {
		name   string
		before []syscall.Signal
	}{
		{"SIGTERM", nil},
		{"SIGTERM during a reload", []syscall.Signal{syscall.SIGHUP, syscall.SIGUSR1}},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			p, tcp := startOnTCP(t, program, `drain_timeout = "2m"`)
			for _, addr := range []net.Addr{tcp, p.unix("both")} {
				p.dialMTA(t, addr).c.Close() // both answer
			}
			stages := map[string][]*mta{}
			for _, st := range stopStages {
				for _, addr := range []net.Addr{tcp, p.unix("both"), p.unix("both")} {
					m := p.dialMTA(t, addr)
					m.play(stepsOf(st.order, plainHeader))
					stages[st.name] = append(stages[st.name], m)
				}
			}
			var signalled atomic.Bool
			var load sync.WaitGroup
			for n := range 8 {
				addr := p.unix("both")
				if n%4 == 0 {
					addr = tcp
				}
				load.Go(func() { p.mailUntilRefused(t, addr, &signalled) })
			}
			// MAIL and header in one piece, for which the daemon has no time before it
			// learns of the signal.
			var unread []*mta
			for range 30 {
				unread = append(unread, p.dialMTA(t, p.unix("both")))
			}
			p.signal(t, syscall.SIGSTOP)
			for _, m := range unread {
				if _, err := m.c.Write(octets(stepsOf("MRRTL", plainHeader))); err != nil {
					t.Fatal(err)
				}
			}
			signalled.Store(true)
			for _, s := range append(row.before, syscall.SIGTERM) {
				p.signal(t, s)
			}
			p.signal(t, syscall.SIGCONT)
			for _, st := range stopStages {
				for _, m := range stages[st.name] {
					if st.rest == "" {
						m.closed()
						continue
					}
					p.wantAnswered(t, st.name, m, st.rest)
				}
			}
			for _, m := range unread {
				p.wantAnswered(t, "just written", m, "NBE")
			}
			load.Wait()
			p.waitEnd(t)
			if log := p.log.String(); strings.Contains(log, "panic") || strings.Contains(log, "drain_timeout is over") {
				t.Errorf("%.3000s", log)
			}
		})
	}
}

// heldListener's connections read nothing while they are held, as those of a daemon
// that gets no processor.
type heldListener struct {
	net.Listener
	held    atomic.Pointer[chan struct{}]
	waiting atomic.Int32 // for held
}

type heldConn struct {
	net.Conn
	l *heldListener
}

func (l *heldListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return heldConn{c, l}, nil
}

func (c heldConn) Read(p []byte) (int, error) {
	if held := c.l.held.Load(); held != nil {
		c.l.waiting.Add(1)
		<-*held
	}
	return c.Conn.Read(p)
}

// What the MTA has sent before the stop counts, not what the daemon has read.
func TestStopReadsWhatHasArrived(t *testing.T) {
	t.Parallel()
	for _, row := range []struct{ name, read, unread, rest string }{
		{"MAIL and the header", "", "MRTL", "NBE"},
		{"the header", "MRT", "L", "NBE"},
		{"the whole message", "M", "RTLN", "BE"},
		{"the body", "MRTL", "NB", "E"},
		{"MAIL", "", "MR", "TLNBE"},
		{"RCPT", "MR", "RT", "LNBE"},
		{"a message that is given up", "M", "RAM", ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			srv, records := signingServer(t, "")
			inner, err := Listen("unix:"+filepath.Join(t.TempDir(), "held"), 0o600, "")
			if err != nil {
				t.Fatal(err)
			}
			l := &heldListener{Listener: inner}
			served := make(chan error, 1)
			go func() { served <- srv.Serve(l, "unix:held") }()
			m := (&testServer{path: inner.Addr().String()}).connect(t, "localhost", "127.0.0.1")
			m.play(stepsOf(row.read, plainHeader))
			held := make(chan struct{})
			l.held.Store(&held)
			m.play(stepsOf("U", nil)) // wakes the session, into a read that is held
			for l.waiting.Load() == 0 {
				time.Sleep(time.Millisecond)
			}
			if _, err := m.c.Write(octets(stepsOf(row.unread, plainHeader))); err != nil {
				t.Fatal(err)
			}
			ended := make(chan error, 1)
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			go func() { ended <- srv.Shutdown(ctx) }()
			if err := <-served; err != nil {
				t.Error(err)
			}
			time.Sleep(3 * lastLook)
			close(held)
			if row.rest != "" {
				for _, f := range stepsOf(row.unread, plainHeader) {
					if m.steps&f.nr == 0 {
						m.answer()
					}
				}
				e, err := m.rest(row.rest)
				if err != nil {
					t.Fatal(err)
				}
				wantSigned(t, records, e, plainHeader, plainBody)
			}
			m.closed()
			if err := <-ended; err != nil {
				t.Error(err)
			}
		})
	}
}

// startOnTCP is startProcess with one more listener, on a loopback port.
func startOnTCP(t *testing.T, program, settings string) (*process, net.Addr) {
	t.Helper()
	free, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := free.Addr()
	free.Close()
	port := addr.(*net.TCPAddr).Port
	return startProcess(t, program, fmt.Sprintf("%s\n[[listener]]\nsocket = \"inet:%d@127.0.0.1\"\nmode = \"sv\"\n", settings, port)), addr
}

func (p *process) unix(name string) net.Addr {
	return &net.UnixAddr{Net: "unix", Name: filepath.Join(p.dir, name)}
}

// dialMTA connects and negotiates.
func (p *process) dialMTA(t testing.TB, addr net.Addr) *mta {
	t.Helper()
	m, err := p.tryMTA(t, addr)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// tryMTA is dialMTA for a daemon that may be gone.
func (p *process) tryMTA(t testing.TB, addr net.Addr) (*mta, error) {
	c, err := net.Dial(addr.Network(), addr.String())
	if err != nil {
		return nil, err
	}
	t.Cleanup(func() { c.Close() })
	if err := c.SetDeadline(time.Now().Add(2 * time.Minute)); err != nil {
		return nil, err
	}
	m := &mta{t: t, c: c, r: bufio.NewReader(c), steps: allSteps}
	offer := "\x00\x00\x00\x06\x00\x00\x01\xff\x00\x1f\xff\xff"
	connect := "localhost\x004\x00\x19127.0.0.1\x00"
	for _, f := range []frame{{wire.CmdOptNeg, offer, 0}, {wire.CmdConnect, connect, 0}} {
		if err := m.trySend(f.cmd, f.payload); err != nil {
			return nil, err
		}
		code, payload, err := m.frame()
		if err != nil {
			return nil, err
		}
		if code == 'O' {
			m.steps = wire.Step(binary.BigEndian.Uint32(payload[8:]))
		}
	}
	return m, nil
}

// rest sends what is left of a message and reads all replies.
func (m *mta) rest(order string) (e ended, err error) {
	for _, f := range stepsOf(order, plainHeader) {
		if err := m.trySend(f.cmd, f.payload); err != nil {
			return e, err
		}
		if m.steps&f.nr != 0 {
			continue
		}
		for {
			code, p, err := m.frame()
			if err != nil {
				return e, fmt.Errorf("reply to %v: %w", f.cmd, err)
			}
			if code == 'i' {
				e.changes = append(e.changes, "i0 "+strings.TrimSuffix(strings.Replace(string(p[4:]), "\x00", ":", 1), "\x00"))
				continue
			}
			e.code, e.at = code, f.cmd
			break
		}
	}
	return e, nil
}

// wantAnswered wants the rest of a message to be answered as ever, and the
// connection to end then.
func (p *process) wantAnswered(t testing.TB, stage string, m *mta, rest string) {
	t.Helper()
	e, err := m.rest(rest)
	if err != nil {
		t.Fatalf("%s: %v", stage, err)
	}
	wantSigned(t, p.records, e, plainHeader, plainBody)
	m.closed()
}

// mailUntilRefused delivers message after message until the daemon takes none. No
// message whose header went out before the signal may be among those.
func (p *process) mailUntilRefused(t *testing.T, addr net.Addr, signalled *atomic.Bool) {
	for {
		m, err := p.tryMTA(t, addr)
		for n := 0; err == nil && n < 10; n++ {
			_, err = m.c.Write(octets(stepsOf("MRTL", plainHeader)))
			begun := err == nil && !signalled.Load()
			if err == nil {
				var e ended
				if e, err = m.rest("NBE"); err == nil {
					if r := verified(t, p.records, plainHeader, e.inserted("DKIM-Signature"), plainBody); e.code != 'a' || r.Status != dkim.Pass {
						t.Errorf("ended with %q, the signature: %s %v", e.code, r.Status, r.Err)
						return
					}
				}
			}
			if err != nil && begun {
				t.Errorf("a message whose header went out before the signal is lost: %v", err)
			}
		}
		if m != nil {
			m.c.Close()
		}
		switch {
		case err != nil && !signalled.Load():
			t.Errorf("no mail is taken before the signal: %v", err)
			return
		case err != nil:
			return
		}
	}
}

// A second signal does not wait for messages in progress; what it leaves behind the
// next start takes over.
func TestSecondSignal(t *testing.T) {
	t.Parallel()
	p := startProcess(t, buildProgram(t), `drain_timeout = "10m"`)
	m := p.connect(t, "both")
	m.play(stepsOf("MRLN", plainHeader))
	p.signal(t, syscall.SIGTERM)
	p.log.wait(t, "msg=stopping")
	for end := time.Now().Add(time.Minute); ; time.Sleep(5 * time.Millisecond) { // it listens to the first for a moment
		_ = p.Signal(syscall.SIGTERM)
		select {
		case err := <-p.ended:
			var exit *exec.ExitError
			if !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGTERM {
				t.Errorf("it ended with %v", err)
			}
			m.closed()
			p.startAgain(t)
			l := letter{header: plainHeader, body: plainBody}
			wantSigned(t, p.records, p.connect(t, "both").deliver(l), l.header, l.body)
			p.signal(t, syscall.SIGTERM)
			p.waitEnd(t)
			return
		default:
		}
		if time.Now().After(end) {
			t.Fatal("it does not end")
		}
	}
}

// startAgain starts the daemon's process once more, with the same files.
func (p *process) startAgain(t testing.TB) {
	t.Helper()
	p.log = new(lockedLog)
	cmd := exec.Command(p.program, "serve", "-c", filepath.Join(p.dir, "postseal.toml"), "--records", filepath.Join(p.dir, "records"))
	cmd.Stderr = p.log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	p.Process = cmd.Process
	gone := make(chan struct{})
	go func() { p.ended <- cmd.Wait(); close(gone) }()
	t.Cleanup(func() { _ = cmd.Process.Kill(); <-gone })
	p.log.wait(t, "msg=started")
}
