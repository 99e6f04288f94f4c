package wire

import (
	"fmt"
	"strings"
)

// maxStrings caps the strings of one payload. An SMTP command line holds no
// more parameters and Postfix knows no more macros.
const maxStrings = 1024

// Envelope is an envelope sender or recipient.
type Envelope struct {
	// Address is without the angle brackets; empty for the null sender.
	Address string
	// Args are the ESMTP parameters of the command, such as "BODY=8BITMIME".
	Args []string
}

// ParseEnvelope reads the payload of MAIL and RCPT: the address and the
// parameters, each ended by a NUL. The error wraps ErrMalformed; more than 1024
// strings are one.
func ParseEnvelope(p []byte) (Envelope, error) {
	list, err := splitStrings(p)
	if err != nil {
		return Envelope{}, fmt.Errorf("envelope: %w", err)
	}
	if len(list) == 0 {
		return Envelope{}, fmt.Errorf("envelope: %w: no address", ErrMalformed)
	}
	e := Envelope{Address: list[0]}
	if a := e.Address; len(a) >= 2 && a[0] == '<' && a[len(a)-1] == '>' {
		e.Address = a[1 : len(a)-1]
	}
	if len(list) > 1 {
		e.Args = list[1:]
	}
	return e, nil
}

// splitStrings splits p into its strings, each ended by a NUL. They share one
// copy of p.
func splitStrings(p []byte) ([]string, error) {
	if len(p) == 0 {
		return nil, nil
	}
	if p[len(p)-1] != 0 {
		return nil, fmt.Errorf("%w: the last string has no end", ErrMalformed)
	}
	all := string(p[:len(p)-1])
	n := strings.Count(all, "\x00") + 1
	if n > maxStrings {
		return nil, fmt.Errorf("%w: %d strings, at most %d are read", ErrMalformed, n, maxStrings)
	}
	return strings.Split(all, "\x00"), nil
}
