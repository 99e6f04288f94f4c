package load

import (
	"encoding/binary"
	"fmt"
	"strings"

	"github.com/postseal/postseal/milter/wire"
)

// Codes of answers (SMFIR_*).
const (
	accept   = 'a'
	goOn     = 'c'
	discard  = 'd'
	reject   = 'r'
	skip     = 's'
	tempfail = 't'
	replied  = 'y'
	progress = 'p'
)

// Answer is how a filter ended a message.
type Answer struct {
	// At is the command that it answered: EOM, or an earlier one.
	At wire.Command
	// Code is the octet of the protocol: 'a' accept, 'c' continue, 'd' discard,
	// 'r' reject, 't' tempfail, 'y' an SMTP reply of its own.
	Code byte
	// Text is the SMTP reply, "550 5.7.1 …", where there is one.
	Text string
	// Changes are what it wants changed, for Message.Judge only.
	Changes []Change

	wanted bool // the wanted field is among the changes
}

// Change is a change to the message.
type Change struct {
	// Code is the octet of the protocol: 'i' insert, 'h' add or 'm' change a
	// header field, '+' and '-' for recipients, 'q' quarantine, and others.
	Code byte
	// Index is the place of an inserted or changed field.
	Index int
	// Name is the field's; empty for other changes.
	Name string
	// Value is the field's, or the text of another change.
	Value string
}

// String says what the filter did.
func (a Answer) String() string {
	name := map[byte]string{accept: "accept", goOn: "continue", discard: "discard", reject: "reject",
		skip: "skip", tempfail: "tempfail"}[a.Code]
	switch {
	case a.Code == replied:
		name = fmt.Sprintf("%q", a.Text)
	case name == "":
		name = fmt.Sprintf("%q", a.Code)
	}
	return fmt.Sprintf("%v is answered with %s", a.At, name)
}

// judge says whether a message came back as wanted.
func (r *run) judge(l *letter, a *Answer) error {
	switch {
	case l.Judge != nil:
		return l.Judge(*a)
	case a.Code != goOn && a.Code != accept:
		return fmt.Errorf("%v", a)
	case r.wantName != "" && !a.wanted:
		return fmt.Errorf("the filter added no header field %q (%v)", r.Want, a)
	}
	return nil
}

// answer returns the answer to a command other than EOM; to go on where none is
// due.
func (s *session) answer(cmd wire.Command, nr wire.Step) (Answer, error) {
	a := Answer{At: cmd, Code: goOn}
	if s.steps&nr != 0 {
		return a, nil
	}
	for {
		code, p, err := s.frame()
		if err != nil {
			return a, fmt.Errorf("%v: %w", cmd, err)
		}
		if code == progress {
			continue
		}
		a.Code = code
		return a, a.final(p, cmd == wire.CmdBody)
	}
}

// final takes the code of an answer that ends a command.
func (a *Answer) final(p []byte, mayskip bool) error {
	switch a.Code {
	case accept, goOn, discard, reject, tempfail:
		return nil
	case skip:
		if mayskip {
			return nil
		}
	case replied:
		a.Text = strings.TrimRight(string(p), "\x00")
		return nil
	}
	return fmt.Errorf("%v is answered with %q and %d octets, which Postfix takes for an error", a.At, a.Code, len(p))
}

// endOfMessage sends EOM and reads the changes up to the last reply.
func (s *session) endOfMessage(l *letter) (Answer, error) {
	a := Answer{At: wire.CmdEOM}
	s.scratch = s.macros(s.scratch[:0], wire.CmdEOM, s.lists[atEOM])
	err := s.put(s.scratch)
	if err == nil {
		err = s.head(wire.CmdEOM, 0)
	}
	for err == nil {
		var p []byte
		if a.Code, p, err = s.frame(); err != nil {
			break
		}
		switch a.Code {
		case progress:
		case 'i', 'h', 'm', '+', '2', '-', 'e', 'b', 'q':
			err = s.change(l, &a, p)
		default:
			return a, a.final(p, false)
		}
	}
	return a, fmt.Errorf("EOM: %w", err)
}

// change looks at a change for the wanted field, and keeps it for Message.Judge.
func (s *session) change(l *letter, a *Answer, p []byte) error {
	c := Change{Code: a.Code}
	code := a.Code
	if code == 'i' || code == 'm' {
		if len(p) < 4 {
			return fmt.Errorf("a change %q of %d octets", code, len(p))
		}
		c.Index = int(int32(binary.BigEndian.Uint32(p)))
		p = p[4:]
	}
	if l.Judge == nil && (s.wantName == "" || code != 'i' && code != 'h') {
		return nil // nobody looks
	}
	c.Value = strings.TrimRight(string(p), "\x00")
	if code == 'i' || code == 'h' || code == 'm' {
		c.Name, c.Value, _ = strings.Cut(c.Value, "\x00")
	}
	if l.Judge != nil {
		a.Changes = append(a.Changes, c)
		return nil
	}
	if strings.EqualFold(c.Name, s.wantName) && strings.Contains(c.Value, s.wantText) {
		a.wanted = true
	}
	return nil
}
