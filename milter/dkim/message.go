package dkim

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
)

// ErrHeaderSize is returned by [ReadMessage] for a header above the limit.
var ErrHeaderSize = errors.New("header too large")

// ReadMessage takes a message apart for tools that read one from a file. Lines
// may end in CRLF or LF alone; fields and body come out with CRLF. The body is
// read from r as the caller reads it.
//
// An mbox "From " line at the top is passed over. The header ends at an empty
// line, at the end of the text, or at the first line that is neither a field nor the
// continuation of one: that line is then the first of the body, as MTAs have it.
//
// maxHeader bounds the octets of the header; above it the error wraps
// [ErrHeaderSize]. Errors of r are returned as they are.
func ReadMessage(r io.Reader, maxHeader int) (fields []Field, body io.Reader, err error) {
	br := bufio.NewReaderSize(r, 16<<10)
	var raw []byte
	var starts []int // of the fields in raw
	for n := 0; ; n++ {
		start := len(raw)
		if raw, err = appendLine(raw, br, maxHeader); err != nil && err != io.EOF {
			return nil, nil, err
		}
		line := raw[start:]
		switch {
		case len(line) == 0 || string(line) == "\r\n":
			return splitFields(raw[:start], starts), &crlfReader{r: br}, nil
		case isBlank(line[0]) && len(starts) > 0:
		case colonOf(line) > 0: // "From : a@b.example" is a field
			starts = append(starts, start)
		case n == 0 && bytes.HasPrefix(line, []byte("From ")):
			raw = raw[:start]
		default:
			return splitFields(raw[:start], starts), io.MultiReader(bytes.NewReader(line), &crlfReader{r: br}), nil
		}
		if err == io.EOF {
			return splitFields(raw, starts), &crlfReader{r: br}, nil
		}
	}
}

// appendLine appends the next line to dst, ended by CRLF however it ended; the
// last line of a text without one has none. At the end it returns io.EOF.
func appendLine(dst []byte, br *bufio.Reader, limit int) ([]byte, error) {
	start := len(dst)
	for {
		part, err := br.ReadSlice('\n')
		dst = append(dst, part...)
		if len(dst) > limit {
			return dst, fmt.Errorf("%w: more than %d octets", ErrHeaderSize, limit)
		}
		switch err {
		case nil:
			line := bytes.TrimSuffix(dst[start:len(dst)-1], []byte("\r"))
			return append(dst[:start+len(line)], "\r\n"...), nil
		case bufio.ErrBufferFull:
		default:
			return dst, err
		}
	}
}

// colonOf returns the index of the colon of a header field, or -1 for a line
// that begins none (RFC 5322 §2.2, §4.5: blanks before the colon are allowed).
func colonOf(line []byte) int {
	colon := bytes.IndexByte(line, ':')
	if colon < 0 || !isFieldName(string(bytes.TrimRight(line[:colon], " \t"))) {
		return -1
	}
	return colon
}

// splitFields cuts the header at starts.
func splitFields(raw []byte, starts []int) []Field {
	text := string(raw)
	fields := make([]Field, len(starts))
	for i, start := range starts {
		end := len(text)
		if i+1 < len(starts) {
			end = starts[i+1]
		}
		field := text[start:end]
		if n := len(field); n >= 2 && field[n-2:] == "\r\n" {
			field = field[:n-2]
		}
		colon := colonOf(raw[start:end])
		fields[i] = Field{Name: field[:colon], Value: field[colon+1:]}
	}
	return fields
}

// crlfReader turns every LF without a CR before it into CRLF.
type crlfReader struct {
	r    *bufio.Reader
	cr   bool // the octet before was a CR
	owed bool // an LF is to follow the CR that was put in
}

func (c *crlfReader) Read(p []byte) (int, error) {
	n := 0
	for n < len(p) {
		if c.owed {
			p[n] = '\n'
			n++
			c.owed = false
			continue
		}
		if n > 0 && c.r.Buffered() == 0 {
			break // do not wait while there is something to hand out
		}
		if _, err := c.r.Peek(1); err != nil {
			return n, err
		}
		chunk, _ := c.r.Peek(min(c.r.Buffered(), len(p)-n))
		used := len(chunk)
		if lf := bytes.IndexByte(chunk, '\n'); lf >= 0 {
			used = lf
		}
		n += copy(p[n:], chunk[:used])
		if used > 0 {
			c.cr = chunk[used-1] == '\r'
		}
		if used < len(chunk) { // at an LF
			p[n] = '\n'
			if !c.cr {
				p[n], c.owed = '\r', true
			}
			n++
			used++
			c.cr = false
		}
		c.r.Discard(used)
	}
	return n, nil
}
