package wire

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"strings"
)

// ErrNotAgreed: a change that the MTA has not been asked to allow.
var ErrNotAgreed = errors.New("not agreed with the MTA")

const (
	// maxChange is the longest frame that an MTA reads (Sendmail's
	// MILTER_CHUNK_SIZE).
	maxChange = 65535
	// maxReason bounds the text of a quarantine.
	maxReason = 500
	// noIndex marks a change without a place.
	noIndex = -1
)

// InsertHeader queues a new field that becomes number index of the header,
// counted from 0: 0 is above everything, the MTA's own Received included.
//
// For this and the other header changes, name is printable ASCII without a
// colon (RFC 5322 §2.2), value is everything after the colon, with its leading
// blank and with folds of CRLF (or LF) and a blank. Where HDR_LEADSPC was not
// agreed the MTA itself puts one space after the colon: one is taken off value,
// and a value that begins with none gets one all the same.
//
// Changes are legal only between the Read of EOM and its Reply, which writes
// them. Errors, which queue nothing: ErrNotAgreed; a bad name, index or value (a
// NUL, a CR without LF, an LF without a blank behind it, a frame above 65535
// octets).
func (c *Conn) InsertHeader(index int, name, value string) error {
	if index < 0 {
		return fmt.Errorf("insert header field %q: index %d is negative", name, index)
	}
	return c.change(codeInsertHeader, index, name, c.outgoing(value))
}

// AddHeader queues a new field at the end of the header; see InsertHeader.
func (c *Conn) AddHeader(name, value string) error {
	return c.change(codeAddHeader, noIndex, name, c.outgoing(value))
}

// ChangeHeader queues a new value for a field, or its deletion where value is
// empty; see InsertHeader. index counts the fields called name from the top,
// beginning at 1. Postfix counts anew after each deletion: delete the highest
// index first.
func (c *Conn) ChangeHeader(index int, name, value string) error {
	if index < 1 {
		return fmt.Errorf("change header field %q: index %d: the first is 1", name, index)
	}
	if value != " " { // a single space taken off would delete the field
		value = c.outgoing(value)
	}
	return c.change(codeChangeHeader, index, name, value)
}

// Quarantine queues that the MTA holds the message, with a reason for its
// administrator: octets of it that are not printable ASCII are replaced, and it
// is cut at 500. The error is ErrNotAgreed, or that there is no reason.
func (c *Conn) Quarantine(reason string) error {
	if c.agreed.Actions&ActQuarantine == 0 {
		return fmt.Errorf("quarantine: %w", ErrNotAgreed)
	}
	reason = printable(reason, maxReason)
	if reason == "" {
		return errors.New("quarantine: a reason is needed")
	}
	start := len(c.out)
	c.out = beginFrame(c.out, codeQuarantine)
	c.out = append(c.out, reason...)
	c.out = append(c.out, 0)
	c.out = endFrame(c.out, start)
	return nil
}

// AddRecipient queues an envelope recipient: an address without angle brackets
// and parameters. Errors: ErrNotAgreed; an address that is empty, has a control
// character, or is too long for a frame.
func (c *Conn) AddRecipient(address string) error {
	return c.recipient(codeAddRcpt, ActAddRcpt, address)
}

// DeleteRecipient queues that an envelope recipient goes, named as RCPT named
// it; see AddRecipient.
func (c *Conn) DeleteRecipient(address string) error {
	return c.recipient(codeDelRcpt, ActDelRcpt, address)
}

func (c *Conn) recipient(code byte, needed Action, address string) error {
	switch {
	case c.agreed.Actions&needed == 0:
		return fmt.Errorf("recipient: %v: %w", needed, ErrNotAgreed)
	case address == "" || strings.ContainsFunc(address, func(r rune) bool { return r < ' ' || r == 0x7f }):
		return fmt.Errorf("recipient %q is no address", address)
	case len(address)+2 > maxChange: // command and NUL
		return fmt.Errorf("recipient of %d octets is more than the %d that an MTA takes", len(address), maxChange)
	}
	start := len(c.out)
	c.out = beginFrame(c.out, code)
	c.out = append(c.out, address...)
	c.out = append(c.out, 0)
	c.out = endFrame(c.out, start)
	return nil
}

// outgoing takes the space off value that the MTA will put there.
func (c *Conn) outgoing(value string) string {
	if c.agreed.Steps&StepHeaderLeadSpace == 0 {
		value = strings.TrimPrefix(value, " ")
	}
	return value
}

// change queues one header change. value is as on the wire but for its folds.
func (c *Conn) change(code byte, index int, name, value string) error {
	needed := ActAddHeaders
	if code == codeChangeHeader {
		needed = ActChangeHeaders
	}
	if c.agreed.Actions&needed == 0 {
		return fmt.Errorf("header field %q: %v: %w", name, needed, ErrNotAgreed)
	}
	if index > math.MaxInt32 {
		return fmt.Errorf("header field %q: index %d is too large", name, index)
	}
	if err := checkName(name); err != nil {
		return err
	}
	if err := checkValue(name, value); err != nil {
		return err
	}
	// command, index, two NULs
	if size := 1 + 4 + len(name) + len(value) - strings.Count(value, "\r") + 2; size > maxChange {
		return fmt.Errorf("header field %q: %d octets are more than the %d that an MTA takes", name, size, maxChange)
	}
	start := len(c.out)
	c.out = beginFrame(c.out, code)
	if index != noIndex {
		c.out = binary.BigEndian.AppendUint32(c.out, uint32(index))
	}
	c.out = append(c.out, name...)
	c.out = append(c.out, 0)
	for rest := value; ; {
		line, more, folded := strings.Cut(rest, "\r\n")
		c.out = append(c.out, line...)
		if !folded {
			break
		}
		c.out = append(c.out, '\n')
		rest = more
	}
	c.out = append(c.out, 0)
	c.out = endFrame(c.out, start)
	return nil
}

// checkName accepts printable ASCII without a colon (RFC 5322 §2.2).
func checkName(name string) error {
	if name == "" {
		return errors.New("header field without a name")
	}
	for i := 0; i < len(name); i++ {
		if name[i] <= ' ' || name[i] > '~' || name[i] == ':' {
			return fmt.Errorf("header field name %q: octet %q is not allowed", name, name[i])
		}
	}
	return nil
}

// checkValue accepts what stays one header field: no NUL, CR only before LF, LF
// only before a blank.
func checkValue(name, value string) error {
	for i := 0; i < len(value); i++ {
		switch value[i] {
		case 0:
			return fmt.Errorf("header field %q: NUL in its value", name)
		case '\r':
			if i+1 == len(value) || value[i+1] != '\n' {
				return fmt.Errorf("header field %q: CR without LF in its value", name)
			}
		case '\n':
			if i+1 == len(value) || value[i+1] != ' ' && value[i+1] != '\t' {
				return fmt.Errorf("header field %q: line break without a blank behind it in its value", name)
			}
		}
	}
	return nil
}
