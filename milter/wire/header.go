package wire

import (
	"bytes"
	"fmt"
	"strings"
)

// ParseHeader reads the payload of HEADER: name NUL value NUL. It allocates
// once.
//
// The name is everything before the first NUL, with the blanks that the message
// has before the colon where the MTA leaves them there. The value is everything
// from there to the last octet of the frame, which must be a NUL: further NULs
// inside belong to the value, so that no octet of the message is lost. It comes
// back as everything after the colon: an LF without CR becomes CRLF, and where
// HDR_LEADSPC was not agreed the MTA has taken one space (never a tab) off, so
// that one is put back before a value that does not begin with a tab. "X:v"
// cannot be told from "X: v" then.
//
// The error wraps ErrMalformed.
func (c *Conn) ParseHeader(p []byte) (name, value string, err error) {
	end := bytes.IndexByte(p, 0)
	if end < 0 || end == len(p)-1 || p[len(p)-1] != 0 {
		return "", "", fmt.Errorf("header field: %w: it is not a name and a value, each ended by a NUL", ErrMalformed)
	}
	raw := p[end+1 : len(p)-1]
	space := c.agreed.Steps&StepHeaderLeadSpace == 0 && !bytes.HasPrefix(raw, []byte{'\t'})
	breaks := bytes.Count(raw, []byte{'\n'})
	if breaks == 0 && !space {
		s := string(p[:len(p)-1])
		return s[:end], s[end+1:], nil
	}
	var b strings.Builder
	b.Grow(end + 1 + len(raw) + breaks)
	b.Write(p[:end])
	if space {
		b.WriteByte(' ')
	}
	for {
		i := bytes.IndexByte(raw, '\n')
		if i < 0 {
			break
		}
		b.Write(raw[:i])
		if i == 0 || raw[i-1] != '\r' {
			b.WriteByte('\r')
		}
		b.WriteByte('\n')
		raw = raw[i+1:]
	}
	b.Write(raw)
	s := b.String()
	return s[:end], s[end:], nil
}
