package load

import (
	"context"
	"errors"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/postseal/postseal/milter/wire"
)

// inserted is the frame of a header field that a filter inserts on top.
func inserted(name, value string) string { return "i\x00\x00\x00\x00" + name + "\x00" + value + "\x00" }

// What counts as a failure, and in which words.
func TestAnswers(t *testing.T) {
	t.Parallel()
	type answers = map[wire.Command][]string
	signed := inserted("DKIM-Signature", " v=1; d=example.com")
	tests := []struct {
		name    string
		answers answers
		steps   wire.Step
		version uint32
		want    string // Options.Want
		failure string // part of FirstError; empty is success
	}{
		{name: "continue", answers: answers{wire.CmdEOM: {"c"}}},
		{name: "accept", answers: answers{wire.CmdEOM: {"a"}}},
		{name: "accept early", answers: answers{wire.CmdRcpt: {"a"}}},
		{name: "accept the client", answers: answers{wire.CmdConnect: {"a"}}},
		{name: "field", answers: answers{wire.CmdEOM: {"p", signed, "c"}}, want: "dkim-signature"},
		{name: "field added", answers: answers{wire.CmdEOM: {"hDKIM-Signature\x00 v=1\x00", "c"}}, want: "DKIM-Signature"},
		{name: "field with text", answers: answers{wire.CmdEOM: {signed, "c"}}, want: "DKIM-Signature: d=example.com"},
		{name: "other changes", answers: answers{wire.CmdEOM: {"m\x00\x00\x00\x01A\x00\x00", "+<a@b>\x00", "-<a@b>\x00", "qheld\x00", "bbody", signed, "c"}},
			want: "DKIM-Signature"},
		{name: "no field", answers: answers{wire.CmdEOM: {inserted("Other", " DKIM-Signature"), "c"}}, want: "DKIM-Signature",
			failure: `message 1: the filter added no header field "DKIM-Signature" (EOM is answered with continue)`},
		{name: "field changed only", answers: answers{wire.CmdEOM: {"m\x00\x00\x00\x01DKIM-Signature\x00 v=1\x00", "c"}}, want: "DKIM-Signature",
			failure: "added no header field"},
		{name: "field with another text", answers: answers{wire.CmdEOM: {signed, "c"}}, want: "DKIM-Signature: d=example.org",
			failure: "added no header field"},
		{name: "early accept without the field", answers: answers{wire.CmdMail: {"a"}}, want: "DKIM-Signature",
			failure: "(MAIL is answered with accept)"},
		{name: "reject", answers: answers{wire.CmdEOM: {"r"}}, failure: "EOM is answered with reject"},
		{name: "tempfail", answers: answers{wire.CmdEOH: {"t"}}, failure: "EOH is answered with tempfail"},
		{name: "discard", answers: answers{wire.CmdHeader: {"d"}}, failure: "HEADER is answered with discard"},
		{name: "reply", answers: answers{wire.CmdRcpt: {"y550 5.7.1 no\x00"}}, failure: `RCPT is answered with "550 5.7.1 no"`},
		{name: "reject the client", answers: answers{wire.CmdHelo: {"r"}}, failure: "HELO is answered with reject"},
		{name: "skip elsewhere", answers: answers{wire.CmdEOH: {"s"}}, failure: "EOH is answered with 's'"},
		{name: "no answer code", answers: answers{wire.CmdData: {"Z"}}, failure: "DATA is answered with 'Z'"},
		{name: "change before the end", answers: answers{wire.CmdBody: {signed}}, failure: "BODY is answered with 'i'"},
		{name: "short change", answers: answers{wire.CmdEOM: {"i\x00", "c"}}, failure: "a change 'i' of 1 octets"},
		{name: "closed", answers: answers{wire.CmdEOM: {"close"}}, failure: "EOM: the filter has closed the connection"},
		{name: "silence", answers: answers{wire.CmdMail: nil}, failure: "MAIL: no reply within"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			f := &filter{answers: tt.answers, steps: tt.steps, version: tt.version}
			o := Options{Socket: f.listen(t, "unix"), Messages: 3, PerConnection: 2, Want: tt.want,
				Message: []Message{Sample("user@example.com", 2000)}}
			if strings.Contains(tt.failure, "no reply within") {
				o.Timeout = 50 * time.Millisecond
			}
			r, err := Run(t.Context(), o)
			if err != nil || r.Messages != 3 {
				t.Fatalf("got %+v, %v", r, err)
			}
			switch {
			case tt.failure == "":
				if r.Failed != 0 || r.FirstError != nil {
					t.Errorf("%d failed: %v", r.Failed, r.FirstError)
				}
			case r.Failed != 3 || !strings.Contains(r.FirstError.Error(), tt.failure):
				t.Errorf("%d failed, the first with %v; want %q", r.Failed, r.FirstError, tt.failure)
			case r.Latency != Latency{}:
				t.Errorf("the times of failed messages count: %+v", r.Latency)
			}
		})
	}
}

// Where the first negotiation fails there is nothing to load: the run ends.
func TestNoMilter(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		filter *filter
		want   string
	}{
		{"closed", &filter{answers: map[wire.Command][]string{wire.CmdOptNeg: {"close"}}}, "negotiation: the filter has closed"},
		{"silence", &filter{answers: map[wire.Command][]string{wire.CmdOptNeg: nil}}, "negotiation: no reply within"},
		{"another protocol", &filter{answers: map[wire.Command][]string{wire.CmdOptNeg: {"220 hello"}}}, "the filter answers with '2'"},
		{"steps that were not offered", &filter{steps: 1 << 30}, "steps that were not offered: 0x40000000"},
		{"newer version", &filter{version: 7}, "speaks version 7, and 6 was offered"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			o := Options{Socket: tt.filter.listen(t, "unix"), Connections: 3, Messages: 1e9, Message: []Message{Sample("user@example.com", 100)}}
			if tt.name == "silence" {
				o.Timeout = 50 * time.Millisecond
			}
			r, err := Run(t.Context(), o)
			if err == nil || !strings.Contains(err.Error(), tt.want) || r.Messages != 0 {
				t.Errorf("got %+v, %v", r, err)
			}
		})
	}
}

// All messages are sent, in turn, on as many connections as asked for; a message
// of another client has a connection of its own.
func TestRun(t *testing.T) {
	t.Parallel()
	for _, network := range []string{"unix", "tcp"} {
		t.Run(network, func(t *testing.T) {
			t.Parallel()
			f := &filter{steps: everyReply}
			var judged [3]atomic.Int64
			var messages []Message
			for i, addr := range []string{"192.0.2.1", "192.0.2.1", "2001:db8::1"} {
				m := Sample("user@example.com", 100)
				m.Client.Addr = addr
				m.Judge = func(a Answer) error {
					judged[i].Add(1)
					if a.At != wire.CmdEOM || a.Code != 'c' {
						return errors.New(a.String())
					}
					return nil
				}
				messages = append(messages, m)
			}
			told := 0
			o := Options{Socket: f.listen(t, network), Connections: 1, PerConnection: 100, Messages: 300, Message: messages,
				Progress: func(done int) { told = done }}
			r, err := Run(t.Context(), o)
			if err != nil || r.Messages != 300 || r.Failed != 0 || r.Connections != 200 || told != 300 || r.Rate() <= 0 {
				t.Errorf("one connection: got %+v, %v, %d done", r, err, told)
			}
			for i := range judged {
				if n := judged[i].Load(); n != 100 {
					t.Errorf("message %d was sent %d times", i, n)
				}
			}
			o.Connections, o.PerConnection, o.Message = 7, 10, messages[:1]
			r, err = Run(t.Context(), o)
			if err != nil || r.Messages != 300 || r.Failed != 0 || r.Connections < 30 || r.Connections > 37 {
				t.Errorf("seven connections: got %+v, %v", r, err)
			}
			l := r.Latency
			if l.P50 <= 0 || l.P90 < l.P50 || l.P99 < l.P90 || l.Max < l.P99 || l.Max > r.Elapsed {
				t.Errorf("latency %+v in %v", l, r.Elapsed)
			}
		})
	}
}

// A run ends with its duration, with its context, or when nobody listens, and
// has the figures so far.
func TestRunEnds(t *testing.T) {
	t.Parallel()
	message := []Message{Sample("user@example.com", 100)}
	t.Run("duration", func(t *testing.T) {
		t.Parallel()
		o := Options{Socket: new(filter).listen(t, "unix"), Connections: 2, PerConnection: 10, Duration: 100 * time.Millisecond, Message: message}
		r, err := Run(t.Context(), o)
		if err != nil || r.Messages == 0 || r.Failed != 0 || r.Elapsed < o.Duration {
			t.Errorf("got %+v, %v", r, err)
		}
	})
	t.Run("context", func(t *testing.T) {
		t.Parallel()
		ctx, cancel := context.WithCancel(t.Context())
		m := Sample("user@example.com", 100)
		var judged atomic.Int64
		m.Judge = func(Answer) error {
			if judged.Add(1) == 20 {
				cancel()
			}
			return nil
		}
		o := Options{Socket: new(filter).listen(t, "unix"), Connections: 2, PerConnection: 3, Messages: 1e9, Message: []Message{m}}
		r, err := Run(ctx, o)
		if err != nil || r.Messages < 20 || r.Messages != int(judged.Load()) || r.Failed != 0 {
			t.Errorf("got %+v, %v, %d judged", r, err, judged.Load())
		}
	})
	t.Run("context, with a filter that hangs", func(t *testing.T) {
		t.Parallel()
		f := &filter{answers: map[wire.Command][]string{wire.CmdEOM: nil}}
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		r, err := Run(ctx, Options{Socket: f.listen(t, "unix"), Messages: 5, Message: message, Timeout: time.Hour})
		if err != nil || r.Messages != 0 || r.Failed != 0 || r.Connections != 1 {
			t.Errorf("got %+v, %v", r, err)
		}
	})
	t.Run("nobody listens any more", func(t *testing.T) {
		t.Parallel()
		f := new(filter)
		m := Sample("user@example.com", 100)
		m.Judge = func(Answer) error { return f.listener.Close() }
		r, err := Run(t.Context(), Options{Socket: f.listen(t, "tcp"), Messages: 5, Message: []Message{m}})
		if err == nil || !strings.Contains(err.Error(), "no milter answers on inet:") || r.Messages != 1 {
			t.Errorf("got %+v, %v", r, err)
		}
	})
}

func TestOptionErrors(t *testing.T) {
	message := []Message{Sample("user@example.com", 100)}
	tests := []struct {
		name string
		o    Options
		want string
	}{
		{"socket", Options{Socket: "tcp:1", Messages: 1, Message: message}, "write unix:/path, inet:port@host or inet:host:port"},
		{"version", Options{Socket: "unix:/s", Version: 5, Messages: 1, Message: message}, "2, 3, 4 and 6"},
		{"no end", Options{Socket: "unix:/s", Message: message}, "neither a number of messages nor a duration"},
		{"no message", Options{Socket: "unix:/s", Messages: 1}, "no message is given"},
		{"negative", Options{Socket: "unix:/s", Messages: -1, Message: message}, "negative"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := Run(t.Context(), tt.o); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
		})
	}
}

func TestAddress(t *testing.T) {
	tests := []struct{ socket, network, address string }{
		{"unix:/run/s", "unix", "/run/s"},
		{"local:/run/s", "unix", "/run/s"},
		{"/run/s", "unix", "/run/s"},
		{"./s", "unix", "./s"},
		{"inet:8891@localhost", "tcp", "localhost:8891"},
		{"inet:8891@[::1]", "tcp", "[::1]:8891"},
		{"inet:8891@::1", "tcp", "[::1]:8891"},
		{"inet:127.0.0.1:8891", "tcp", "127.0.0.1:8891"},
		{"inet:[::1]:8891", "tcp", "[::1]:8891"},
		{"inet:8891", "tcp", "localhost:8891"},
		{"inet6:8891@ip6-localhost", "tcp6", "ip6-localhost:8891"},
		{socket: ""}, {socket: "unix:"}, {socket: "local"}, {socket: "run/s"}, {socket: "inet:"}, {socket: "inet:0@localhost"},
		{socket: "inet:65536@localhost"}, {socket: "inet:8891@"}, {socket: "inet:x@localhost"}, {socket: "inet:::1:8891"}, {socket: "tcp:localhost:1"},
	}
	for _, tt := range tests {
		network, address, err := Address(tt.socket)
		if network != tt.network || address != tt.address || (err == nil) != (tt.network != "") {
			t.Errorf("%q: got %q %q, %v; want %q %q", tt.socket, network, address, err, tt.network, tt.address)
		}
	}
}

// writesConn counts what is written and answers every read with continue.
type writesConn struct {
	net.Conn
	writes []int
	replyO bool
	steps  wire.Step
}

func (c *writesConn) Write(p []byte) (int, error) {
	c.writes = append(c.writes, len(p))
	c.replyO = p[4] == 'O'
	return len(p), nil
}

func (c *writesConn) Read(p []byte) (int, error) {
	if c.replyO {
		return copy(p, frame(wire.CmdOptNeg, "\x00\x00\x00\x06\x00\x00\x00\x00"+string([]byte{
			byte(c.steps >> 24), byte(c.steps >> 16), byte(c.steps >> 8), byte(c.steps)}))), nil
	}
	return copy(p, "\x00\x00\x00\x01c"), nil
}

func (c *writesConn) SetReadDeadline(time.Time) error  { return nil }
func (c *writesConn) SetWriteDeadline(time.Time) error { return nil }

// Octets are written when Postfix writes them (seen with strace): on reading an
// answer, with the macros and an older ABORT, and else by full buffers.
func TestWrites(t *testing.T) {
	tests := []struct {
		name   string
		steps  wire.Step
		fields int
		body   int
		want   func(writes []int) bool
	}{
		// OPTNEG, CONNECT, HELO, MAIL, RCPT, DATA, 5 fields, EOH, BODY, EOM; and
		// ABORT ABORT QUIT.
		{"an answer to everything", 0, 5, 1000, func(w []int) bool { return len(w) == 15 && w[14] == 15 }},
		{"no answers", everyReply, 5, 1000, func(w []int) bool { return len(w) == 3 && w[1] < 4096 }},
		{"no answers, a large header", everyReply, 100, 1000, func(w []int) bool {
			return len(w) == 5 && w[1] == 4096 && w[2] == 4096 && w[3] < 4096
		}},
		{"no answers, a large body", everyReply, 5, 3 * 65535, func(w []int) bool {
			return len(w) == 2+49 && w[1] == 4096 && w[40] == 4096
		}},
		{"a large body", 0, 5, 2 * 65535, func(w []int) bool { return len(w) == 14+2*16+2 }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m := Message{From: "user@example.com", Body: make([]byte, tt.body)}
			for range tt.fields {
				m.Fields = append(m.Fields, Field{"X-Field", strings.Repeat("x", 60)})
			}
			r, err := newRun(Options{Socket: "unix:/s", Messages: 1, Message: []Message{m}})
			if err != nil {
				t.Fatal(err)
			}
			c := &writesConn{steps: tt.steps}
			s := newSession(r, c)
			if a, err := s.begin(r.letters[0].client); err != nil || a.Code != goOn {
				t.Fatal(a, err)
			}
			if a, err := s.deliver(&r.letters[0], 0); err != nil || a.Code != goOn {
				t.Fatal(a, err)
			}
			if err := s.end(); err != nil {
				t.Fatal(err)
			}
			if !tt.want(c.writes) {
				t.Errorf("%d writes: %d", len(c.writes), c.writes)
			}
		})
	}
}

// A message costs the driver little, and the same however long it is.
func TestAllocations(t *testing.T) {
	for _, size := range []int{2000, 5 << 20} {
		r, err := newRun(Options{Socket: "unix:/s", Messages: 1, Message: []Message{Sample("user@example.com", size)}, Want: "X"})
		if err != nil {
			t.Fatal(err)
		}
		c := &writesConn{writes: make([]int, 0, 1<<16)}
		s := newSession(r, c)
		if _, err := s.begin(r.letters[0].client); err != nil {
			t.Fatal(err)
		}
		n := testing.AllocsPerRun(10, func() {
			c.writes = c.writes[:0]
			if _, err := s.deliver(&r.letters[0], 0); err != nil {
				t.Fatal(err)
			}
		})
		if n > 10 {
			t.Errorf("%v allocations for a message of %d octets", n, size)
		}
	}
}
