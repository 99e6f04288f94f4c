package wire

import (
	"bytes"
	"errors"
	"math"
	"strings"
	"testing"
)

const headerActions = ActAddHeaders | ActChangeHeaders | ActQuarantine | ActAddRcpt | ActDelRcpt

func TestChanges(t *testing.T) {
	type change func(*Conn) error
	insert := func(i int, name, value string) change {
		return func(c *Conn) error { return c.InsertHeader(i, name, value) }
	}
	add := func(name, value string) change {
		return func(c *Conn) error { return c.AddHeader(name, value) }
	}
	set := func(i int, name, value string) change {
		return func(c *Conn) error { return c.ChangeHeader(i, name, value) }
	}
	tests := []struct {
		name   string
		change change
		steps  Step
		want   []byte
	}{
		{"insert", insert(0, "A", " b"), StepHeaderLeadSpace, frame('i', "\x00\x00\x00\x00A\x00 b\x00")},
		{"insert without LEADSPC", insert(258, "A", " b"), 0, frame('i', "\x00\x00\x01\x02A\x00b\x00")},
		{"one space only", insert(1, "A", "  b"), 0, frame('i', "\x00\x00\x00\x01A\x00 b\x00")},
		{"tab stays", insert(1, "A", "\tb"), 0, frame('i', "\x00\x00\x00\x01A\x00\tb\x00")},
		{"no leading blank", insert(1, "A", "b"), StepHeaderLeadSpace, frame('i', "\x00\x00\x00\x01A\x00b\x00")},
		{"folds", insert(0, "A", " b\r\n\tc\n d"), StepHeaderLeadSpace, frame('i', "\x00\x00\x00\x00A\x00 b\n\tc\n d\x00")},
		{"fold at once", insert(0, "A", "\r\n b"), 0, frame('i', "\x00\x00\x00\x00A\x00\n b\x00")},
		{"empty value", insert(0, "A", ""), StepHeaderLeadSpace, frame('i', "\x00\x00\x00\x00A\x00\x00")},
		{"add", add("A-b_c", " \xff"), 0, frame('h', "A-b_c\x00\xff\x00")},
		{"change", set(2, "A", " b"), 0, frame('m', "\x00\x00\x00\x02A\x00b\x00")},
		{"delete", set(1, "A", ""), 0, frame('m', "\x00\x00\x00\x01A\x00\x00")},
		{"a space is no deletion", set(1, "A", " "), 0, frame('m', "\x00\x00\x00\x01A\x00 \x00")},
		{"add recipient", func(c *Conn) error { return c.AddRecipient("a@b.example") }, 0, frame('+', "a@b.example\x00")},
		{"delete recipient", func(c *Conn) error { return c.DeleteRecipient(`"a b"@b.example`) }, 0, frame('-', "\"a b\"@b.example\x00")},
		{"quarantine", func(c *Conn) error { return c.Quarantine("bad\r\n\x00") }, 0, frame('q', "bad  ?\x00")},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c, s := agreed(t, headerActions, tt.steps)
			if err := tt.change(c); err != nil {
				t.Fatal(err)
			}
			if len(s.writes) != 0 {
				t.Fatalf("wrote %q before the reply", s.writes)
			}
			if err := c.Reply(CmdEOM, Continue()); err != nil {
				t.Fatal(err)
			}
			want := append(tt.want, frame('c', "")...)
			if len(s.writes) != 1 || !bytes.Equal(s.writes[0], want) {
				t.Errorf("wrote %q, want %q", s.writes, want)
			}
		})
	}
}

func TestChangeErrors(t *testing.T) {
	tests := []struct {
		name         string
		index        int
		field, value string
		want         string
	}{
		{"no name", 0, "", " b", "without a name"},
		{"colon", 0, "A:", " b", "octet ':'"},
		{"blank", 0, "A ", " b", "octet ' '"},
		{"line break in the name", 0, "A\r\nB", " b", `octet '\r'`},
		{"NUL in the name", 0, "A\x00", " b", `octet '\x00'`},
		{"8-bit name", 0, "A\xe4", " b", "is not allowed"},
		{"NUL", 0, "A", " b\x00c", "NUL"},
		{"bare CR", 0, "A", " b\rc", "CR without LF"},
		{"CR at the end", 0, "A", " b\r", "CR without LF"},
		{"CR CR LF", 0, "A", " b\r\r\n c", "CR without LF"},
		{"injected field", 0, "A", " b\r\nBcc: x", "line break without a blank"},
		{"injected field by LF", 0, "A", " b\nBcc: x", "line break without a blank"},
		{"end of header", 0, "A", " b\r\n\r\nbody", "line break without a blank"},
		{"line break at the end", 0, "A", " b\r\n", "line break without a blank"},
		{"negative index", -1, "A", " b", "-1 is negative"},
		{"too long", 0, "A", " " + strings.Repeat("b", 65535), "more than the 65535"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c, s := agreed(t, headerActions, StepHeaderLeadSpace)
			err := c.InsertHeader(tt.index, tt.field, tt.value)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
			if err := c.Reply(CmdEOM, Continue()); err != nil {
				t.Fatal(err)
			}
			if len(s.writes) != 1 || !bytes.Equal(s.writes[0], frame('c', "")) {
				t.Errorf("wrote %q: the failed change left something", s.writes)
			}
		})
	}
}

func TestChangeIndexErrors(t *testing.T) {
	c, _ := agreed(t, headerActions, 0)
	if err := c.ChangeHeader(0, "A", ""); err == nil || !strings.Contains(err.Error(), "the first is 1") {
		t.Errorf("index 0: got %v", err)
	}
	if err := c.ChangeHeader(math.MaxInt32+1, "A", ""); err == nil || !strings.Contains(err.Error(), "too large") {
		t.Errorf("index beyond 31 bits: got %v", err)
	}
	if err := c.Quarantine("\r\n"); err == nil {
		t.Error("quarantine without a reason: no error")
	}
}

// The longest field that an MTA takes.
func TestLongestChange(t *testing.T) {
	c, s := agreed(t, headerActions, StepHeaderLeadSpace)
	if err := c.InsertHeader(0, "A", " "+strings.Repeat("b", maxChange-1-4-1-2-1)); err != nil {
		t.Fatal(err)
	}
	if err := c.Reply(CmdEOM, Continue()); err != nil {
		t.Fatal(err)
	}
	if n := len(s.writes[0]) - 5 - lengthSize; n != maxChange {
		t.Errorf("frame of %d octets, want %d", n, maxChange)
	}
}

func TestChangesNotAgreed(t *testing.T) {
	c, _ := agreed(t, ActAddRcpt, 0)
	for name, err := range map[string]error{
		"insert":     c.InsertHeader(0, "A", " b"),
		"add":        c.AddHeader("A", " b"),
		"change":     c.ChangeHeader(1, "A", " b"),
		"quarantine": c.Quarantine("bad"),
	} {
		if !errors.Is(err, ErrNotAgreed) {
			t.Errorf("%s: got %v, want %v", name, err, ErrNotAgreed)
		}
	}
}

func TestOneWriteForAllChanges(t *testing.T) {
	c, s := agreed(t, headerActions, StepHeaderLeadSpace)
	var want []byte
	for range 300 {
		value := " " + strings.Repeat("v", 200)
		if err := c.InsertHeader(0, "DKIM-Signature", value); err != nil {
			t.Fatal(err)
		}
		want = append(want, frame('i', "\x00\x00\x00\x00DKIM-Signature\x00"+value+"\x00")...)
	}
	if err := c.Reply(CmdEOM, Accept()); err != nil {
		t.Fatal(err)
	}
	want = append(want, frame('a', "")...)
	if len(s.writes) != 1 || !bytes.Equal(s.writes[0], want) {
		t.Errorf("%d writes, want 1 of %d octets", len(s.writes), len(want))
	}
}

func TestChangesOutsideEOM(t *testing.T) {
	c, s := agreed(t, headerActions, StepNRHeader)
	for _, cmd := range []Command{CmdEOH, CmdHeader, CmdAbort} {
		if err := c.AddHeader("A", " b"); err != nil {
			t.Fatal(err)
		}
		if err := c.Reply(cmd, Continue()); err == nil || !strings.Contains(err.Error(), "legal at EOM only") {
			t.Errorf("%v: got %v", cmd, err)
		}
	}
	if err := c.Reply(CmdEOM, Continue()); err != nil {
		t.Fatal(err)
	}
	if len(s.writes) != 1 || !bytes.Equal(s.writes[0], frame('c', "")) {
		t.Errorf("wrote %q: dropped changes came back", s.writes)
	}
}

// FuzzHeaderChange: what is written is one frame that cannot break out of its
// field, and reads back as what was given.
func FuzzHeaderChange(f *testing.F) {
	f.Add("Subject", " a\r\n\tb", true)
	f.Add("Subject", "a\nb: c", false)
	f.Add("A", "\tx\r\n y\n z", false)
	f.Add("A:", " \x00\r", true)
	f.Add("0", " \t", false)
	f.Fuzz(func(t *testing.T, name, value string, leadSpace bool) {
		steps := Step(0)
		if leadSpace {
			steps = StepHeaderLeadSpace
		}
		c, s := agreed(t, headerActions, steps)
		if err := c.InsertHeader(0, name, value); err != nil {
			return
		}
		if err := c.Reply(CmdEOM, Continue()); err != nil {
			t.Fatal(err)
		}
		all, err := readAll(NewConn(&scriptConn{chunks: s.writes}, Limits{}))
		if len(all) != 2 || all[0].cmd != 'i' || all[1] != (got{'c', ""}) {
			t.Fatalf("wrote %+v, %v", all, err)
		}
		payload := all[0].payload[4:]
		if strings.Count(payload, "\x00") != 2 || strings.Contains(payload, "\r") {
			t.Fatalf("payload %q", payload)
		}
		gotName, gotValue, err := c.ParseHeader([]byte(payload))
		if err != nil || gotName != name {
			t.Fatalf("read back %q, %v", gotName, err)
		}
		want := strings.ReplaceAll(strings.ReplaceAll(value, "\r\n", "\n"), "\n", "\r\n")
		if !leadSpace {
			// One space is the MTA's own; it is not put back before a tab, which
			// is what stands there in mail.
			want = strings.TrimPrefix(want, " ")
			if !strings.HasPrefix(want, "\t") {
				want = " " + want
			}
		}
		if gotValue != want {
			t.Fatalf("read back %q, want %q", gotValue, want)
		}
	})
}

func TestRecipientErrors(t *testing.T) {
	for _, address := range []string{"", "a\n@b", "a\x00b", "\x7f", strings.Repeat("a", maxChange)} {
		c, s := agreed(t, ActAddRcpt|ActDelRcpt, 0)
		if c.AddRecipient(address) == nil || c.DeleteRecipient(address) == nil {
			t.Errorf("%.20q is taken", address)
		}
		if err := c.Reply(CmdEOM, Continue()); err != nil || len(s.writes) != 1 || !bytes.Equal(s.writes[0], frame('c', "")) {
			t.Errorf("%.20q: wrote %q, %v", address, s.writes, err)
		}
	}
	c, _ := agreed(t, ActAddHeaders|ActAddRcpt, 0)
	if err := c.DeleteRecipient("a@b"); !errors.Is(err, ErrNotAgreed) {
		t.Errorf("deleted without an agreement: %v", err)
	}
	c, _ = agreed(t, ActAddHeaders|ActDelRcpt, 0)
	if err := c.AddRecipient("a@b"); !errors.Is(err, ErrNotAgreed) {
		t.Errorf("added without an agreement: %v", err)
	}
}
