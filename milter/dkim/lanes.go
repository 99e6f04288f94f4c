package dkim

import "encoding/binary"

// Bodies are searched eight octets at a time, as the lanes of a 64-bit word
// with the first octet in the lowest lane. It costs the same for lines of any
// length, where bytes.IndexByte and its like pay by the line. What is marked in
// a lane is its highest bit; the other bits mean nothing.
const (
	laneBits    = 8
	lanesInWord = 8
	lowBits     = 0x0101010101010101
	markBits    = 0x8080808080808080
	otherBits   = ^uint64(markBits)
)

// lanes reads the first eight octets of p.
func lanes(p []byte) uint64 { return binary.LittleEndian.Uint64(p) }

// aboveSpace marks the lanes that hold neither SP nor a control character below
// it. The sum sets the mark of each lane whose other bits are above 0x20, and
// carries into no other lane.
func aboveSpace(w uint64) uint64 { return w&otherBits + (0x80-0x21)*lowBits | w }

// otherThan marks the lanes that do not hold o.
func otherThan(w uint64, o byte) uint64 {
	w ^= lowBits * uint64(o) // o becomes 0
	return w&otherBits + otherBits | w
}

// ahead marks the lanes before those that are marked in w and, as the lanes
// that follow it, in next.
func ahead(w, next uint64) uint64 { return w>>laneBits | next<<((lanesInWord-1)*laneBits) }
