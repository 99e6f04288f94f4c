package wire

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
)

// mustText is a reply with text.
func mustText(t *testing.T, code int, enhanced, text string) Reply {
	t.Helper()
	r, err := ReplyText(code, enhanced, text)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestReplyFrames(t *testing.T) {
	tests := []struct {
		name  string
		cmd   Command
		reply Reply
		steps Step
		want  []byte
	}{
		{"continue", CmdConnect, Continue(), 0, frame('c', "")},
		{"accept", CmdEOH, Accept(), 0, frame('a', "")},
		{"reject", CmdRcpt, Reject(), 0, frame('r', "")},
		{"tempfail", CmdMail, Tempfail(), 0, frame('t', "")},
		{"discard", CmdEOM, Discard(), 0, frame('d', "")},
		{"unknown command", CmdUnknown, Continue(), 0, frame('c', "")},
		{"text", CmdEOM, mustText(t, 550, "5.7.1", "no"), 0, frame('y', "550 5.7.1 no\x00")},
		{"per cent", CmdEOM, mustText(t, 451, "4.7.5", "100% s%s"), 0, frame('y', "451 4.7.5 100%% s%%s\x00")},
		{"skip", CmdBody, Skip(), StepSkip, frame('s', "")},
		{"skip not agreed", CmdBody, Skip(), 0, frame('c', "")},
		{"skip at EOM", CmdEOM, Skip(), StepSkip, frame('c', "")},
		{"another step's NR", CmdHelo, Continue(), allSteps &^ StepNRHelo, frame('c', "")},
		{"EOM is always answered", CmdEOM, Continue(), allSteps, frame('c', "")},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c, s := agreed(t, 0, tt.steps)
			if err := c.Reply(tt.cmd, tt.reply); err != nil {
				t.Fatal(err)
			}
			if len(s.writes) != 1 || !bytes.Equal(s.writes[0], tt.want) {
				t.Errorf("wrote %q, want %q", s.writes, tt.want)
			}
		})
	}
}

// The reply is left out exactly where its own step was agreed.
func TestNoReply(t *testing.T) {
	steps := map[Command]Step{
		CmdConnect: StepNRConnect, CmdHelo: StepNRHelo, CmdMail: StepNRMail, CmdRcpt: StepNRRcpt, CmdData: StepNRData,
		CmdUnknown: StepNRUnknown, CmdHeader: StepNRHeader, CmdEOH: StepNREOH, CmdBody: StepNRBody,
	}
	for cmd, step := range steps {
		for bit := Step(1); bit <= StepHeaderLeadSpace; bit <<= 1 {
			c, s := agreed(t, 0, bit)
			if err := c.Reply(cmd, Continue()); err != nil {
				t.Errorf("%v with %v: %v", cmd, bit, err)
			}
			if silent := len(s.writes) == 0; silent != (bit == step) {
				t.Errorf("%v with %v: wrote %q", cmd, bit, s.writes)
			}
		}
		c, s := agreed(t, 0, step)
		for _, r := range []Reply{Accept(), Reject(), Tempfail(), Discard(), Skip(), mustText(t, 550, "", "no")} {
			if err := c.Reply(cmd, r); !errors.Is(err, ErrNoReply) {
				t.Errorf("%v with %v, answered %v: got %v, want %v", cmd, step, r, err, ErrNoReply)
			}
		}
		if len(s.writes) != 0 {
			t.Errorf("%v with %v: wrote %q", cmd, step, s.writes)
		}
	}
	for _, cmd := range []Command{CmdAbort, CmdMacro, CmdQuit, CmdQuitNC} {
		c, s := agreed(t, 0, 0)
		if err := c.Reply(cmd, Continue()); err != nil {
			t.Errorf("%v: %v", cmd, err)
		}
		if err := c.Reply(cmd, Reject()); !errors.Is(err, ErrNoReply) {
			t.Errorf("%v: got %v, want %v", cmd, err, ErrNoReply)
		}
		if len(s.writes) != 0 {
			t.Errorf("%v: wrote %q", cmd, s.writes)
		}
	}
}

func TestReplyMisuse(t *testing.T) {
	tests := []struct {
		name  string
		cmd   Command
		reply Reply
		want  string
	}{
		{"zero reply", CmdHelo, Reply{}, "answer HELO with none: there is no such reply"},
		{"OPTNEG", CmdOptNeg, Continue(), "answer OPTNEG with continue: there is no such reply"},
		{"no command", 'x', Continue(), "answer 'x' with continue: there is no such reply"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c, s := agreed(t, 0, 0)
			err := c.Reply(tt.cmd, tt.reply)
			if err == nil || err.Error() != tt.want || len(s.writes) != 0 {
				t.Errorf("got %v and %q, want %s", err, s.writes, tt.want)
			}
		})
	}
}

func TestReplyText(t *testing.T) {
	tests := []struct {
		name     string
		code     int
		enhanced string
		text     string
		want     string // as the SMTP client sees it
	}{
		{"plain", 550, "5.7.1", "no valid signature", "550 5.7.1 no valid signature"},
		{"default enhanced code", 451, "", "later", "451 4.0.0 later"},
		{"long enhanced code", 554, "5.123.456", "x", "554 5.123.456 x"},
		{"no text", 550, "5.7.1", "", "550 5.7.1"},
		{"per cent", 550, "5.7.1", "100%", "550 5.7.1 100%"},
		{"line break", 550, "5.7.1", "a\r\n250 ok", "550 5.7.1 a  250 ok"},
		{"NUL and 8-bit", 550, "5.7.1", "d=\x00b\xc3\xbccher\x7f.de", "550 5.7.1 d=?b?cher?.de"},
		{"too long", 550, "5.7.1", strings.Repeat("x", 2000), "550 5.7.1 " + strings.Repeat("x", 500)},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r, err := ReplyText(tt.code, tt.enhanced, tt.text)
			if err != nil {
				t.Fatal(err)
			}
			if r.String() != tt.want {
				t.Errorf("got %q, want %q", r, tt.want)
			}
		})
	}
}

func TestReplyTextErrors(t *testing.T) {
	tests := []struct {
		code     int
		enhanced string
	}{
		{250, "2.0.0"}, {399, ""}, {600, ""}, {-550, ""}, {550, "4.7.1"}, {450, "5.7.1"}, {550, "5.7"}, {550, "5.7.1.1"},
		{550, "5.7.x"}, {550, "5..1"}, {550, "55.7.1"}, {550, "5.7.1234"}, {550, "5.7.1 "}, {550, "5.7.-1"}, {550, "5.7.1\r\n"},
	}
	for _, tt := range tests {
		if r, err := ReplyText(tt.code, tt.enhanced, "text"); err == nil {
			t.Errorf("%d %q: got %q, want an error", tt.code, tt.enhanced, r)
		}
	}
}

// FuzzReplyText: whatever the text, the reply is one short line of printable
// ASCII.
func FuzzReplyText(f *testing.F) {
	f.Add("no % valid\r\nsignature\x00")
	f.Add(strings.Repeat("%", 600))
	f.Fuzz(func(t *testing.T, text string) {
		c, s := agreed(t, 0, 0)
		r, err := ReplyText(550, "5.7.1", text)
		if err == nil {
			err = c.Reply(CmdEOM, r)
		}
		if err != nil {
			t.Fatal(err)
		}
		payload := s.writes[0][5:]
		line, end := string(payload[:len(payload)-1]), payload[len(payload)-1]
		if end != 0 || strings.ContainsFunc(line, func(r rune) bool { return r < ' ' || r > '~' }) {
			t.Fatalf("reply %q", payload)
		}
		if single := strings.ReplaceAll(line, "%%", ""); strings.Contains(single, "%") {
			t.Fatalf("single per cent in %q", line)
		}
		if n := len(strings.ReplaceAll(line, "%%", "%")); n > maxReplyLine {
			t.Fatalf("line of %d octets", n)
		}
	})
}

func TestProgress(t *testing.T) {
	c, s := agreed(t, ActAddHeaders, StepHeaderLeadSpace)
	if err := c.AddHeader("X-A", " b"); err != nil {
		t.Fatal(err)
	}
	if err := c.Progress(); err != nil {
		t.Fatal(err)
	}
	if err := c.Reply(CmdEOM, Accept()); err != nil {
		t.Fatal(err)
	}
	want := [][]byte{frame('p', ""), append(frame('h', "X-A\x00 b\x00"), frame('a', "")...)}
	if len(s.writes) != 2 || !bytes.Equal(s.writes[0], want[0]) || !bytes.Equal(s.writes[1], want[1]) {
		t.Errorf("wrote %q, want %q", s.writes, want)
	}
	s.writeErr = io.ErrClosedPipe
	if err := c.Progress(); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("got %v, want %v", err, io.ErrClosedPipe)
	}
}
