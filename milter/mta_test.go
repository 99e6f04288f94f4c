package milter

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/postseal/postseal/milter/wire"
	"github.com/postseal/postseal/testdata/program"
)

// allSteps is what Postfix offers in its newest protocol.
const allSteps = 0x1fffff

// allActions is what Postfix offers in its newest protocol.
const allActions = 0x1ff

// mta is the MTA's side of one connection, frame by frame, as Postfix has it.
type mta struct {
	t       testing.TB
	c       net.Conn
	r       *bufio.Reader
	actions uint32
	steps   wire.Step
}

// testServer is a server on a unix socket with its log.
type testServer struct {
	*Server
	path string
	log  *lockedLog
}

// startServer serves a snapshot on a unix socket until the test ends.
func startServer(t testing.TB, s *Snapshot, change ...func(*Server)) *testServer {
	t.Helper()
	log := new(lockedLog)
	srv := NewServer(s, ServerOptions{
		Log:      slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug})),
		Hostname: "host.example", Troubles: true,
	})
	for _, f := range change {
		f(srv)
	}
	path := filepath.Join(t.TempDir(), "s")
	l, err := Listen("unix:"+path, 0o600, "")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- srv.Serve(l, "unix:"+path) }()
	t.Cleanup(func() {
		gone, cancel := context.WithCancel(context.Background())
		cancel()
		_ = srv.Shutdown(gone) // nothing is waited for: the test has ended
		if err := <-served; err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
	return &testServer{srv, path, log}
}

// lockedLog collects log lines.
type lockedLog struct{ program.Output }

// LockedLog is lockedLog for the tests from outside of the package.
type LockedLog = lockedLog

// wait waits for text in the log.
func (l *lockedLog) wait(t testing.TB, text string) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if strings.Contains(l.String(), text) {
			return
		}
	}
	t.Fatalf("the log has no %q:\n%s", text, l.String())
}

func (s *testServer) dial(t testing.TB) *mta {
	t.Helper()
	c, err := net.Dial("unix", s.path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if err := c.SetDeadline(time.Now().Add(30 * time.Second)); err != nil {
		t.Fatal(err)
	}
	return &mta{t: t, c: c, r: bufio.NewReader(c)}
}

// connect negotiates everything and says who the client is.
func (s *testServer) connect(t testing.TB, host, addr string) *mta {
	t.Helper()
	m := s.dial(t)
	m.negotiate(6, allActions, allSteps)
	m.connect(host, addr)
	return m
}

func (m *mta) send(cmd wire.Command, payload string) {
	m.t.Helper()
	if err := m.trySend(cmd, payload); err != nil {
		m.t.Fatalf("%v: %v", cmd, err)
	}
}

func (m *mta) trySend(cmd wire.Command, payload string) error {
	frame := binary.BigEndian.AppendUint32(nil, uint32(1+len(payload)))
	frame = append(append(frame, byte(cmd)), payload...)
	_, err := m.c.Write(frame)
	return err
}

// frame reads one frame of the filter.
func (m *mta) frame() (code byte, payload []byte, err error) {
	var head [5]byte
	if _, err := io.ReadFull(m.r, head[:]); err != nil {
		return 0, nil, err
	}
	payload = make([]byte, binary.BigEndian.Uint32(head[:])-1)
	_, err = io.ReadFull(m.r, payload)
	return head[4], payload, err
}

// answer reads a frame that must come.
func (m *mta) answer() (code byte, payload []byte) {
	m.t.Helper()
	code, payload, err := m.frame()
	if err != nil {
		m.t.Fatalf("no answer: %v", err)
	}
	return code, payload
}

// closed wants the filter to have ended the connection.
func (m *mta) closed() {
	m.t.Helper()
	if code, payload, err := m.frame(); err == nil {
		m.t.Fatalf("the connection goes on with %q %q", code, payload)
	} else if errors.Is(err, os.ErrDeadlineExceeded) {
		m.t.Fatal("the connection is neither answered nor closed")
	}
}

func (m *mta) negotiate(version, actions, steps uint32) (gotVersion uint32) {
	m.t.Helper()
	p := binary.BigEndian.AppendUint32(nil, version)
	p = binary.BigEndian.AppendUint32(p, actions)
	p = binary.BigEndian.AppendUint32(p, steps)
	m.send(wire.CmdOptNeg, string(p))
	code, got := m.answer()
	if code != 'O' || len(got) < 12 {
		m.t.Fatalf("answer to OPTNEG: %q %q", code, got)
	}
	m.actions, m.steps = binary.BigEndian.Uint32(got[4:]), wire.Step(binary.BigEndian.Uint32(got[8:]))
	if m.actions&^actions != 0 || uint32(m.steps)&^steps != 0 {
		m.t.Fatalf("the filter takes what was not offered: actions %#x of %#x, steps %#x of %#x", m.actions, actions, m.steps, steps)
	}
	return binary.BigEndian.Uint32(got)
}

// step sends a command and reads its answer where one is due.
func (m *mta) step(cmd wire.Command, payload string, nr wire.Step) (code byte, text []byte) {
	m.t.Helper()
	m.send(cmd, payload)
	if m.steps&nr != 0 {
		return 'c', nil
	}
	return m.answer()
}

func (m *mta) macros(stage wire.Command, pairs ...string) {
	m.t.Helper()
	m.send(wire.CmdMacro, string(byte(stage))+strings.Join(pairs, "\x00")+"\x00")
}

func (m *mta) connect(host, addr string) byte {
	m.t.Helper()
	family := "4"
	if strings.Contains(addr, ":") {
		family = "6"
	}
	m.macros(wire.CmdConnect, "j", "mx.example.org", "{daemon_name}", "smtpd")
	payload := host + "\x00" + family + "\x00\x19" + addr + "\x00"
	if addr == "" { // local submission
		payload = host + "\x00U"
	}
	code, _ := m.step(wire.CmdConnect, payload, wire.StepNRConnect)
	return code
}

// letter is a message for the test's MTA.
type letter struct {
	macros []string // at MAIL
	from   string
	rcpt   []string
	header []string // "Name:value" with LF folds
	body   string
	chunk  int  // of the body; 0: all in one
	noEnd  bool // stop before EOM
}

// ended is how the filter answered a letter.
type ended struct {
	code     byte   // the last reply
	text     string // of 'y'
	at       wire.Command
	changes  []string // "i0 Name:value", "m2 Name:", "h Name:value", "+rcpt", "-rcpt", "q reason"
	progress int
	skipped  bool
}

// inserted returns the value of the topmost inserted field called name.
func (e ended) inserted(name string) string {
	for i := len(e.changes) - 1; i >= 0; i-- {
		if rest, ok := strings.CutPrefix(e.changes[i], "i0 "+name+":"); ok {
			return rest
		}
	}
	return ""
}

// deliver takes a letter through the filter up to its last reply.
func (m *mta) deliver(l letter) ended {
	m.t.Helper()
	if l.macros != nil {
		m.macros(wire.CmdMail, l.macros...)
	}
	type do struct {
		cmd     wire.Command
		payload string
		nr      wire.Step
	}
	steps := []do{{wire.CmdMail, "<" + l.from + ">\x00", wire.StepNRMail}}
	for _, r := range append([]string{"rcpt@elsewhere.example"}, l.rcpt...) {
		steps = append(steps, do{wire.CmdRcpt, "<" + r + ">\x00", wire.StepNRRcpt})
	}
	for _, h := range l.header {
		name, value, _ := strings.Cut(h, ":")
		if m.steps&wire.StepHeaderLeadSpace == 0 {
			value = strings.TrimPrefix(value, " ")
		}
		steps = append(steps, do{wire.CmdHeader, name + "\x00" + value + "\x00", wire.StepNRHeader})
	}
	steps = append(steps, do{wire.CmdEOH, "", wire.StepNREOH})
	for _, s := range steps {
		if s.cmd == wire.CmdEOH {
			m.macros(wire.CmdEOH, "i", "4XQ1")
		}
		if code, text := m.step(s.cmd, s.payload, s.nr); code != 'c' {
			return ended{code: code, text: strings.TrimRight(string(text), "\x00"), at: s.cmd}
		}
	}
	e := ended{at: wire.CmdEOM}
	body := l.body
	for size := l.chunk; body != ""; {
		if size == 0 || size > len(body) || size > 65535 {
			size = min(len(body), 65535)
		}
		code, _ := m.step(wire.CmdBody, body[:size], wire.StepNRBody)
		body = body[size:]
		if code == 's' {
			e.skipped = true
			break
		}
		if code != 'c' {
			m.t.Fatalf("answer to BODY: %q", code)
		}
	}
	if l.noEnd {
		return e
	}
	m.send(wire.CmdEOM, "")
	for {
		code, p := m.answer()
		switch code {
		case 'p':
			e.progress++
		case 'i', 'm':
			name, value, _ := strings.Cut(string(p[4:]), "\x00")
			e.changes = append(e.changes, fmt.Sprintf("%c%d %s:%s", code, binary.BigEndian.Uint32(p), name, strings.TrimSuffix(value, "\x00")))
		case '+', '-':
			e.changes = append(e.changes, fmt.Sprintf("%c%s", code, strings.TrimSuffix(string(p), "\x00")))
		case 'h':
			name, value, _ := strings.Cut(string(p), "\x00")
			e.changes = append(e.changes, fmt.Sprintf("h %s:%s", name, strings.TrimSuffix(value, "\x00")))
		case 'q':
			e.changes = append(e.changes, "q "+strings.TrimSuffix(string(p), "\x00"))
		default:
			e.code, e.text = code, strings.TrimRight(string(p), "\x00")
			return e
		}
	}
}
