package load

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"

	"github.com/postseal/postseal/milter/wire"
)

// allActions is every change that a filter may make; Postfix offers them
// whatever the version.
const allActions = wire.ActSetSymList<<1 - 1

// stepsOfOld are the steps that protocol version 2 knows.
const stepsOfOld = wire.StepNoConnect | wire.StepNoHelo | wire.StepNoMail | wire.StepNoRcpt | wire.StepNoBody |
	wire.StepNoHeader | wire.StepNoEOH

// offers are the steps that Postfix offers, by version.
var offers = map[int]wire.Step{
	2: stepsOfOld,
	3: stepsOfOld | wire.StepNoUnknown,
	4: stepsOfOld | wire.StepNoUnknown | wire.StepNoData,
	6: wire.StepHeaderLeadSpace<<1 - 1,
}

// session is one connection, which serves one SMTP client.
type session struct {
	*run
	stream
	facts
	negotiated bool
	steps      wire.Step // agreed
	lists      macroLists
	scratch    []byte // a MACRO frame or a payload
	header     []byte // the MACRO frame for HEADER
}

func newSession(r *run, c net.Conn) *session {
	return &session{run: r, stream: newStream(c, r.Timeout), lists: postfixMacros()}
}

// begin negotiates and tells of the client. An answer that is not to go on is
// about all its mail.
func (s *session) begin(c Client) (Answer, error) {
	s.client = c
	if err := s.negotiate(); err != nil {
		return Answer{}, fmt.Errorf("negotiation: %w", err)
	}
	s.negotiated = true
	a, err := s.event(wire.CmdConnect, atConnect, wire.StepNoConnect, wire.StepNRConnect, connectPayload(c))
	if err != nil || a.Code != goOn {
		return a, err
	}
	return s.event(wire.CmdHelo, atHelo, wire.StepNoHelo, wire.StepNRHelo, helo+"\x00")
}

// negotiate makes Postfix's offer and takes what the filter says.
func (s *session) negotiate() error {
	p := binary.BigEndian.AppendUint32(nil, uint32(s.Version))
	p = binary.BigEndian.AppendUint32(p, uint32(allActions))
	p = binary.BigEndian.AppendUint32(p, uint32(offers[s.Version]))
	if err := s.put(frame(wire.CmdOptNeg, string(p))); err != nil {
		return err
	}
	code, got, err := s.frame()
	switch {
	case err != nil:
		return err
	case code != byte(wire.CmdOptNeg) || len(got) < 12:
		return fmt.Errorf("the filter answers with %q and %d octets", code, len(got))
	}
	version := binary.BigEndian.Uint32(got)
	actions, steps := wire.Action(binary.BigEndian.Uint32(got[4:])), wire.Step(binary.BigEndian.Uint32(got[8:]))
	switch {
	case version > uint32(s.Version):
		return fmt.Errorf("the filter speaks version %d, and %d was offered", version, s.Version)
	case actions&^allActions != 0:
		return fmt.Errorf("the filter wants actions that were not offered: %v", actions&^allActions)
	case steps&^offers[s.Version] != 0:
		return fmt.Errorf("the filter wants steps that were not offered: %v", steps&^offers[s.Version])
	}
	s.steps = steps
	if actions&wire.ActSetSymList == 0 {
		return nil
	}
	return s.lists.replace(got[12:])
}

func connectPayload(c Client) string {
	family := wire.FamilyIPv4
	if strings.Contains(c.Addr, ":") {
		family = wire.FamilyIPv6
	}
	return c.Host + "\x00" + string(family) + string([]byte{clientPort >> 8, clientPort & 0xff}) + c.Addr + "\x00"
}

// event sends a command of the envelope with its macros, which are sent even
// where the filter does not want the command, and returns the answer if one is
// due.
func (s *session) event(cmd wire.Command, at stage, no, nr wire.Step, payload string) (Answer, error) {
	s.scratch = s.macros(s.scratch[:0], cmd, s.lists[at])
	if err := s.put(s.scratch); err != nil {
		return Answer{}, fmt.Errorf("%v: %w", cmd, err)
	}
	if s.steps&no != 0 {
		return Answer{At: cmd, Code: goOn}, nil
	}
	s.scratch = append(s.scratch[:0], payload...)
	return s.content(cmd, nr, s.scratch)
}

// content sends a command and returns the answer if one is due.
func (s *session) content(cmd wire.Command, nr wire.Step, payload []byte) (Answer, error) {
	err := s.head(cmd, len(payload))
	if err == nil {
		err = s.put(payload)
	}
	if err != nil {
		return Answer{}, fmt.Errorf("%v: %w", cmd, err)
	}
	return s.answer(cmd, nr)
}

// deliver takes message n through the filter.
func (s *session) deliver(l *letter, n int) (Answer, error) {
	a, err := s.envelope(l, n)
	if err == nil && a.Code == goOn {
		a, err = s.headers(l)
	}
	if err == nil && a.Code == goOn {
		a, err = s.body(l)
	}
	if err == nil && a.Code == goOn {
		a, err = s.endOfMessage(l)
	}
	if err != nil {
		return a, err
	}
	// Postfix resets the filter after each message, whatever became of it.
	return a, s.head(wire.CmdAbort, 0)
}

// end is the end of the SMTP session.
func (s *session) end() error {
	return errors.Join(s.head(wire.CmdAbort, 0), s.head(wire.CmdQuit, 0), s.flush())
}

// envelope sends MAIL, RCPT and DATA. The message has a queue id from its second
// recipient on. A recipient that is refused ends the message; Postfix would go
// on with the others.
func (s *session) envelope(l *letter, n int) (Answer, error) {
	s.id, s.sender = "", l.From
	a, err := s.event(wire.CmdMail, atMail, wire.StepNoMail, wire.StepNRMail, "<"+l.From+">\x00")
	for _, rcpt := range l.rcpt {
		if err != nil || a.Code != goOn {
			return a, err
		}
		s.recipient = rcpt
		a, err = s.event(wire.CmdRcpt, atRcpt, wire.StepNoRcpt, wire.StepNRRcpt, "<"+rcpt+">\x00")
		s.id = cmp.Or(l.QueueID, queueID(n))
	}
	if err != nil || a.Code != goOn || offers[s.Version]&wire.StepNoData == 0 {
		return a, err
	}
	return s.event(wire.CmdData, atData, wire.StepNoData, wire.StepNRData, "")
}

// queueID is a queue id as Postfix makes them, from the number of a message.
func queueID(n int) string {
	id := strings.ToUpper(strconv.FormatInt(int64(n), 16))
	return "C0DE000000"[:max(0, 10-len(id))] + id
}

// headers sends the header, each field behind macros of its own.
func (s *session) headers(l *letter) (a Answer, err error) {
	a.Code = goOn
	lead := 0
	if s.steps&wire.StepHeaderLeadSpace != 0 {
		lead = 1
	}
	if s.steps&wire.StepNoHeader == 0 {
		s.header = s.macros(s.header[:0], wire.CmdHeader, s.lists[atEOH])
		for _, f := range l.fields[lead] {
			if err = s.put(s.header); err == nil {
				err = s.put(f)
			}
			if err != nil {
				return a, fmt.Errorf("HEADER: %w", err)
			}
			if a, err = s.answer(wire.CmdHeader, wire.StepNRHeader); err != nil || a.Code != goOn {
				return a, err
			}
		}
	}
	if s.steps&wire.StepNoEOH == 0 {
		return s.event(wire.CmdEOH, atEOH, 0, wire.StepNREOH, "")
	}
	return a, nil
}

// body sends the body until the filter wants no more of it.
func (s *session) body(l *letter) (a Answer, err error) {
	a.Code = goOn
	if s.steps&wire.StepNoBody != 0 {
		return a, nil
	}
	s.header = s.macros(s.header[:0], wire.CmdBody, s.lists[atEOM])
	for _, chunk := range l.chunks {
		if err = s.put(s.header); err != nil {
			return a, fmt.Errorf("BODY: %w", err)
		}
		if a, err = s.content(wire.CmdBody, wire.StepNRBody, chunk); err != nil || a.Code != goOn {
			break
		}
	}
	if a.Code == skip {
		a.Code = goOn
	}
	return a, err
}
