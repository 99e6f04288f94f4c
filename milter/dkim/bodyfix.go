package dkim

import "strings"

// FixCRLF makes the body count as if every CR and every LF that stands alone
// were a CRLF, which is what an MTA behind us may make of it. RFC 6376 §5.3 has
// signers do so before they sign. It is for signing and verifying alike; call
// it before the first Write.
func (b *Body) FixCRLF() { b.fixed = &gather{to: b.write} }

var (
	crlfs = []byte(strings.Repeat("\r\n", 64))
	crlf  = crlfs[:2]
)

// writeFixed writes p with its ends of line mended. A CR that ends p waits for
// what follows.
func (b *Body) writeFixed(p []byte) {
	if b.cr {
		b.cr = false
		b.fixed.add(crlf)
		if p[0] == '\n' {
			p = p[1:]
		}
	}
	for len(p) > 0 {
		n := soundLength(p)
		b.fixed.add(p[:n])
		p = p[n:]
		switch {
		case len(p) == 0:
		case len(p) == 1 && p[0] == '\r':
			b.cr = true
			p = nil
		default:
			b.fixed.add(crlf)
			p = p[1:]
		}
	}
	b.fixed.flush() // let Done know
}

// soundLength returns the number of octets before the first CR or LF of p that
// has no other half in p.
func soundLength(p []byte) int {
	for i := soundWords(p); i < len(p); i++ {
		switch {
		case p[i] == '\r' && (i+1 == len(p) || p[i+1] != '\n'):
			return i
		case p[i] == '\n' && (i == 0 || p[i-1] != '\r'):
			return i
		}
	}
	return len(p)
}

// soundWords returns some part of soundLength, eight octets at a time: each
// lane has either both a CR and an LF after it, or neither.
func soundWords(p []byte) int {
	if len(p) < lanesInWord || p[0] == '\n' {
		return 0
	}
	rest := p
	w := lanes(rest)
	noLF := otherThan(w, '\n')
	for len(rest) >= 2*lanesInWord {
		w2 := lanes(rest[lanesInWord:])
		noLF2 := otherThan(w2, '\n')
		if (otherThan(w, '\r')^ahead(noLF, noLF2))&markBits != 0 {
			break
		}
		rest, w, noLF = rest[lanesInWord:], w2, noLF2
	}
	return len(p) - len(rest)
}
