package peers

import (
	"fmt"
	"strings"

	"github.com/emersion/go-milter"
)

// Mail is what an MTA tells a milter about one message beside its body.
type Mail struct {
	// Host is the client's name, Addr its address; without one the connection
	// is of unknown family.
	Host, Addr string
	// Macros are sent with CONNECT, names in braces where they are longer than
	// one letter.
	Macros map[string]string
	// From is the envelope sender, To the recipients.
	From string
	To   []string
	// Fields are raw header fields, "Name: value".
	Fields []string
	// Body has its lines ended by CRLF.
	Body string
}

// Ask sends a message to the daemon; see the function Ask.
func (o *OpenDKIM) Ask(m Mail) (changes []milter.ModifyAction, action milter.ActionCode, err error) {
	return Ask(o.socket, m)
}

// Ask sends a message to the milter that listens on a unix socket and returns
// what it wants changed. action is how it ended: accepted at the end, or cut
// short by another answer than "continue" before.
func Ask(socket string, m Mail) (changes []milter.ModifyAction, action milter.ActionCode, err error) {
	s, err := session(socket)
	if err != nil {
		return nil, 0, err
	}
	defer s.Close()
	var macros []string
	for name, value := range m.Macros {
		macros = append(macros, name, value)
	}
	if len(macros) > 0 {
		if err := s.Macros(milter.CodeConn, macros...); err != nil {
			return nil, 0, err
		}
	}
	family := milter.FamilyInet
	switch {
	case m.Addr == "":
		family = milter.FamilyUnknown
	case strings.Contains(m.Addr, ":"):
		family = milter.FamilyInet6
	}
	steps := []func() (*milter.Action, error){
		func() (*milter.Action, error) { return s.Conn(m.Host, family, 25, m.Addr) },
		func() (*milter.Action, error) { return s.Mail(m.From, nil) },
	}
	for _, to := range m.To {
		steps = append(steps, func() (*milter.Action, error) { return s.Rcpt(to, nil) })
	}
	for _, f := range m.Fields {
		name, value, _ := strings.Cut(f, ":")
		steps = append(steps, func() (*milter.Action, error) { return s.HeaderField(name, value) })
	}
	steps = append(steps, s.HeaderEnd)
	for n, step := range steps {
		action, err := step()
		if err != nil {
			return nil, 0, fmt.Errorf("step %d: %w", n, err)
		}
		if action.Code != milter.ActContinue {
			return nil, action.Code, nil
		}
	}
	changes, last, err := s.BodyReadFrom(strings.NewReader(m.Body))
	if err != nil {
		return nil, 0, fmt.Errorf("end of message: %w", err)
	}
	return changes, last.Code, nil
}
