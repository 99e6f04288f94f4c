package dkim

import (
	"bytes"
	"hash"
	"slices"
)

// bodyCanon canonicalizes the body in one way and hashes the outcome.
//
// What cannot be decided yet is held as three marks, in the order in which
// they stand in the body: ends of lines that may turn out to be the end of the
// body, blanks that may turn out to be the end of a line, and a CR that may
// turn out to be half of a CRLF.
type bodyCanon struct {
	canon Canonicalization

	crlfs int64 // pending CRLFs
	blank bool  // pending blanks after them (relaxed)
	cr    bool  // pending CR after those

	sha     hash.Hash
	length  int64       // octets in sha
	waiting []*BodyHash // without a sum yet, the lowest limit first
	final   []*BodyHash
	out     [4096]byte // octets on their way to sha
	n       int        // how many there are in out
}

func (c *bodyCanon) hash(limit int64, late bool) *BodyHash {
	same := func(h *BodyHash) bool { return h.limit == limit }
	for _, list := range [][]*BodyHash{c.waiting, c.final} {
		if i := slices.IndexFunc(list, same); i >= 0 {
			return list[i]
		}
	}
	h := &BodyHash{limit: limit}
	if late {
		c.final = append(c.final, h)
		return h
	}
	i := slices.IndexFunc(c.waiting, func(o *BodyHash) bool { return o.limit > limit })
	if i < 0 {
		i = len(c.waiting)
	}
	c.waiting = slices.Insert(c.waiting, i, h)
	return h
}

func (c *bodyCanon) done() bool { return len(c.waiting) == 0 }

func (c *bodyCanon) write(p []byte) {
	if c.cr && p[0] == '\n' {
		c.cr, c.blank = false, false
		c.crlfs++
		p = p[1:]
	} else if c.cr {
		c.bareCR()
	}
	if c.canon == Relaxed {
		c.writeRelaxed(p)
	} else {
		c.writeSimple(p)
	}
	if !c.done() && c.waiting[0].limit-c.length < int64(c.n) {
		c.flush() // a limit was passed: let Done know
	}
}

// writeSimple passes everything but the CRLFs at the end (RFC 6376 §3.4.3).
func (c *bodyCanon) writeSimple(p []byte) {
	end := len(p)
	if end > 0 && p[end-1] == '\r' {
		c.cr = true
		end--
	}
	crlfs := int64(0)
	for end >= 2 && p[end-2] == '\r' && p[end-1] == '\n' {
		end -= 2
		crlfs++
	}
	if end > 0 {
		c.text(p[:end])
	}
	c.crlfs += crlfs
}

// writeRelaxed goes line by line (RFC 6376 §3.4.4). Lines that are canonical
// as they stand, and the CRLFs between them, go out as one run.
func (c *bodyCanon) writeRelaxed(p []byte) {
	start, end := 0, 0 // the run, without its last CRLF; empty: none
	crlfs := int64(0)  // CRLFs since its end
	flush := func() {
		if end > start {
			c.text(p[start:end])
		}
		c.crlfs += crlfs
		start, end, crlfs = 0, 0, 0
	}
	for i := 0; i < len(p); {
		n := lineLength(p[i:])
		switch line := p[i : i+n]; {
		case n == 0 && !c.blank:
		case !c.blank && isCanonicalLine(line):
			if end == start {
				flush()
				start = i
			}
			end, crlfs = i+n, 0
		default:
			flush()
			c.reduce(line)
		}
		i += n
		switch {
		case i == len(p):
		case i+1 == len(p): // a CR
			c.cr = true
			i++
		default:
			c.blank = false
			crlfs++
			i += 2
		}
	}
	flush()
}

// lineLength returns the number of octets before the first CRLF of p, or
// before the CR that ends p, or that p has. A CR elsewhere is text.
func lineLength(p []byte) int {
	for i := 0; i < len(p); i++ {
		if p[i] != '\r' {
			n := bytes.IndexByte(p[i:], '\r')
			if n < 0 {
				return len(p)
			}
			i += n
		}
		if i+1 == len(p) || p[i+1] == '\n' {
			return i
		}
	}
	return len(p)
}

// isCanonicalLine reports whether nothing is to be reduced in line.
func isCanonicalLine(line []byte) bool {
	if len(line) < 16 { // too short for the vector instructions below to pay
		return textLength(line) == len(line)
	}
	return line[len(line)-1] != ' ' && bytes.IndexByte(line, '\t') < 0 && !bytes.Contains(line, []byte("  "))
}

// textLength returns the number of octets at the start of line that stay as
// they are: up to the first blank that is no SP between two other octets.
func textLength(line []byte) int {
	for i, o := range line {
		if o == '\t' || o == ' ' && (i+1 == len(line) || isBlank(line[i+1])) {
			return i
		}
	}
	return len(line)
}

// reduce passes a line, or a part of one, with every run of blanks turned into
// one SP; a run at its end waits for what follows.
func (c *bodyCanon) reduce(line []byte) {
	for len(line) > 0 {
		n := 0
		for n < len(line) && isBlank(line[n]) {
			n++
		}
		c.blank = c.blank || n > 0
		line = line[n:]
		if n = textLength(line); n > 0 {
			c.text(line[:n])
		}
		line = line[n:]
	}
}

// text passes octets that stay, after all that was pending before them.
func (c *bodyCanon) text(p []byte) {
	for ; c.crlfs > 0 && !c.done(); c.crlfs-- {
		c.emitByte('\r')
		c.emitByte('\n')
	}
	c.crlfs = 0
	if c.blank {
		c.blank = false
		c.emitByte(' ')
	}
	c.emit(p)
}

// bareCR passes a CR that turned out to be no half of a CRLF: it is text.
func (c *bodyCanon) bareCR() {
	c.cr = false
	c.text(nil)
	c.emitByte('\r')
}

// close ends the body. Simple: exactly one CRLF, after nothing too. Relaxed:
// one unless nothing is left (RFC 6376 §3.4.3, §3.4.4).
func (c *bodyCanon) close() {
	if c.cr {
		c.bareCR()
	}
	c.crlfs, c.blank = 0, false
	if c.canon == Simple || c.length > 0 || c.n > 0 {
		c.emitByte('\r')
		c.emitByte('\n')
	}
	c.flush()
	for _, h := range c.waiting {
		h.sum, h.length = c.sha.Sum(nil), c.length
	}
	c.final = append(c.final, c.waiting...)
	c.waiting = nil
}

func (c *bodyCanon) emitByte(o byte) {
	if c.n == len(c.out) {
		c.flush()
	}
	c.out[c.n] = o
	c.n++
}

// emit gathers small pieces and lets large ones go on as they are.
func (c *bodyCanon) emit(p []byte) {
	if len(p) > len(c.out)-c.n {
		c.flush()
		if len(p) >= len(c.out)/2 {
			c.digest(p)
			return
		}
	}
	c.n += copy(c.out[c.n:], p)
}

func (c *bodyCanon) flush() {
	c.digest(c.out[:c.n])
	c.n = 0
}

// digest hashes p, and gives every hash whose limit lies inside its sum.
func (c *bodyCanon) digest(p []byte) {
	for len(c.waiting) > 0 && c.waiting[0].limit-c.length < int64(len(p)) {
		h := c.waiting[0]
		n := h.limit - c.length
		c.sha.Write(p[:n])
		c.length += n
		p = p[n:]
		h.sum, h.length, h.exceeded = c.sha.Sum(nil), c.length, true
		c.final = append(c.final, h)
		c.waiting = c.waiting[1:]
	}
	if len(c.waiting) > 0 {
		c.sha.Write(p)
		c.length += int64(len(p))
	}
}
