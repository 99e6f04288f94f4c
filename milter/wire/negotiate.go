package wire

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
)

const (
	minVersion = 2 // Sendmail 8.10; what Postfix calls milter_protocol = 2
	maxVersion = 6 // Sendmail 8.14, Postfix 2.6
	// optionsSize is version, actions and steps of an OPTNEG.
	optionsSize = 12
)

// ErrVersion: the MTA offers a version of the protocol older than 2.
var ErrVersion = errors.New("milter protocol version is too old")

// Want is what a filter asks of an MTA.
type Want struct {
	// Actions are needed: without one of them there is no agreement.
	Actions Action
	// Optional actions are taken where they are offered.
	Optional Action
	// Steps are taken where they are offered.
	Steps Step
	// Macros are the names of the macros that should come with CmdConnect,
	// CmdHelo, CmdMail, CmdRcpt, CmdData, CmdEOH or CmdEOM: "i",
	// "daemon_name" or "{daemon_name}". The list takes the place of the MTA's own
	// list for that command; a command that is no key keeps the MTA's list, and
	// a key without names asks for none. They are asked for with SETSYMLIST
	// where that is offered and the version is above 2.
	Macros map[Command][]string
}

// Agreement is what the MTA and the filter have settled on.
type Agreement struct {
	Version uint32 // 2 to 6
	Actions Action // what the filter may do
	Steps   Step   // what both sides keep to
}

// MissingActionsError says that the MTA does not let a filter do what it has to.
type MissingActionsError struct {
	Offered, Needed Action
}

func (e *MissingActionsError) Error() string {
	return fmt.Sprintf("the MTA does not offer %v; it offers %v: change its milter settings, or turn off what needs %[1]v",
		e.Needed&^e.Offered, e.Offered)
}

// Negotiate answers the OPTNEG whose payload is given, and binds the
// connection to the agreement. The version is the lower of 6 and the MTA's.
//
// The error wraps ErrMalformed (a payload below 12 octets; what follows them is
// left alone), wraps ErrVersion, or is a *MissingActionsError; nothing is
// written then, and the connection is to be closed. It may also be a fault in
// w.Macros or of the connection.
func (c *Conn) Negotiate(payload []byte, w Want) (Agreement, error) {
	if len(payload) < optionsSize {
		return Agreement{}, fmt.Errorf("option negotiation: %w: %d octets, %d needed", ErrMalformed, len(payload), optionsSize)
	}
	version := binary.BigEndian.Uint32(payload)
	offered := Action(binary.BigEndian.Uint32(payload[4:]))
	steps := Step(binary.BigEndian.Uint32(payload[8:]))
	if version < minVersion {
		return Agreement{}, fmt.Errorf("%w: the MTA offers %d, at least %d is needed (Postfix: milter_protocol)", ErrVersion, version, minVersion)
	}
	if w.Actions&^offered != 0 {
		return Agreement{}, &MissingActionsError{Offered: offered, Needed: w.Actions}
	}
	lists, err := appendMacroLists(nil, w.Macros)
	if err != nil {
		return Agreement{}, fmt.Errorf("option negotiation: %w", err)
	}
	a := Agreement{
		Version: min(version, maxVersion),
		Actions: (w.Actions | w.Optional) & offered,
		Steps:   w.Steps & steps,
	}
	if a.Version == minVersion || offered&ActSetSymList == 0 {
		lists = nil
	}
	if len(lists) > 0 {
		a.Actions |= ActSetSymList
	}
	c.dropQueue()
	c.out = beginFrame(c.out, byte(CmdOptNeg))
	c.out = binary.BigEndian.AppendUint32(c.out, a.Version)
	c.out = binary.BigEndian.AppendUint32(c.out, uint32(a.Actions))
	c.out = binary.BigEndian.AppendUint32(c.out, uint32(a.Steps))
	c.out = append(c.out, lists...)
	c.out = endFrame(c.out, 0)
	if err := c.flush(); err != nil {
		return Agreement{}, err
	}
	c.agreed = a
	return a, nil
}

// Agreed is what Negotiate has settled; the zero value before that.
func (c *Conn) Agreed() Agreement {
	return c.agreed
}

// appendMacroLists appends the list of each stage in the stages' order: its
// number and the names with a blank between them, ended by a NUL.
func appendMacroLists(dst []byte, macros map[Command][]string) ([]byte, error) {
	known := 0
	// The numbers of the stages are the indices (SMFIM_*).
	for number, stage := range [...]Command{CmdConnect, CmdHelo, CmdMail, CmdRcpt, CmdData, CmdEOM, CmdEOH} {
		names, ok := macros[stage]
		if !ok {
			continue
		}
		known++
		dst = binary.BigEndian.AppendUint32(dst, uint32(number))
		for i, name := range names {
			bare := bareMacroName(name)
			if bare == "" || strings.ContainsFunc(bare, func(r rune) bool { return r <= ' ' || r == 0x7f || r == '{' || r == '}' }) {
				return nil, fmt.Errorf("macro name %q for %v: a name has no blanks and no braces inside", name, stage)
			}
			if i > 0 {
				dst = append(dst, ' ')
			}
			if len(bare) > 1 {
				dst = append(dst, '{')
				dst = append(dst, bare...)
				dst = append(dst, '}')
			} else {
				dst = append(dst, bare...)
			}
		}
		dst = append(dst, 0)
	}
	if known != len(macros) {
		return nil, errors.New("macros can be asked for at CONNECT, HELO, MAIL, RCPT, DATA, EOH and EOM only")
	}
	return dst, nil
}
