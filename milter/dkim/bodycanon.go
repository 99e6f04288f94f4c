package dkim

import (
	"crypto/sha256"
	"hash"
	"math/bits"
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

	out     gather // to digest
	sha     hash.Hash
	length  int64       // octets in sha
	waiting []*BodyHash // without a sum yet, the lowest limit first
	final   []*BodyHash
}

func newBodyCanon(canon Canonicalization) *bodyCanon {
	c := &bodyCanon{canon: canon, sha: sha256.New()}
	c.out.to = c.digest
	return c
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
	if c.canon == Relaxed {
		c.writeRelaxed(p)
	} else {
		c.writeSimple(p)
	}
	if !c.done() && c.waiting[0].limit-c.length < int64(c.out.n) {
		c.out.flush() // a limit was passed: let Done know
	}
}

// writeSimple passes everything but the CRLFs at the end (RFC 6376 §3.4.3).
func (c *bodyCanon) writeSimple(p []byte) {
	if c.cr && p[0] == '\n' {
		c.cr = false
		c.crlfs++
		p = p[1:]
	} else if c.cr {
		c.settle()
	}
	end := len(p)
	cr := end > 0 && p[end-1] == '\r'
	if cr {
		end--
	}
	crlfs := int64(0)
	for end >= 2 && p[end-2] == '\r' && p[end-1] == '\n' {
		end -= 2
		crlfs++
	}
	if end > 0 {
		c.settle()
		c.out.add(p[:end])
	}
	c.crlfs += crlfs
	c.cr = cr
}

// writeRelaxed reduces blanks (RFC 6376 §3.4.4). What is canonical as it stands
// goes on in one piece, however many lines it has; the rest octet by octet.
func (c *bodyCanon) writeRelaxed(p []byte) {
	for len(p) > 0 {
		n := 0
		if c.crlfs == 0 && !c.blank && !c.cr {
			n = settled(p)
			c.out.add(p[:n])
			p = p[n:]
		}
		least := 1
		if n < lanesInWord {
			least = 64 // the search does not pay here
		}
		p = c.reduce(p, least)
	}
}

// settled returns how many octets at the start of p are canonical whatever
// follows them, where nothing is pending before them. It leaves to reduce the
// last ones, and may leave those about other control characters than blanks.
//
// It searches for an HT, and for an SP or LF with a blank or an end of line
// after it. A CR has its LF for that.
func settled(p []byte) int {
	if len(p) < lanesInWord {
		return 0
	}
	rest := p
	w := lanes(rest)
	text := aboveSpace(w)
	for len(rest) >= 2*lanesInWord {
		w2 := lanes(rest[lanesInWord:])
		text2 := aboveSpace(w2)
		stays := otherThan(w, '\t') & (text | ahead(text, text2) | ^otherThan(w, '\r'))
		if found := ^stays & markBits; found != 0 {
			rest = rest[bits.TrailingZeros64(found)/laneBits:]
			break
		}
		rest, w, text = rest[lanesInWord:], w2, text2
	}
	n := len(p) - len(rest)
	if n > 0 && p[n-1] == '\r' {
		n-- // half of the CRLF that was found, or of one that is not known yet
	}
	return n
}

// reduce passes p octet by octet, at least so many and until nothing is
// pending, and returns the rest.
func (c *bodyCanon) reduce(p []byte, least int) []byte {
	for i, o := range p {
		if c.cr {
			if o == '\n' {
				c.cr, c.blank = false, false
				c.crlfs++
				continue
			}
			c.settle()
		}
		switch o {
		case ' ', '\t':
			c.blank = true
		case '\r':
			c.cr = true
		default:
			if c.crlfs > 0 || c.blank {
				c.settle()
			}
			c.out.addByte(o)
			if i >= least {
				return p[i+1:]
			}
		}
	}
	return nil
}

// settle passes all that is pending: what follows it is text.
func (c *bodyCanon) settle() {
	for c.crlfs > 0 && !c.done() {
		n := min(c.crlfs, int64(len(crlfs)/2))
		c.out.add(crlfs[:2*n])
		c.crlfs -= n
	}
	c.crlfs = 0
	if c.blank {
		c.blank = false
		c.out.addByte(' ')
	}
	if c.cr {
		c.cr = false
		c.out.addByte('\r')
	}
}

// close ends the body. Simple: exactly one CRLF, after nothing too. Relaxed:
// one unless nothing is left (RFC 6376 §3.4.3, §3.4.4).
func (c *bodyCanon) close() {
	if c.cr {
		c.settle()
	}
	c.crlfs, c.blank = 0, false
	if c.canon == Simple || c.length > 0 || c.out.n > 0 {
		c.out.add(crlf)
	}
	c.out.flush()
	for _, h := range c.waiting {
		h.sum, h.length = c.sha.Sum(nil), c.length
	}
	c.final = append(c.final, c.waiting...)
	c.waiting = nil
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
