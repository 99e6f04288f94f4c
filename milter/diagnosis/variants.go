package diagnosis

import (
	"bytes"
	"io"
	"mime/quotedprintable"
)

// variant is a change that relays make to bodies, and how it is undone.
type variant struct {
	code Code
	undo func(body []byte) []byte // nil: nothing
}

// variants are tried in this order.
var variants = []variant{
	{},
	{FromQuoted, func(b []byte) []byte { return eachLine(b, unquoteFrom) }},
	{DotsDoubled, func(b []byte) []byte { return eachLine(b, singleDot) }},
	{LinesBroken, joinLines},
	{Blanks, func(b []byte) []byte { return eachLine(b, trimBlanks) }},
	{Recoded, decodeParts},
	{BareCR, endAtCR},
	{CRPutIn, dropCR},
}

// proof says where the change first shows.
func (v variant) proof(body, before []byte) Proof {
	n := 0
	for n < len(body) && n < len(before) && body[n] == before[n] {
		n++
	}
	line := 1 + bytes.Count(body[:n], []byte("\n"))
	start := bytes.LastIndexByte(body[:n], '\n') + 1
	text := body[start:]
	if end := bytes.IndexByte(text, '\n'); end >= 0 {
		text = text[:end]
	}
	return Proof{Code: v.code, First: line, Last: line, Text: clip(string(bytes.TrimSuffix(text, []byte("\r"))))}
}

// eachLine changes the lines of a body, each given without its CRLF.
func eachLine(body []byte, change func(line []byte) []byte) []byte {
	out := make([]byte, 0, len(body))
	for len(body) > 0 {
		line, rest, ended := bytes.Cut(body, []byte("\r\n"))
		out = append(out, change(line)...)
		if ended {
			out = append(out, "\r\n"...)
		}
		body = rest
	}
	return out
}

// unquoteFrom undoes what mailbox files do to lines that begin with "From ".
func unquoteFrom(line []byte) []byte {
	if bytes.HasPrefix(line, []byte(">From ")) {
		return line[1:]
	}
	return line
}

// singleDot undoes a dot-stuffing (RFC 5321 §4.5.2) too many.
func singleDot(line []byte) []byte {
	if bytes.HasPrefix(line, []byte("..")) {
		return line[1:]
	}
	return line
}

func trimBlanks(line []byte) []byte { return bytes.TrimRight(line, " \t") }

// longLine is from where on a line may have been broken: MTAs do so at 998 octets or
// somewhat below (RFC 5321 §4.5.3.1.6).
const longLine = 900

// joinLines takes out the line ends, and the blank after each, by which long lines were
// broken.
func joinLines(body []byte) []byte {
	out := make([]byte, 0, len(body))
	for len(body) > 0 {
		line, rest, ended := bytes.Cut(body, []byte("\r\n"))
		out = append(out, line...)
		switch {
		case ended && len(line) >= longLine && len(rest) > 0 && rest[0] == ' ':
			rest = rest[1:]
		case ended:
			out = append(out, "\r\n"...)
		}
		body = rest
	}
	return out
}

// endAtCR makes a line end of each CR that has no LF.
func endAtCR(body []byte) []byte {
	out := make([]byte, 0, len(body))
	for i, o := range body {
		out = append(out, o)
		if o == '\r' && (i+1 == len(body) || body[i+1] != '\n') {
			out = append(out, '\n')
		}
	}
	return out
}

// dropCR takes out each CR that has no LF.
func dropCR(body []byte) []byte {
	out := make([]byte, 0, len(body))
	for i, o := range body {
		if o != '\r' || i+1 < len(body) && body[i+1] == '\n' {
			out = append(out, o)
		}
	}
	return out
}

// encodingField is the field of a MIME part that says how it is encoded.
const encodingField = "content-transfer-encoding:"

// decodeParts undoes the conversion of 8-bit text to quoted-printable (RFC 6152 §3): of
// a body that is quoted-printable as a whole, or of each MIME part that says so, whose
// field then says 8bit.
func decodeParts(body []byte) []byte {
	if !bytes.Contains(bytes.ToLower(body[:min(len(body), 1<<20)]), []byte("\n"+encodingField)) {
		return decodeQP(body)
	}
	var out, part []byte
	inHeader, decode := false, false
	flush := func() {
		if decode {
			part = decodeQP(part)
		}
		out = append(out, part...)
		part, decode = nil, false
	}
	for len(body) > 0 {
		end := bytes.IndexByte(body, '\n') + 1
		if end == 0 {
			end = len(body)
		}
		line := body[:end]
		body = body[end:]
		switch {
		case bytes.HasPrefix(line, []byte("--")) && len(line) <= 74: // RFC 2046 §5.1.1
			// The CRLF before a boundary belongs to it.
			if tail, ok := bytes.CutSuffix(part, []byte("\r\n")); ok && decode {
				part = tail
				flush()
				out = append(out, "\r\n"...)
			}
			flush()
			inHeader = true
			out = append(out, line...)
		case inHeader && len(bytes.TrimSpace(line)) == 0:
			inHeader = false
			out = append(out, line...)
		case inHeader:
			name, value, _ := bytes.Cut(line, []byte(":"))
			if bytes.EqualFold(append(name[:len(name):len(name)], ':'), []byte(encodingField)) && bytes.EqualFold(bytes.TrimSpace(value), []byte("quoted-printable")) {
				decode = true
				line = append(append(name[:len(name):len(name)], ": 8bit"...), "\r\n"...)
			}
			out = append(out, line...)
		default:
			part = append(part, line...)
		}
	}
	flush()
	return out
}

// decodeQP decodes quoted-printable text; what is none stays.
func decodeQP(text []byte) []byte {
	out, err := io.ReadAll(quotedprintable.NewReader(bytes.NewReader(text)))
	if err != nil {
		return text
	}
	return out
}
