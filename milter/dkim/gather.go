package dkim

// gather makes large pieces of small ones: a hash or a canonicalization that is
// called for every few octets costs more than what it does to them.
type gather struct {
	to  func([]byte)
	n   int // octets in buf
	buf [4096]byte
}

// add passes p on, now or at the next flush. Large pieces go as they are.
func (g *gather) add(p []byte) {
	if len(p) > len(g.buf)-g.n {
		g.flush()
		if len(p) >= len(g.buf)/2 {
			g.to(p)
			return
		}
	}
	g.n += copy(g.buf[g.n:], p)
}

func (g *gather) addByte(o byte) {
	if g.n == len(g.buf) {
		g.flush()
	}
	g.buf[g.n] = o
	g.n++
}

// flush passes on what is left. It stays out of line so that addByte does not.
//
//go:noinline
func (g *gather) flush() {
	if g.n > 0 {
		g.to(g.buf[:g.n])
		g.n = 0
	}
}
