package milter

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/postseal/postseal/milter/dkim"
	"github.com/postseal/postseal/milter/resolver"
	"github.com/postseal/postseal/milter/wire"
)

// plainHeader is the header of a message of ours.
var plainHeader = []string{
	"From: A User <user@example.com>", "To: rcpt@elsewhere.example", "Subject: a\n\tfolded  subject", "Date: Mon, 02 Nov 2026 10:00:00 +0000",
}

const plainBody = "one  line\r\n\r\nand another \r\n\r\n\r\n"

// signingServer signs for example.com with selector s1 and answers for that key.
func signingServer(t testing.TB, settings string) (*testServer, *resolver.Records) {
	t.Helper()
	inline, record := newKey(t, "ed25519")
	records := resolver.NewRecords(map[string][]string{"s1._domainkey.example.com": {record}})
	s := loadText(t, settings+fmt.Sprintf("\nkey_table = [\"k=example.com:s1:%s\"]\nsigning_table = [\"example.com=k\"]\n", inline), records)
	return startServer(t, s), records
}

// verified checks a message as it leaves the MTA.
func verified(t testing.TB, r dkim.Resolver, header []string, signature, body string) dkim.Result {
	t.Helper()
	fields := []dkim.Field{{Name: "DKIM-Signature", Value: strings.ReplaceAll(signature, "\n", "\r\n")}}
	for _, h := range header {
		name, value, _ := strings.Cut(h, ":")
		fields = append(fields, dkim.Field{Name: name, Value: strings.ReplaceAll(value, "\n", "\r\n")})
	}
	b := dkim.NewBody()
	v := dkim.NewVerifier(context.Background(), fields, b, r, dkim.VerifyOptions{
		MaxSignatures: 1, MinRSABits: 1024, MaxRSABits: 8192, ClockDrift: time.Minute, Now: time.Now(),
	})
	if _, err := b.Write([]byte(body)); err != nil {
		t.Fatal(err)
	}
	b.Close()
	return v.Results()[0]
}

func wantSigned(t testing.TB, r dkim.Resolver, e ended, header []string, body string) {
	t.Helper()
	if e.code != 'c' && e.code != 'a' {
		t.Fatalf("the message ended with %q %s at %v", e.code, e.text, e.at)
	}
	sig := e.inserted("DKIM-Signature")
	if sig == "" {
		t.Fatalf("the message is not signed: %q", e.changes)
	}
	if got := verified(t, r, header, sig, body); got.Status != dkim.Pass {
		t.Fatalf("the signature does not verify: %v %v\n%s", got.Status, got.Err, sig)
	}
}

// One connection carries many messages: what was learnt at CONNECT holds for
// all, what belongs to one message does not reach the next, with ABORT between
// them or without.
func TestManyMessages(t *testing.T) {
	srv, records := signingServer(t, `mta = ["smtpd"]`)
	for _, abort := range []bool{true, false} {
		t.Run(fmt.Sprintf("abort=%v", abort), func(t *testing.T) {
			m := srv.connect(t, "mail.elsewhere.example", "192.0.2.9")
			for range 4 {
				wantSigned(t, records, m.deliver(letter{from: "user@example.com", header: plainHeader, body: plainBody}), plainHeader, plainBody)
				if abort {
					m.send(wire.CmdAbort, "")
					m.send(wire.CmdAbort, "") // Postfix sends two
				}
				// A message that ends before its content, and one that ends within it.
				m.send(wire.CmdMail, "<user@example.com>\x00")
				if abort {
					m.send(wire.CmdAbort, "")
				}
				m.deliver(letter{from: "user@example.com", header: plainHeader, body: plainBody, noEnd: true})
				m.send(wire.CmdAbort, "")
			}
		})
	}
	if n := srv.Counts().Messages[Sign]; n != 8 {
		t.Errorf("%d messages were counted as signed, want 8", n)
	}
}

// A login is a fact about one message, not about the connection.
func TestLoginDoesNotStay(t *testing.T) {
	srv, records := signingServer(t, "")
	m := srv.connect(t, "mail.elsewhere.example", "192.0.2.9")
	l := letter{from: "user@example.com", header: plainHeader, body: plainBody}
	l.macros = []string{"{auth_type}", "PLAIN", "{auth_authen}", "user"}
	wantSigned(t, records, m.deliver(l), plainHeader, plainBody)
	l.macros = nil
	if e := m.deliver(l); e.inserted("DKIM-Signature") != "" {
		t.Errorf("the next message, without a login, is signed: %q", e.changes)
	}
}

// The protocol as Postfix speaks it with milter_protocol = 2: no SKIP, no
// LEADSPC, every command answered.
func TestVersion2(t *testing.T) {
	srv, records := signingServer(t, "")
	for _, version := range []uint32{2, 3, 4, 5, 6, 7} {
		m := srv.dial(t)
		want := min(version, 6)
		steps := uint32(0)
		if version > 2 {
			steps = allSteps
		}
		if got := m.negotiate(version, allActions, steps); got != want {
			t.Errorf("version %d is answered with %d", version, got)
		}
		m.connect("localhost", "127.0.0.1")
		for range 2 {
			wantSigned(t, records, m.deliver(letter{from: "user@example.com", header: plainHeader, body: plainBody}), plainHeader, plainBody)
		}
	}
}

// NR is asked for where nothing is decided, and nowhere else.
func TestStepsAskedFor(t *testing.T) {
	srv, _ := signingServer(t, "")
	m := srv.connect(t, "localhost", "127.0.0.1")
	const asked = wire.StepNRHelo | wire.StepNRMail | wire.StepNRRcpt | wire.StepNRHeader | wire.StepNRData | wire.StepNRUnknown
	const answered = wire.StepNRConnect | wire.StepNREOH | wire.StepNRBody
	const unsent = wire.StepNoConnect | wire.StepNoHelo | wire.StepNoMail | wire.StepNoRcpt | wire.StepNoData |
		wire.StepNoHeader | wire.StepNoEOH | wire.StepNoBody | wire.StepNoUnknown
	if m.steps&asked != asked || m.steps&(answered|unsent) != 0 {
		t.Errorf("steps %v", m.steps)
	}
	if m.steps&(wire.StepSkip|wire.StepHeaderLeadSpace) != wire.StepSkip|wire.StepHeaderLeadSpace {
		t.Errorf("SKIP and LEADSPC are not asked for: %v", m.steps)
	}
}

func TestMissingAction(t *testing.T) {
	for _, row := range []struct {
		name, settings string
		offered        uint32
		missing        string
	}{
		{"nothing offered", "", 0, "addhdrs"},
		{"no change of headers", "", uint32(wire.ActAddHeaders), "chghdrs"},
		{"quarantine wanted", `on_bad_signature = "quarantine"`, uint32(wire.ActAddHeaders | wire.ActChangeHeaders), "quarantine"},
	} {
		t.Run(row.name, func(t *testing.T) {
			srv, _ := signingServer(t, row.settings)
			m := srv.dial(t)
			m.send(wire.CmdOptNeg, "\x00\x00\x00\x06"+string([]byte{0, 0, 0, byte(row.offered)})+"\x00\x1f\xff\xff")
			m.closed()
			srv.log.wait(t, "does not offer "+row.missing)
		})
	}
	srv, records := signingServer(t, "keep_auth_results = true")
	m := srv.dial(t)
	m.negotiate(6, uint32(wire.ActAddHeaders), allSteps)
	m.connect("localhost", "127.0.0.1")
	wantSigned(t, records, m.deliver(letter{header: plainHeader, body: plainBody}), plainHeader, plainBody)
}

func TestPeerIsLeftAlone(t *testing.T) {
	srv, _ := signingServer(t, `peer_list = ["192.0.2.9"]`)
	m := srv.dial(t)
	m.negotiate(6, allActions, allSteps)
	if code := m.connect("x", "192.0.2.9"); code != 'a' {
		t.Errorf("a peer's CONNECT is answered with %q, want accept", code)
	}
	m.send(wire.CmdQuitNC, "")
	if code := m.connect("x", "192.0.2.8"); code != 'c' {
		t.Errorf("another client on the same connection is answered with %q, want continue", code)
	}
}

// QUIT_NC ends a client's connection, not the MTA's: nothing of it stays.
func TestQuitNC(t *testing.T) {
	srv, records := signingServer(t, "")
	m := srv.connect(t, "localhost", "127.0.0.1")
	l := letter{header: plainHeader, body: plainBody}
	wantSigned(t, records, m.deliver(l), plainHeader, plainBody)
	m.send(wire.CmdQuitNC, "")
	m.connect("mail.elsewhere.example", "192.0.2.9")
	if e := m.deliver(l); e.inserted("DKIM-Signature") != "" {
		t.Errorf("a stranger on a reused connection is signed for: %q", e.changes)
	}
	m.send(wire.CmdQuit, "")
	m.closed()
}

// The body's frames do not matter: split at every byte, the signature is over
// the same hash.
func TestBodySplitAnywhere(t *testing.T) {
	srv, records := signingServer(t, "")
	m := srv.connect(t, "localhost", "127.0.0.1")
	for chunk := 1; chunk <= len(plainBody); chunk++ {
		wantSigned(t, records, m.deliver(letter{header: plainHeader, body: plainBody, chunk: chunk}), plainHeader, plainBody)
	}
}

// Nobody needs the body of unsigned mail.
func TestSkip(t *testing.T) {
	srv, _ := signingServer(t, "")
	m := srv.connect(t, "mail.elsewhere.example", "192.0.2.9")
	e := m.deliver(letter{header: []string{"From: a@elsewhere.example"}, body: strings.Repeat("x\r\n", 100000)})
	if !e.skipped || e.code != 'c' && e.code != 'a' {
		t.Errorf("skipped=%v, ended with %q", e.skipped, e.code)
	}
	m = srv.dial(t)
	m.negotiate(6, allActions, allSteps&^uint32(wire.StepSkip))
	m.connect("mail.elsewhere.example", "192.0.2.9")
	if e := m.deliver(letter{header: []string{"From: a@elsewhere.example"}, body: "x\r\n"}); e.skipped || e.code != 'c' && e.code != 'a' {
		t.Errorf("without SKIP: skipped=%v, ended with %q", e.skipped, e.code)
	}
}

func TestHeaderLimits(t *testing.T) {
	srv, records := signingServer(t, "maximum_headers = 4096\nmaximum_header_fields = 50")
	m := srv.connect(t, "localhost", "127.0.0.1")
	many := slices.Repeat([]string{"X: y"}, 60)
	long := []string{"X: " + strings.Repeat("y", 5000)}
	for code, extra := range map[Code][]string{ReasonHeaderFields: many, ReasonHeaderSize: long} {
		e := m.deliver(letter{header: append(slices.Clone(plainHeader), extra...), body: plainBody})
		if e.at != wire.CmdEOH || !strings.HasPrefix(e.text, "451 4.7.0 ") {
			t.Errorf("%s: got %q %q at %v, want 451 4.7.0 at the end of the header", code, e.code, e.text, e.at)
		}
		if n := srv.Counts().Reasons[code]; n != 1 {
			t.Errorf("%s is counted %d times", code, n)
		}
	}
	wantSigned(t, records, m.deliver(letter{header: plainHeader, body: plainBody}), plainHeader, plainBody)
}

// A panic ends its own session, its message is deferred, the stack is logged.
func TestPanic(t *testing.T) {
	inline, _ := newKey(t, "ed25519")
	s := loadText(t, fmt.Sprintf("key_table = [\"k=example.com:s1:%s\"]\nsigning_table = [\"example.com=k\"]\n", inline), resolver.NewRecords(nil))
	broken := true
	srv := startServer(t, s, func(s *Server) {
		s.now = func() time.Time {
			if broken {
				panic("the clock is broken")
			}
			return time.Now()
		}
	})
	other := srv.connect(t, "localhost", "127.0.0.1")
	m := srv.connect(t, "localhost", "127.0.0.1")
	if e := m.deliver(letter{header: plainHeader, body: plainBody}); e.code != 't' {
		t.Errorf("the message ended with %q, want tempfail", e.code)
	}
	m.closed()
	srv.log.wait(t, "the clock is broken")
	srv.log.wait(t, "session_test.go")
	broken = false
	if e := other.deliver(letter{header: plainHeader, body: plainBody}); e.inserted("DKIM-Signature") == "" {
		t.Errorf("another session does not sign any more: %q %q", e.code, e.changes)
	}
}
