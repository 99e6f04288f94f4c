package milter

import (
	"fmt"
	"strings"
	"testing"

	"github.com/postseal/postseal/milter/resolver"
	"github.com/postseal/postseal/milter/wire"
)

// stepsOf takes apart what a test writes in one line: commands by their octet.
func stepsOf(order string, header []string) []frame {
	var frames []frame
	for _, octet := range []byte(order) {
		switch cmd := wire.Command(octet); cmd {
		case wire.CmdMail:
			frames = append(frames, frame{cmd, "<user@example.com>\x00", wire.StepNRMail})
		case wire.CmdRcpt:
			frames = append(frames, frame{cmd, "<rcpt@elsewhere.example>\x00", wire.StepNRRcpt})
		case wire.CmdData:
			frames = append(frames, frame{cmd, "", wire.StepNRData})
		case wire.CmdHelo:
			frames = append(frames, frame{cmd, "client\x00", wire.StepNRHelo})
		case wire.CmdUnknown:
			frames = append(frames, frame{cmd, "XYZZY\x00", wire.StepNRUnknown})
		case wire.CmdHeader:
			for _, h := range header {
				name, value, _ := strings.Cut(h, ":")
				frames = append(frames, frame{cmd, name + "\x00" + value + "\x00", wire.StepNRHeader})
			}
		case wire.CmdBody:
			frames = append(frames, frame{cmd, plainBody, 0})
		default:
			frames = append(frames, frame{cmd, "", 0})
		}
	}
	return frames
}

// frame is one frame of the MTA.
type frame struct {
	cmd     wire.Command
	payload string
	nr      wire.Step
}

// play sends frames and returns the codes of all replies, those of changes,
// too. It stops when the filter closes the connection, which is '!'.
func (m *mta) play(frames []frame) string {
	m.t.Helper()
	var codes strings.Builder
	for _, f := range frames {
		if err := m.trySend(f.cmd, f.payload); err != nil {
			return codes.String() + "!"
		}
		if m.steps&f.nr != 0 || f.cmd == wire.CmdAbort || f.cmd == wire.CmdQuitNC || f.cmd == wire.CmdQuit {
			continue
		}
		for {
			code, _, err := m.frame()
			if err != nil {
				return codes.String() + "!"
			}
			codes.WriteByte(code)
			if !strings.ContainsRune("impq", rune(code)) {
				break
			}
		}
	}
	return codes.String()
}

// MTAs, and test programs that play one, leave steps out or go on after the last
// reply. Where that is safe the message is answered all the same; a header
// field that comes after the decision is not.
func TestOrder(t *testing.T) {
	srv, _ := signingServer(t, "")
	for _, row := range []struct {
		name, order, want string
	}{
		{"as Postfix", "HMRTLNBEA", "ccia"},
		{"no MAIL", "RTLNBE", "ccia"},
		{"header at first", "LNBE", "ccia"},
		{"no EOH", "MRLBE", "cia"},
		{"header and end", "MRLE", "ia"},
		{"no body", "MRLNE", "cia"},
		{"nothing but an end", "ME", "ia"}, // no From: dkim=permerror
		{"nothing but a body", "BE", "sia"},
		{"EOH twice", "MLNNBE", "cccia"},
		{"ABORT before MAIL", "AAMRLNBE", "ccia"},
		{"UNKNOWN anywhere", "UMURULNUBE", "ccia"},
		{"the end twice", "MRLNBEE", "cciaa"},
		{"all of it twice", "MRLNBEMRLNBE", "cciaccia"},
		{"the header again, without MAIL", "MRLNBELNBE", "cciaccia"},
		{"nothing is answered again after ABORT", "MRLNBEAE", "cciaia"},
		{"header after EOH", "MLNL", "c!"},
		{"header after the body", "MLBL", "c!"},
		{"recipient after EOH", "MLNR", "c!"},
		{"unknown command", "z", "!"},
	} {
		t.Run(row.name, func(t *testing.T) {
			m := srv.connect(t, "localhost", "127.0.0.1")
			frames := stepsOf(row.order, plainHeader)
			if strings.HasSuffix(row.want, "!") && row.order != "z" {
				frames = append(frames, stepsOf("E", nil)...) // NR: the end shows at the next reply
			}
			if got := m.play(frames); got != row.want {
				t.Errorf("%s is answered with %q, want %q", row.order, got, row.want)
			}
			srv.connect(t, "localhost", "127.0.0.1") // the daemon answers others
		})
	}
}

// A reply that ended a message stands for what the MTA sends of it afterwards.
func TestAnsweredAgain(t *testing.T) {
	srv, _ := signingServer(t, `on_bad_from = "reject"`)
	m := srv.connect(t, "localhost", "127.0.0.1")
	if got := m.play(stepsOf("MRLNBEAMLN", []string{"Subject: no author"})); got != "yyyy" {
		t.Errorf("got %q, want the rejection at EOH, for the body and the end that follow, and of the next message", got)
	}
}

// Without OPTNEG nothing is answered.
func TestNoNegotiation(t *testing.T) {
	srv, _ := signingServer(t, "")
	for _, order := range []string{"M", "C", "A", "D", "E", "B", "K"} {
		m := srv.dial(t)
		if got := m.play(stepsOf(order+"E", plainHeader)); got != "!" {
			t.Errorf("%s is answered with %q", order, got)
		}
	}
	m := srv.dial(t)
	m.negotiate(6, allActions, allSteps)
	m.send(wire.CmdQuit, "")
	m.closed()
}

// A second OPTNEG is answered anew and ends the message in progress.
func TestNegotiateTwice(t *testing.T) {
	srv, records := signingServer(t, "")
	m := srv.connect(t, "localhost", "127.0.0.1")
	m.play(stepsOf("MRL", []string{"From: other@elsewhere.example"}))
	m.negotiate(2, allActions, 0)
	if m.steps != 0 {
		t.Errorf("steps %v, none were offered", m.steps)
	}
	wantSigned(t, records, m.deliver(letter{from: "user@example.com", header: plainHeader, body: plainBody}), plainHeader, plainBody)
}

// Who the client is decides whether mail is signed: local submission has no
// address, but one that cannot be read, or that was never told, is a stranger's.
func TestClientAddress(t *testing.T) {
	srv, _ := signingServer(t, "")
	for _, row := range []struct {
		name, payload string // of CONNECT; "": it is not sent
		signed        bool
	}{
		{"loopback", "localhost\x004\x00\x19127.0.0.1\x00", true},
		{"loopback in brackets", "localhost\x004\x00\x19[127.0.0.1]\x00", true},
		{"IPv6 loopback as Sendmail writes it", "localhost\x006\x00\x19IPv6:::1\x00", true},
		{"unknown family", "localhost\x00U", true},
		{"unknown family with more", "localhost\x00U\x00\x00\x00", true},
		{"unix", "localhost\x00L\x00\x00/run/x\x00", true},
		{"stranger", "[192.0.2.1]\x004\x00\x19192.0.2.1\x00", false},
		{"address that cannot be read", "localhost\x004\x00\x19unknown\x00", false},
		{"no address in it", "localhost\x006\x00\x19\x00", false},
		{"no CONNECT", "", false},
	} {
		t.Run(row.name, func(t *testing.T) {
			m := srv.dial(t)
			m.negotiate(6, allActions, allSteps)
			if row.payload != "" {
				if code, _ := m.step(wire.CmdConnect, row.payload, wire.StepNRConnect); code != 'c' {
					t.Fatalf("CONNECT is answered with %q", code)
				}
			}
			e := m.deliver(letter{header: plainHeader, body: plainBody})
			if signed := e.inserted("DKIM-Signature") != ""; signed != row.signed || e.code != 'a' {
				t.Errorf("signed=%v, ended with %q", signed, e.code)
			}
			m.send(wire.CmdQuitNC, "")
			if e := m.deliver(letter{header: plainHeader, body: plainBody}); e.inserted("DKIM-Signature") != "" {
				t.Error("signed after QUIT_NC, without a new CONNECT")
			}
		})
	}
}

// What the header began as, another client cannot take over.
func TestConnectEndsMessage(t *testing.T) {
	srv, _ := signingServer(t, "")
	m := srv.connect(t, "mail.elsewhere.example", "192.0.2.9")
	m.play(stepsOf("MRL", plainHeader))
	m.connect("localhost", "127.0.0.1")
	if got := m.play(stepsOf("NBE", nil)); got != "csia" { // no From any more
		t.Errorf("got %q", got)
	}
	if n := srv.Counts().Messages[Sign]; n != 0 {
		t.Errorf("%d messages are signed", n)
	}
}

// A message may have any number of recipients: they cost nothing, and
// dont_sign_mail_to still sees each.
func TestManyRecipients(t *testing.T) {
	srv, records := signingServer(t, `dont_sign_mail_to = ["list@elsewhere.example"]`)
	m := srv.connect(t, "localhost", "127.0.0.1")
	l := letter{header: plainHeader, body: plainBody}
	for i := range 20_000 {
		l.rcpt = append(l.rcpt, fmt.Sprintf("rcpt%d@elsewhere.example", i))
	}
	wantSigned(t, records, m.deliver(l), plainHeader, plainBody)
	l.rcpt = append(l.rcpt, "list@elsewhere.example", "last@elsewhere.example", "list@elsewhere.example")
	if e := m.deliver(l); e.inserted("DKIM-Signature") != "" || e.code != 'a' {
		t.Errorf("dont_sign_mail_to: ended with %q, changes %q", e.code, e.changes)
	}
	wantSigned(t, records, m.deliver(letter{header: plainHeader, body: plainBody}), plainHeader, plainBody)
}

// SETSYMLIST names the macros that the decision looks up, those of the
// configuration among them, and only where the MTA offers it.
func TestMacrosAskedFor(t *testing.T) {
	srv, _ := signingServer(t, `macro_list = ["ORIGINATING", "{verified}=yes|true"]`)
	for _, row := range []struct {
		actions uint32
		want    string
	}{
		{allActions, "\x00\x00\x00\x06i j {daemon_name} {auth_type} {auth_authen} {ORIGINATING} {verified}\x00"},
		{allActions &^ uint32(wire.ActSetSymList), ""},
	} {
		m := srv.dial(t)
		m.send(wire.CmdOptNeg, "\x00\x00\x00\x06"+string([]byte{0, 0, byte(row.actions >> 8), byte(row.actions)})+"\x00\x1f\xff\xff")
		code, p := m.answer()
		if code != 'O' || string(p[12:]) != row.want {
			t.Errorf("actions %#x: answered with %q %q, want the macros %q", row.actions, code, p, row.want)
		}
	}
}

// Mail that nothing can save is refused at the end of its header, however the
// MTA goes on, and told of once. What needs a change to the mail waits for its
// end.
func TestRefusedEarlyInAnyOrder(t *testing.T) {
	hopeless := append([]string{"DKIM-Signature: v=1; a=rsa-sha1; d=example.com"}, plainHeader...)
	forgery := append([]string{"Authentication-Results: mx.example.org; dkim=pass"}, hopeless...)
	for _, row := range []struct {
		name, settings, order, want, action string
		header                              []string // nil: hopeless
	}{
		{name: "as Postfix", order: "MRTLN", want: "y", action: "reject"},
		{name: "on to the end", order: "MRTLNBBE", want: "yyyy", action: "reject"},
		{name: "EOH twice", order: "MLNNE", want: "yyy", action: "reject"},
		{name: "no EOH", order: "MLBE", want: "yy", action: "reject"},
		{name: "header and end", order: "MLE", want: "y", action: "reject"},
		{name: "given up", order: "MLNA", want: "y", action: "reject"},
		{name: "another step after it", order: "MLNTUE", want: "yy", action: "reject"},
		{name: "results to remove", order: "MLNBE", want: "yyy", action: "reject", header: forgery},
		{name: "redirection", order: "MLNBE", settings: `redirect_failures_to = "bad@example.org"`, want: "yyy", action: "reject"},
		{name: "discard", order: "MLNE", settings: `on_bad_signature = "discard"`, want: "dd", action: "discard"},
		{name: "tempfail", order: "MLNE", settings: `on_bad_signature = "tempfail"`, want: "yy", action: "tempfail"},
		{name: "quarantine", order: "MLNBE", settings: `on_bad_signature = "quarantine"`, want: "csiqa", action: "quarantine"},
		{name: "accept", order: "MLNBE", settings: `on_bad_signature = "accept"`, want: "csia", action: "accept"},
		{name: "accept, results to remove", order: "MLNE", settings: `on_bad_signature = "accept"`, want: "cmia", action: "accept", header: forgery},
		{name: "another signature may save it", order: "MLNBE", want: "ccy", action: "reject",
			header: append([]string{"DKIM-Signature: v=1; a=ed25519-sha256; d=example.com; s=none; h=from; bh=47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=; b=AAAA"}, hopeless...)},
	} {
		for _, version := range []uint32{2, 6} {
			t.Run(fmt.Sprintf("%s, version %d", row.name, version), func(t *testing.T) {
				settings := row.settings
				if !strings.Contains(settings, "on_bad_signature") {
					settings += "\non_bad_signature = \"reject\"\non_key_not_found = \"reject\"\n"
				}
				srv := startServer(t, loadText(t, settings, resolver.NewRecords(nil)))
				m := srv.dial(t)
				steps, want := uint32(allSteps), row.want
				if version == 2 {
					// Every step is answered, and there is no SKIP.
					steps, want = 0, strings.NewReplacer("c", "", "s", "").Replace(want)
				}
				m.negotiate(version, 0x3f, steps)
				m.connect("mail.elsewhere.example", "192.0.2.9")
				header := row.header
				if header == nil {
					header = hopeless
				}
				got := m.play(stepsOf(row.order, header))
				if version == 2 {
					got = strings.ReplaceAll(got, "c", "")
				}
				if got != want {
					t.Errorf("%s is answered with %q, want %q", row.order, got, want)
				}
				c := srv.Counts()
				if c.Messages[Verify] != 1 || c.Actions[row.action] != 1 || len(c.Messages) != 1 || len(c.Actions) != 1 {
					t.Errorf("counted %+v, want one message, %s", c, row.action)
				}
				if n := strings.Count(srv.log.String(), "msg=message"); n != 1 {
					t.Errorf("%d lines, want one:\n%s", n, srv.log)
				}
			})
		}
	}
}
