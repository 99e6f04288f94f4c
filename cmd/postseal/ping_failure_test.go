package main

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// listen answers connections on a unix socket in the machine's folder until the
// test ends.
func (m *machine) listen(answer func(net.Conn)) {
	m.t.Helper()
	l, err := net.Listen("unix", m.path("s"))
	if err != nil {
		m.t.Fatal(err)
	}
	m.t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			m.t.Cleanup(func() { c.Close() })
			answer(c)
		}
	}()
}

const oneKey = "socket = \"unix:DIR/s\"\nruntime_directory = \"DIR/run\"\nrequire_safe_keys = false\n" +
	"domain = \"a.example\"\nselector = \"s\"\nkey_file = \"keys/rsa.private\"\n"

// begin begins a message to the daemon and leaves it at that.
func (m *machine) begin() net.Conn {
	m.t.Helper()
	c, err := net.Dial("unix", m.path("s"))
	if err != nil {
		m.t.Fatal(err)
	}
	m.t.Cleanup(func() { c.Close() })
	_ = c.SetDeadline(time.Now().Add(time.Minute))
	for _, frame := range []string{
		"\x00\x00\x00\x0dO\x00\x00\x00\x06\x00\x00\x01\xff\x00\x00\x00\x00", // nothing goes unanswered
		"\x00\x00\x00\x18Clocalhost\x004\x9c\x40127.0.0.1\x00",
		"\x00\x00\x00\x11M<joe@a.example>\x00",
	} {
		if _, err := c.Write([]byte(frame)); err != nil {
			m.t.Fatal(err)
		}
		if _, err := c.Read(make([]byte, 512)); err != nil {
			m.t.Fatal(err)
		}
	}
	return c
}

// Whatever listens where the daemon should, the words say what to do.
func TestPingNobodyAnswers(t *testing.T) {
	for _, row := range []struct {
		name   string
		answer func(net.Conn) // nil: nobody listens
		args   []string
		want   string
	}{
		{"nobody", nil, nil, "no daemon listens there: dial unix DIR/s: connect: no such file or directory; start it (postseal serve)"},
		{"one that hangs", func(net.Conn) {}, []string{"--timeout", "300ms"}, "no answer within 300ms; the daemon hangs, or no milter listens there"},
		{"an SMTP server", func(c net.Conn) { _, _ = c.Write([]byte("220 mx.example.com ESMTP Postfix\r\n")) }, nil, "does a milter listen there?"},
		{"one that closes", func(c net.Conn) { c.Close() }, nil, "maximum_connections may be in use (postseal status), or no milter listens there"},
		{"one with another version", func(c net.Conn) {
			_, _ = c.Write([]byte("\x00\x00\x00\x0dO\x00\x00\x00\x63\x00\x00\x00\x00\x00\x00\x00\x00"))
		}, nil,
			"negotiation: the filter speaks version 99, and 6 was offered"},
		{"one that accepts all mail", func(c net.Conn) {
			_, _ = c.Write([]byte("\x00\x00\x00\x0dO\x00\x00\x00\x06\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01a"))
		}, nil, "the message came back without a signature"},
		{"one that refuses all mail", func(c net.Conn) {
			_, _ = c.Write([]byte("\x00\x00\x00\x0dO\x00\x00\x00\x06\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x12y550 5.7.1 \x1b[2J no\x00"))
		}, nil, `is not let through (CONNECT is answered with "550 5.7.1 \x1b[2J no")`},
		{"one that breaks off", func(c net.Conn) {
			_, _ = c.Write([]byte("\x00\x00\x00\x0dO\x00\x00\x00\x06\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01c\x00\x00\x00\x01c"))
			c.(*net.UnixConn).CloseWrite()
		}, nil, "is not answered: "},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			m := newMachine(t, map[string]string{"conf": oneKey})
			if row.answer != nil {
				m.listen(row.answer)
			}
			r, exit := m.ping(append([]string{"-c", "conf"}, row.args...)...)
			want := strings.ReplaceAll(row.want, "DIR", m.dir)
			if exit != 1 || len(r.Problems) != 1 || !strings.Contains(r.Problems[0], want) {
				t.Errorf("exit status %d, problems %q; want %q", exit, r.Problems, want)
			}
		})
	}
}

// A daemon that is there and does not answer, and one whose connections are all
// carrying mail.
func TestPingDaemonInTrouble(t *testing.T) {
	t.Run("stopped", func(t *testing.T) {
		t.Parallel()
		m := newMachine(t, map[string]string{"conf": oneKey})
		daemon := m.serve("conf")
		if r, _ := m.ping("-c", "conf"); !r.OK {
			t.Fatalf("%q", r.Problems)
		}
		if err := daemon.Signal(syscall.SIGSTOP); err != nil {
			t.Fatal(err)
		}
		r, exit := m.ping("-c", "conf", "--timeout", "300ms")
		if exit != 1 || len(r.Problems) != 1 || !strings.Contains(r.Problems[0], "no answer within 300ms") {
			t.Errorf("exit status %d, problems %q", exit, r.Problems)
		}
		if err := daemon.Signal(syscall.SIGCONT); err != nil {
			t.Fatal(err)
		}
		if r, _ := m.ping("-c", "conf"); !r.OK {
			t.Errorf("it goes on, and %q", r.Problems)
		}
	})
	t.Run("full", func(t *testing.T) {
		t.Parallel()
		m := newMachine(t, map[string]string{"conf": oneKey + "maximum_connections = 1\n"})
		m.serve("conf")
		// A message that has begun keeps its connection.
		busy := m.begin()
		r, exit := m.ping("-c", "conf")
		if exit != 1 || len(r.Problems) != 1 || !strings.Contains(r.Problems[0], "maximum_connections may be in use") {
			t.Errorf("exit status %d, problems %q", exit, r.Problems)
		}
		busy.Close()
		for end := time.Now().Add(time.Minute); ; { // the daemon has to see that first
			r, _ := m.ping("-c", "conf")
			if r.OK {
				break
			}
			if time.Now().After(end) {
				t.Fatalf("there is room again, and %q", r.Problems)
			}
		}
	})
}

// Without a configuration, an answer is all that can be asked for.
func TestPingElsewhere(t *testing.T) {
	m := newMachine(t, map[string]string{"conf": oneKey})
	m.serve("conf")
	// The keys lie elsewhere.
	if err := os.Rename(m.path("keys"), filepath.Join(m.dir, "away")); err != nil {
		t.Fatal(err)
	}
	r, exit := m.ping("-c", "conf", "--socket", "unix:"+m.path("s"))
	if exit != 0 || len(r.Keys) != 1 || r.Keys[0].Verified != verifiedNames {
		t.Errorf("exit status %d, keys %+v, problems %q", exit, r.Keys, r.Problems)
	}
	if len(r.Notes) != 1 || !strings.Contains(r.Notes[0], "cannot be read here, so d= and s= alone were compared") {
		t.Errorf("notes %q", r.Notes)
	}
	if r, _ := m.ping("-c", "conf"); r.OK {
		t.Error("the same daemon has lost its key, and that is well")
	}
}
