package wire

import (
	"errors"
	"fmt"
	"strings"
)

// Codes of the frames that a filter sends (SMFIR_*).
const (
	codeAccept       = 'a'
	codeContinue     = 'c'
	codeDiscard      = 'd'
	codeProgress     = 'p'
	codeReject       = 'r'
	codeSkip         = 's'
	codeTempfail     = 't'
	codeText         = 'y'
	codeAddHeader    = 'h'
	codeInsertHeader = 'i'
	codeChangeHeader = 'm'
	codeQuarantine   = 'q'
	codeAddRcpt      = '+'
	codeDelRcpt      = '-'
)

// ErrNoReply: a command that has no reply, or whose reply was negotiated away,
// was to be answered with something else than Continue.
var ErrNoReply = errors.New("the MTA waits for no reply")

// Reply is the answer to a command. The zero value is no reply.
type Reply struct {
	code byte
	text string
}

// Continue goes on with the message; at EOM it lets the message pass.
func Continue() Reply { return Reply{code: codeContinue} }

// Accept lets the message pass without the filter seeing more of it; as an
// answer to CONNECT or HELO all mail of the connection.
func Accept() Reply { return Reply{code: codeAccept} }

// Reject refuses the recipient, the message or the connection for good, with the
// MTA's own text.
func Reject() Reply { return Reply{code: codeReject} }

// Tempfail refuses for now, with the MTA's own text.
func Tempfail() Reply { return Reply{code: codeTempfail} }

// Discard accepts the message and throws it away. Postfix takes it for an error
// as an answer to CONNECT and HELO.
func Discard() Reply { return Reply{code: codeDiscard} }

// Skip asks for no more of the body and goes on; where SKIP was not agreed, and
// as an answer to anything but BODY, Continue is sent in its place.
func Skip() Reply { return Reply{code: codeSkip} }

// maxReplyLine is the longest SMTP reply line without its CRLF (RFC 5321
// §4.5.3.1.5).
const maxReplyLine = 510

// ReplyText refuses with an SMTP reply of our own, one line: code is 400 to
// 599, enhanced is an enhanced status code of the same class (RFC 3463 §2) or
// empty for class.0.0. Without one Postfix would take the filter for broken.
//
// Text may quote mail: runs of octets that are not printable ASCII become one
// "?" (each CR, LF and TAB a blank), and what is beyond an SMTP line is cut.
func ReplyText(code int, enhanced, text string) (Reply, error) {
	if code < 400 || code > 599 {
		return Reply{}, fmt.Errorf("reply code %d: only 4xx and 5xx refuse", code)
	}
	class := byte('0' + code/100)
	if enhanced == "" {
		enhanced = string(class) + ".0.0"
	}
	if !validEnhanced(enhanced) {
		return Reply{}, fmt.Errorf("enhanced status code %q: write it as in 5.7.1", enhanced)
	}
	if enhanced[0] != class {
		return Reply{}, fmt.Errorf("enhanced status code %q does not fit reply code %d: it begins with %c", enhanced, code, class)
	}
	line := printable(fmt.Sprintf("%d %s %.*s", code, enhanced, maxReplyLine, text), maxReplyLine)
	// The MTA takes the text for a format string (Sendmail) or undoes the
	// doubling (Postfix).
	return Reply{code: codeText, text: strings.ReplaceAll(line, "%", "%%")}, nil
}

// String is the reply for a log.
func (r Reply) String() string {
	switch r.code {
	case codeAccept:
		return "accept"
	case codeContinue:
		return "continue"
	case codeDiscard:
		return "discard"
	case codeReject:
		return "reject"
	case codeSkip:
		return "skip"
	case codeTempfail:
		return "tempfail"
	case codeText:
		return strings.ReplaceAll(r.text, "%%", "%")
	}
	return "none"
}

// Reply answers cmd with r, behind the changes that are queued, all with one
// Write call. It writes nothing where cmd has no reply (ABORT, MACRO, QUIT,
// QUIT_NC) or its reply was negotiated away (NR); there only Continue can be
// passed, and anything else is an error that wraps ErrNoReply, so that a
// decision taken too late is seen and not lost.
//
// Changes that are queued when cmd is not EOM are dropped, with an error: the
// MTA would break the connection.
func (c *Conn) Reply(cmd Command, r Reply) error {
	if len(c.out) > 0 && cmd != CmdEOM {
		c.dropQueue()
		return fmt.Errorf("answer %v with %v: changes are legal at EOM only", cmd, r)
	}
	nr, answered := cmd.suppressor()
	silent := cmd == CmdAbort || cmd == CmdMacro || cmd == CmdQuit || cmd == CmdQuitNC
	if r.code == 0 || !answered && !silent {
		return fmt.Errorf("answer %v with %v: there is no such reply", cmd, r)
	}
	if silent || c.agreed.Steps&nr != 0 {
		if r.code != codeContinue {
			return fmt.Errorf("answer %v with %v: %w", cmd, r, ErrNoReply)
		}
		return nil
	}
	code := r.code
	if code == codeSkip && (cmd != CmdBody || c.agreed.Steps&StepSkip == 0) {
		code = codeContinue
	}
	start := len(c.out)
	c.out = beginFrame(c.out, code)
	if code == codeText {
		c.out = append(c.out, r.text...)
		c.out = append(c.out, 0)
	}
	c.out = endFrame(c.out, start)
	return c.flush()
}

// Progress tells an MTA that waits for a reply to wait on: its time-out begins
// anew. It is written at once, ahead of the changes that are queued, and is for
// use between Read and Reply by the same goroutine.
func (c *Conn) Progress() error {
	start := len(c.out)
	c.out = endFrame(beginFrame(c.out, codeProgress), start)
	err := c.write(c.out[start:])
	c.out = c.out[:start]
	return err
}

// validEnhanced checks the syntax of an enhanced status code (RFC 3463 §2).
func validEnhanced(s string) bool {
	parts := strings.Split(s, ".")
	if len(parts) != 3 || len(parts[0]) != 1 {
		return false
	}
	for _, p := range parts {
		if len(p) < 1 || len(p) > 3 || strings.Trim(p, "0123456789") != "" {
			return false
		}
	}
	return true
}

// printable makes s printable ASCII of at most limit octets: each CR, LF and TAB
// becomes a blank, a run of other octets one "?".
func printable(s string, limit int) string {
	out := make([]byte, 0, min(len(s), limit))
	odd := false
	for i := 0; i < len(s) && len(out) < limit; i++ {
		switch b := s[i]; {
		case b == '\r' || b == '\n' || b == '\t':
			out, odd = append(out, ' '), false
		case b >= ' ' && b < 0x7f:
			out, odd = append(out, b), false
		case !odd:
			out, odd = append(out, '?'), true
		}
	}
	return strings.TrimRight(string(out), " ")
}
