package dkim

import "bytes"

// FixCRLF makes the body count as if every CR and every LF that stands alone
// were a CRLF, which is what an MTA behind us may make of it. RFC 6376 §5.3 has
// signers do so before they sign. It is for signing and verifying alike; call
// it before the first Write.
func (b *Body) FixCRLF() { b.fix = true }

var crlf = []byte("\r\n")

// writeFixed writes p with its ends of line mended. A CR that ends p waits for
// what follows.
func (b *Body) writeFixed(p []byte) {
	if b.cr {
		b.cr = false
		b.write(crlf)
		if p[0] == '\n' {
			p = p[1:]
		}
	}
	for len(p) > 0 {
		n := soundLength(p)
		if n > 0 {
			b.write(p[:n])
			p = p[n:]
		}
		switch {
		case len(p) == 0:
		case len(p) == 1 && p[0] == '\r':
			b.cr = true
			return
		default:
			b.write(crlf)
			p = p[1:]
		}
	}
}

// soundLength returns the number of octets before the first CR or LF of p that
// has no other half in p.
func soundLength(p []byte) int {
	for i := 0; ; i += 2 {
		n := bytes.IndexAny(p[i:], "\r\n")
		if n < 0 {
			return len(p)
		}
		if i += n; !bytes.HasPrefix(p[i:], crlf) {
			return i
		}
	}
}
