package dkim

import "strings"

// usualField is how many octets a header field hardly ever exceeds: room for one.
const usualField = 1 << 10

// AppendHeader appends the canonical form of f, CRLF included, to dst
// (RFC 6376 §3.4.1, §3.4.2).
//
// Simple takes the field as it stands. Relaxed writes the name in lower case,
// takes out folds and the blanks about the colon and at the end, and makes each
// run of blanks one SP. Blanks are SP and HT alone, a fold is a CRLF that a
// blank follows; all other octets stay as they are.
func (c Canonicalization) AppendHeader(dst []byte, f Field) []byte {
	if c != Relaxed {
		dst = append(dst, f.Name...)
		dst = append(dst, ':')
		dst = append(dst, f.Value...)
		return append(dst, "\r\n"...)
	}
	dst = appendLower(dst, trimName(f.Name))
	dst = append(dst, ':')
	v, begun := f.Value, false
	for i := skipFWS(v, 0); i < len(v); i = skipFWS(v, i) {
		if begun {
			dst = append(dst, ' ')
		}
		j := i
		for j < len(v) && !isBlank(v[j]) && !isFold(v, j) {
			j++
		}
		dst = append(dst, v[i:j]...)
		i, begun = j, true
	}
	return append(dst, "\r\n"...)
}

// skipFWS returns the index of the first octet of s from i on that is neither
// a blank nor part of a fold.
func skipFWS(s string, i int) int {
	for i < len(s) && (isBlank(s[i]) || isFold(s, i)) {
		if s[i] == '\r' {
			i += 2
		}
		i++
	}
	return i
}

func isFold(s string, i int) bool {
	return s[i] == '\r' && i+2 < len(s) && s[i+1] == '\n' && isBlank(s[i+2])
}

func isBlank(c byte) bool { return c == ' ' || c == '\t' }

// trimName removes the blanks before the colon (RFC 5322 §4.5.8).
func trimName(name string) string { return strings.TrimRight(name, " \t") }

func appendLower(dst []byte, s string) []byte {
	for i := 0; i < len(s); i++ {
		dst = append(dst, lower(s[i]))
	}
	return dst
}

// headerIndex finds the instances of header fields by name, from the bottom of
// the header up, as h= wants them (RFC 6376 §5.4.2).
type headerIndex struct {
	slots map[string]int // by name in lower case: where in last
	last  []int          // the lowest instance of each name
	prev  []int          // for each field the next instance above it, or -1
	next  []int          // the cursor: what pick returns next, for each name
}

// newHeaderIndex reads fields, which stand in the order of the message.
func newHeaderIndex(fields []Field) *headerIndex {
	x := &headerIndex{
		slots: make(map[string]int, len(fields)),
		last:  make([]int, 0, len(fields)),
		prev:  make([]int, len(fields)),
	}
	// All names are parts of one string: one allocation in place of many.
	octets := 0
	for _, f := range fields {
		octets += len(f.Name)
	}
	lowered := make([]byte, 0, octets)
	for _, f := range fields {
		lowered = appendLower(lowered, trimName(f.Name))
	}
	rest := string(lowered)
	for i, f := range fields {
		var name string
		n := len(trimName(f.Name))
		name, rest = rest[:n], rest[n:]
		slot, known := x.slots[name]
		if !known {
			slot = len(x.last)
			x.slots[name] = slot
			x.last = append(x.last, -1)
		}
		x.prev[i] = x.last[slot]
		x.last[slot] = i
	}
	return x.picker()
}

// picker returns an index of the same fields whose pick starts anew: each
// signature takes its own.
func (x *headerIndex) picker() *headerIndex {
	fresh := *x
	fresh.next = append([]int(nil), x.last...)
	return &fresh
}

// pickOther is pick for the signature in field own: h= may name other
// DKIM-Signature fields, and never its own (RFC 6376 §3.5).
func (x *headerIndex) pickOther(name string, own int) (i int, ok bool) {
	if i, ok = x.pick(name); ok && i == own {
		i, ok = x.pick(name)
	}
	return i, ok
}

// pick returns the next instance of name, the lowest first, or -1 and false
// when there is none left. Letter case and blanks before the colon do not count.
func (x *headerIndex) pick(name string) (i int, ok bool) {
	var buf [64]byte
	slot, known := x.slots[string(appendLower(buf[:0], trimName(name)))]
	if !known || x.next[slot] < 0 {
		return -1, false
	}
	i = x.next[slot]
	x.next[slot] = x.prev[i]
	return i, true
}
