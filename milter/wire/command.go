package wire

import "fmt"

// Command is the octet that says what a frame from the MTA is (SMFIC_*).
type Command byte

const (
	CmdOptNeg  Command = 'O' // option negotiation; answered by Conn.Negotiate
	CmdConnect Command = 'C' // an SMTP client has connected; ParseConnect
	CmdHelo    Command = 'H' // HELO or EHLO
	CmdMail    Command = 'M' // MAIL FROM; ParseEnvelope
	CmdRcpt    Command = 'R' // RCPT TO; ParseEnvelope
	CmdData    Command = 'T' // DATA, no payload
	CmdHeader  Command = 'L' // one header field; Conn.ParseHeader
	CmdEOH     Command = 'N' // end of headers, no payload
	CmdBody    Command = 'B' // a piece of the body, raw
	CmdEOM     Command = 'E' // end of the message; a payload is a last piece of the body
	CmdAbort   Command = 'A' // the message is over; no reply
	CmdMacro   Command = 'D' // macros for the command that follows; ParseMacros; no reply
	CmdQuit    Command = 'Q' // the connection is over; no reply
	CmdQuitNC  Command = 'K' // the SMTP connection is over and CONNECT follows; no reply
	CmdUnknown Command = 'U' // an SMTP command that the MTA does not know
)

// String is the name of the command, or its octet in quotes.
func (c Command) String() string {
	switch c {
	case CmdOptNeg:
		return "OPTNEG"
	case CmdConnect:
		return "CONNECT"
	case CmdHelo:
		return "HELO"
	case CmdMail:
		return "MAIL"
	case CmdRcpt:
		return "RCPT"
	case CmdData:
		return "DATA"
	case CmdHeader:
		return "HEADER"
	case CmdEOH:
		return "EOH"
	case CmdBody:
		return "BODY"
	case CmdEOM:
		return "EOM"
	case CmdAbort:
		return "ABORT"
	case CmdMacro:
		return "MACRO"
	case CmdQuit:
		return "QUIT"
	case CmdQuitNC:
		return "QUIT_NC"
	case CmdUnknown:
		return "UNKNOWN"
	}
	return fmt.Sprintf("%q", byte(c))
}

// suppressor is the step that takes the reply to c away when it is agreed.
// answered is false for what a Reply never answers, and for octets that are no
// command.
func (c Command) suppressor() (nr Step, answered bool) {
	switch c {
	case CmdConnect:
		return StepNRConnect, true
	case CmdHelo:
		return StepNRHelo, true
	case CmdMail:
		return StepNRMail, true
	case CmdRcpt:
		return StepNRRcpt, true
	case CmdData:
		return StepNRData, true
	case CmdUnknown:
		return StepNRUnknown, true
	case CmdHeader:
		return StepNRHeader, true
	case CmdEOH:
		return StepNREOH, true
	case CmdBody:
		return StepNRBody, true
	case CmdEOM:
		return 0, true
	}
	return 0, false
}
