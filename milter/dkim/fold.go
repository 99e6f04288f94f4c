package dkim

import (
	"bytes"
	"encoding/base64"
	"strings"
)

// maxLine is the longest line of a DKIM-Signature field in octets, without its
// CRLF, unless a single word is longer (RFC 5322 §2.1.1 says 78).
const maxLine = 76

// folder writes the value of a DKIM-Signature field, and folds it between
// words that belong on one line.
type folder struct {
	buf  []byte
	room int // octets left on the line
}

// newFolder begins a value on a line that holds used octets already.
func newFolder(used int) *folder {
	return &folder{buf: make([]byte, 0, 1024), room: maxLine - used}
}

// tag begins a tag: s is its name, the "=" and as much of the value as must
// stand beside it.
func (w *folder) tag(s string) {
	if len(s)+1 > w.room {
		w.fold()
	} else {
		w.add(" ")
	}
	w.add(s)
}

// word continues a value.
func (w *folder) word(s string) {
	if len(s) > w.room {
		w.fold()
	}
	w.add(s)
}

// list writes a tag whose value is a list, with colons between that it folds
// after. A list that fits on one line stands on one.
func (w *folder) list(name string, items []string) {
	lead := name + "="
	size := len(" ") + len(lead)
	for _, item := range items {
		size += len(item) + len(":")
	}
	if size > w.room {
		w.fold()
	} else {
		w.add(" ")
	}
	for i, item := range items {
		end := ":"
		if i == len(items)-1 {
			end = ";"
		}
		if len(lead)+len(item)+len(end) > w.room {
			w.fold()
		}
		w.add(lead)
		w.add(item)
		w.add(end)
		lead = ""
	}
}

// quoted continues with s in dkim-quoted-printable (RFC 6376 §2.11), where
// white space, and so a fold, may stand between any two octets.
func (w *folder) quoted(s string) {
	quoteOctets(s, w.word)
}

// base64 continues with octets in base64, where a fold may stand anywhere.
func (w *folder) base64(p []byte) {
	for text := base64.StdEncoding.EncodeToString(p); text != ""; {
		if w.room <= 0 {
			w.fold()
		}
		n := min(w.room, len(text))
		w.add(text[:n])
		text = text[n:]
	}
}

// fold begins a new line, unless one has just begun.
func (w *folder) fold() {
	if bytes.HasSuffix(w.buf, []byte("\r\n\t")) {
		return
	}
	w.buf = append(w.buf, "\r\n\t"...)
	w.room = maxLine - 1
}

func (w *folder) add(s string) {
	w.buf = append(w.buf, s...)
	w.room -= len(s)
}

// quotedPrintable returns s in dkim-quoted-printable without any fold.
func quotedPrintable(s string) string {
	var b strings.Builder
	quoteOctets(s, func(octet string) { b.WriteString(octet) })
	return b.String()
}

// quoteOctets passes each octet of s to emit in dkim-quoted-printable (RFC 6376
// §2.11).
//
// "b" is encoded before an encoded octet: verifiers that look for the tag b=
// by its letters find it in "club=20news" too, and at the beginning of a line
// even careful ones do.
func quoteOctets(s string, emit func(octet string)) {
	for i := 0; i < len(s); {
		end, plain := i+1, isPlainOctet(s[i])
		if s[i] == 'b' {
			for end < len(s) && s[end] == 'b' {
				end++
			}
			plain = end == len(s) || isPlainOctet(s[end])
		}
		for ; i < end; i++ {
			if plain {
				emit(s[i : i+1])
			} else {
				const hex = "0123456789ABCDEF"
				emit(string([]byte{'=', hex[s[i]>>4], hex[s[i]&15]}))
			}
		}
	}
}

// isPlainOctet reports whether c stands for itself in dkim-quoted-printable.
// "|" divides the fields in z= (RFC 6376 §3.5), so it is encoded everywhere.
func isPlainOctet(c byte) bool {
	return c > ' ' && c < 0x7f && c != ';' && c != '=' && c != '|'
}
