package dkim

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"time"
)

// check is the verification of one signature.
type check struct {
	sig    *signature
	hash   *BodyHash
	whole  *BodyHash // of the whole body, where its length is asked for; else nil
	lookup *lookup
	result Result // its Status is empty until it is settled
}

// newCheck reads the signature in f, the field at index i. The check is
// settled if the signature cannot pass whatever its key and the body are.
func newCheck(f Field, i int, o VerifyOptions) *check {
	s, err := parseSignature(f.Value)
	c := &check{sig: s, result: resultOf(s, i)}
	switch {
	case err != nil:
		c.result.settle(PermError, err)
	case !s.Expiration.IsZero() && o.Now.After(s.Expiration.Add(o.ClockDrift)):
		c.result.settle(PermError, fmt.Errorf("%w on %s", ErrExpired, timeText(s.Expiration)))
	case !s.Time.IsZero() && s.Time.After(o.Now.Add(o.ClockDrift)):
		c.result.settle(PermError, fmt.Errorf("%w: %s", ErrFuture, timeText(s.Time)))
	case s.BodyLength >= 0 && o.BodyLength == BodyLengthIgnore:
		c.result.settle(Neutral, ErrBodyLengthRefused)
	case s.BodyLength >= 0 && o.BodyLength == BodyLengthFail:
		c.result.settle(Fail, ErrBodyLengthRefused)
	}
	return c
}

func resultOf(s *signature, field int) Result {
	return Result{
		Domain:     s.Domain,
		Selector:   s.Selector,
		AUID:       s.AUID,
		Algorithm:  s.Algorithm,
		Signature:  s.Text,
		Header:     s.Header,
		Body:       s.Body,
		Headers:    s.Headers,
		Time:       s.Time,
		Expiration: s.Expiration,
		BodyLength: s.BodyLength,
		Field:      field,
	}
}

func (c *check) settled() bool { return c.result.Status != "" }

// conclude settles the check: RFC 6376 §6.1.2 for the key, §6.1.3 for the
// body, which is cheap to compare, then for the header.
func (c *check) conclude(ctx context.Context, fields []Field, index *headerIndex, must []present, o VerifyOptions) {
	err := c.lookup.wait(ctx)
	if !errors.Is(err, ErrKeyUnavailable) {
		c.result.Authentic = c.lookup.authentic
	}
	var usable []*KeyRecord
	if err == nil {
		usable, err = c.usableKeys(o)
	}
	if err != nil {
		c.result.settle(keyStatus(err), err)
		return
	}
	c.noteKey(usable[0])
	if !c.bodyMatches() {
		return
	}
	digest := c.headerDigest(fields, index)
	for _, k := range usable {
		if verifyDigest(k.Public, digest, c.sig.Data) {
			c.noteKey(k)
			c.pass(must, o)
			return
		}
	}
	c.result.settle(Fail, ErrSignature)
}

// usableKeys returns the records that may be used for this signature; if there
// is none, it says why the first may not.
func (c *check) usableKeys(o VerifyOptions) ([]*KeyRecord, error) {
	var usable []*KeyRecord
	for _, k := range c.lookup.candidates() {
		if k.err == nil && c.keyRefusal(k.record, o) == nil {
			usable = append(usable, k.record)
		}
	}
	if usable != nil {
		return usable, nil
	}
	first := c.lookup.candidates()[0]
	if first.err != nil {
		return nil, first.err
	}
	c.noteKey(first.record)
	return nil, c.keyRefusal(first.record, o)
}

// keyRefusal says why a key must not be used for this signature. The size is
// bounded before anything is computed with the key.
func (c *check) keyRefusal(k *KeyRecord, o VerifyOptions) error {
	if err := k.allows(c.sig.Algorithm); err != nil {
		return err
	}
	switch {
	case k.Strict && c.sig.subdomain: // RFC 6376 §3.6.1
		return fmt.Errorf("%w: the key's t=s wants i= in %s itself, it is %s", ErrDomainMismatch, c.sig.Domain, excerpt(c.sig.AUID))
	case k.Type == KeyRSA && k.Bits < o.MinRSABits:
		return fmt.Errorf("%w: the key has %d bits, at least %d are wanted", ErrKeySize, k.Bits, o.MinRSABits)
	case k.Type == KeyRSA && k.Bits > o.MaxRSABits:
		return fmt.Errorf("%w: the key has %d bits, at most %d are taken", ErrKeySize, k.Bits, o.MaxRSABits)
	}
	return nil
}

// keyStatus is the result for a signature whose key cannot be had or used.
func keyStatus(err error) Status {
	switch {
	case errors.Is(err, ErrKeyUnavailable):
		return TempError
	case errors.Is(err, ErrKeySyntax):
		return PermError
	case errors.Is(err, ErrKeySize):
		return Policy
	}
	return Fail
}

func (c *check) noteKey(k *KeyRecord) {
	c.result.KeyBits, c.result.Testing = k.Bits, k.Testing
}

// bodyMatches compares bh=; if it returns false the check is settled.
func (c *check) bodyMatches() bool {
	if l := c.sig.BodyLength; l > c.hash.Length() {
		// RFC 6376 §3.5: l= must not exceed the canonical body.
		c.result.settle(PermError, fmt.Errorf("%w: l=%d, the body has %d octets", ErrBodyLength, l, c.hash.Length()))
		return false
	}
	if subtle.ConstantTimeCompare(c.hash.sum, c.sig.BodyHash) != 1 {
		c.result.settle(Fail, ErrBodyHash)
		return false
	}
	return true
}

// headerDigest hashes the fields that h= names, each name taking the lowest
// instance that is left and an absent one adding nothing, then the signature
// without b= and without its final CRLF (RFC 6376 §3.7, §5.4.2).
func (c *check) headerDigest(fields []Field, index *headerIndex) []byte {
	h := sha256.New()
	buf := make([]byte, 0, usualField)
	for _, name := range c.sig.Headers {
		if i, ok := index.pickOther(name, c.result.Field); ok {
			buf = c.sig.Header.AppendHeader(buf[:0], fields[i])
			h.Write(buf)
		}
	}
	buf = c.sig.Header.AppendHeader(buf[:0], c.sig.unsigned(fields[c.result.Field]))
	h.Write(buf[:len(buf)-len("\r\n")])
	return h.Sum(nil)
}

// present is a header field that signatures must cover, and how many instances
// of it there are.
type present struct {
	name      string
	instances int
}

// fieldsToCover returns those of names that are there. DKIM-Signature has one
// less: no signature can cover itself.
func fieldsToCover(fields []Field, names []string) (must []present) {
	for _, name := range names {
		n := instances(fields, name)
		if asciiEqualFold(name, "DKIM-Signature") {
			n--
		}
		if n > 0 {
			must = append(must, present{name, n})
		}
	}
	return must
}

// pass settles a check whose signature is valid.
func (c *check) pass(must []present, o VerifyOptions) {
	if c.hash.Exceeded() && !c.coversEnough(o) {
		c.result.settle(Policy, fmt.Errorf("%w: l=%d", ErrUnsignedContent, c.sig.BodyLength))
		return
	}
	for _, f := range must {
		if coverage(c.sig.Headers, f.name) < f.instances {
			c.result.settle(Fail, fmt.Errorf("%w: %s", ErrUnprotectedField, f.name))
			return
		}
	}
	c.result.settle(Pass, nil)
}

// coversEnough judges a signature that does not cover the whole body.
func (c *check) coversEnough(o VerifyOptions) bool {
	if o.BodyLength == BodyLengthWhole {
		return false
	}
	var whole int64
	if c.whole != nil {
		whole = c.whole.Length()
	}
	return o.Minimum.met(c.hash.Length(), whole)
}

func timeText(t time.Time) string { return t.UTC().Format(time.RFC3339) }
