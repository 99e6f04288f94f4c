package dkim

import (
	"math"
	"slices"
)

// Body canonicalizes and hashes the body of one message for all its signers
// and verifiers in one pass (RFC 6376 §3.4.3, §3.4.4, §3.7). Ask for the hashes
// first, then write the body in pieces of any size, then close.
//
// Each canonicalization runs and is hashed once however many hashes want it:
// a hash with a limit is a snapshot of the running one. Memory is constant.
// A Body is not safe for concurrent use.
type Body struct {
	canons [2]*bodyCanon // by Canonicalization; nil until asked for
	begun  bool
	closed bool
	fixed  *gather // to write, after FixCRLF; else nil
	cr     bool    // with fixed, a CR that may turn out to be half of a CRLF
}

// NewBody returns a Body that nobody has asked for a hash yet.
func NewBody() *Body { return new(Body) }

// Hash asks for the SHA-256 of the body in canonicalization c, of its first
// limit octets, or of the whole when limit is -1. The same arguments give the
// same BodyHash. Asking for a new one after the first Write is a mistake of the
// caller; such a hash never gets a sum, so that nothing signs or passes by it.
func (b *Body) Hash(c Canonicalization, limit int64) *BodyHash {
	if limit < 0 {
		limit = math.MaxInt64
	}
	if c != Relaxed {
		c = Simple
	}
	if b.canons[c] == nil {
		b.canons[c] = newBodyCanon(c)
	}
	return b.canons[c].hash(limit, b.begun || b.closed)
}

// Write takes the next octets of the body, lines ended by CRLF. It keeps no
// reference to p and never fails. Octets after Close are ignored.
func (b *Body) Write(p []byte) (int, error) {
	if b.closed || len(p) == 0 {
		return len(p), nil
	}
	b.begun = true
	if b.fixed != nil {
		b.writeFixed(p)
	} else {
		b.write(p)
	}
	return len(p), nil
}

func (b *Body) write(p []byte) {
	for _, c := range b.canons {
		if c != nil && !c.done() {
			c.write(p)
		}
	}
}

// Close marks the end of the body: all sums are final.
func (b *Body) Close() {
	if b.closed {
		return
	}
	b.closed = true
	if b.cr {
		b.write(crlf)
	}
	for _, c := range b.canons {
		if c != nil && !c.done() {
			c.close()
		}
	}
}

// Done reports whether no hash needs further octets: the body is closed, every
// hash has a limit that was passed, or nobody asked for one.
func (b *Body) Done() bool {
	if b.closed {
		return true
	}
	for _, c := range b.canons {
		if c != nil && !c.done() {
			return false
		}
	}
	return true
}

// BodyHash is one hash of a [Body]. Its methods give their final answer once
// the Body is closed or done.
type BodyHash struct {
	limit    int64
	length   int64
	sum      []byte
	exceeded bool
}

// Sum returns the SHA-256, or nil while the body is incomplete.
func (h *BodyHash) Sum() []byte { return slices.Clone(h.sum) }

// Length returns the number of canonical octets that were hashed, which is the
// value of l= (RFC 6376 §3.5).
func (h *BodyHash) Length() int64 { return h.length }

// Exceeded reports whether the canonical body is longer than the limit: at
// least one octet of it is not covered by the hash.
func (h *BodyHash) Exceeded() bool { return h.exceeded }
