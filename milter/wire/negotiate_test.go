package wire

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"testing"
)

func TestNegotiate(t *testing.T) {
	signing := Want{
		Actions:  ActAddHeaders | ActChangeHeaders,
		Optional: ActQuarantine,
		Steps:    StepNoHelo | StepNRHeader | StepSkip | StepHeaderLeadSpace,
	}
	withMacros := signing
	withMacros.Macros = map[Command][]string{
		CmdEOM:     {"i"},
		CmdEOH:     {"{auth_type}", "auth_authen", "i"},
		CmdConnect: {"j", "daemon_name"},
		CmdRcpt:    {},
	}
	lists := "\x00\x00\x00\x00j {daemon_name}\x00" + "\x00\x00\x00\x03\x00" +
		"\x00\x00\x00\x05i\x00" + "\x00\x00\x00\x06{auth_type} {auth_authen} i\x00"
	tests := []struct {
		name    string
		offer   []byte
		want    Want
		agreed  Agreement
		symlist string
	}{
		{"everything", optNeg(6, allActions, allSteps), signing,
			Agreement{6, signing.Actions | signing.Optional, signing.Steps}, ""},
		{"a later version", optNeg(7, allActions, allSteps), signing,
			Agreement{6, signing.Actions | signing.Optional, signing.Steps}, ""},
		{"version 4", optNeg(4, allActions, allSteps), signing,
			Agreement{4, signing.Actions | signing.Optional, signing.Steps}, ""},
		{"the optional action is missing", optNeg(6, signing.Actions, 0), signing,
			Agreement{6, signing.Actions, 0}, ""},
		{"some steps", optNeg(6, allActions, StepNRHeader|StepNRBody), signing,
			Agreement{6, signing.Actions | signing.Optional, StepNRHeader}, ""},
		{"a longer payload", append(optNeg(6, allActions, allSteps), "more"...), signing,
			Agreement{6, signing.Actions | signing.Optional, signing.Steps}, ""},
		{"macros", optNeg(6, allActions, allSteps), withMacros,
			Agreement{6, signing.Actions | signing.Optional | ActSetSymList, signing.Steps}, lists},
		{"macros not offered", optNeg(6, allActions&^ActSetSymList, allSteps), withMacros,
			Agreement{6, signing.Actions | signing.Optional, signing.Steps}, ""},
		{"macros and version 2", optNeg(2, allActions, StepNoHelo), withMacros,
			Agreement{2, signing.Actions | signing.Optional, StepNoHelo}, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := &scriptConn{}
			c := NewConn(s, Limits{})
			a, err := c.Negotiate(tt.offer, tt.want)
			if err != nil {
				t.Fatal(err)
			}
			if a != tt.agreed || c.Agreed() != tt.agreed {
				t.Errorf("agreed %+v and %+v, want %+v", a, c.Agreed(), tt.agreed)
			}
			want := frame('O', string(optNeg(tt.agreed.Version, tt.agreed.Actions, tt.agreed.Steps))+tt.symlist)
			if len(s.writes) != 1 || !bytes.Equal(s.writes[0], want) {
				t.Errorf("wrote %q, want %q", s.writes, want)
			}
		})
	}
}

func TestNegotiateErrors(t *testing.T) {
	full := optNeg(6, allActions, allSteps)
	macros := func(stage Command, names ...string) Want {
		return Want{Macros: map[Command][]string{stage: names}}
	}
	tests := []struct {
		name  string
		offer []byte
		want  Want
		err   error  // what it wraps, or nil
		text  string // the whole text, or empty
	}{
		{"empty", nil, Want{}, ErrMalformed, ""},
		{"short", full[:11], Want{}, ErrMalformed, "option negotiation: malformed milter payload: 11 octets, 12 needed"},
		{"version 1", optNeg(1, allActions, allSteps), Want{}, ErrVersion,
			"milter protocol version is too old: the MTA offers 1, at least 2 is needed (Postfix: milter_protocol)"},
		{"version 0", optNeg(0, allActions, allSteps), Want{}, ErrVersion, ""},
		{"missing action", optNeg(6, ActAddHeaders|ActChangeHeaders, 0), Want{Actions: ActAddHeaders | ActQuarantine}, nil,
			"the MTA does not offer quarantine; it offers addhdrs|chghdrs: change its milter settings, or turn off what needs quarantine"},
		{"macros for HEADER", full, macros(CmdHeader, "i"), nil,
			"option negotiation: macros can be asked for at CONNECT, HELO, MAIL, RCPT, DATA, EOH and EOM only"},
		{"blank in a macro's name", full, macros(CmdEOM, "i j"), nil,
			`option negotiation: macro name "i j" for EOM: a name has no blanks and no braces inside`},
		{"NUL in a macro's name", full, macros(CmdEOM, "i\x00"), nil, ""},
		{"macro without a name", full, macros(CmdEOM, "{}"), nil, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := &scriptConn{}
			c := NewConn(s, Limits{})
			_, err := c.Negotiate(tt.offer, tt.want)
			if err == nil || tt.err != nil && !errors.Is(err, tt.err) || tt.text != "" && err.Error() != tt.text {
				t.Errorf("got %v, want %v %q", err, tt.err, tt.text)
			}
			if len(s.writes) != 0 || c.Agreed() != (Agreement{}) {
				t.Errorf("wrote %q and agreed %+v", s.writes, c.Agreed())
			}
		})
	}
}

func TestMissingActionsError(t *testing.T) {
	_, err := NewConn(&scriptConn{}, Limits{}).Negotiate(optNeg(6, 0, 0), Want{Actions: ActQuarantine})
	var missing *MissingActionsError
	if !errors.As(err, &missing) {
		t.Fatalf("got %v", err)
	}
	if missing.Offered != 0 || missing.Needed != ActQuarantine {
		t.Errorf("got %+v", missing)
	}
}

func TestNegotiateWriteError(t *testing.T) {
	c := NewConn(&scriptConn{writeErr: io.ErrClosedPipe}, Limits{})
	_, err := c.Negotiate(optNeg(6, allActions, allSteps), Want{Steps: allSteps})
	if !errors.Is(err, io.ErrClosedPipe) || c.Agreed() != (Agreement{}) {
		t.Errorf("got %v, agreed %+v", err, c.Agreed())
	}
}

// FuzzNegotiate: what is agreed was offered and wanted, and what is written
// says the same; without an agreement nothing is written.
func FuzzNegotiate(f *testing.F) {
	f.Add(optNeg(6, allActions, allSteps), uint32(ActAddHeaders), uint32(ActQuarantine), uint32(allSteps), "i")
	f.Add(optNeg(2, 0x3f, 0x7f), uint32(ActAddHeaders), uint32(0), uint32(allSteps), "{auth_type}")
	f.Add(optNeg(1, 0, 0), uint32(0), uint32(0), uint32(0), "")
	f.Add([]byte("short"), uint32(0), uint32(0), uint32(0), "\x00")
	f.Fuzz(func(t *testing.T, payload []byte, needed, optional, steps uint32, macro string) {
		s := &scriptConn{}
		w := Want{Actions: Action(needed), Optional: Action(optional), Steps: Step(steps), Macros: map[Command][]string{CmdEOM: {macro}}}
		a, err := NewConn(s, Limits{}).Negotiate(payload, w)
		if err != nil {
			if len(s.writes) != 0 {
				t.Fatalf("%v, but %q was written", err, s.writes)
			}
			return
		}
		offered, offeredSteps := Action(binary.BigEndian.Uint32(payload[4:])), Step(binary.BigEndian.Uint32(payload[8:]))
		switch {
		case a.Version < 2 || a.Version > 6 || a.Version > binary.BigEndian.Uint32(payload):
			t.Fatalf("version %d", a.Version)
		case a.Actions&^offered != 0 || w.Actions&^a.Actions != 0 || a.Actions&^(w.Actions|w.Optional|ActSetSymList) != 0:
			t.Fatalf("actions %v of %v", a.Actions, offered)
		case a.Steps != w.Steps&offeredSteps:
			t.Fatalf("steps %v of %v", a.Steps, offeredSteps)
		}
		want := optNeg(a.Version, a.Actions, a.Steps)
		if len(s.writes) != 1 || !bytes.HasPrefix(s.writes[0][5:], want) {
			t.Fatalf("wrote %q, want %q", s.writes, want)
		}
		list := s.writes[0][5+len(want):]
		if a.Version == 2 && len(list) != 0 {
			t.Fatalf("macro list %q in version 2", list)
		}
		if len(list) > 0 && (bytes.Count(list[4:], []byte{0}) != 1 || list[len(list)-1] != 0 || bytes.IndexByte(list[4:], ' ') >= 0) {
			t.Fatalf("macro list %q is not one name", list)
		}
	})
}
