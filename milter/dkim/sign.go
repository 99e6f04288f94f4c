package dkim

import (
	"crypto"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Bounds of what a signature holds.
const (
	maxNames  = 32 << 10 // octets of h=
	maxCopies = 16 << 10 // octets of z=; fields that do not fit are left out
)

// ErrNoFrom is the error for messages that cannot be signed because they have
// no From field (RFC 6376 §5.4).
var ErrNoFrom = errors.New("message has no From field")

// SignOptions says who signs a message and how.
type SignOptions struct {
	// Domain is d= and Selector s=. U-labels become A-labels (RFC 8616 §3).
	Domain, Selector string
	// AUID is i=: an address, or "@" and a domain, in Domain or below it.
	// Empty: no i=.
	AUID string
	// Key is an RSA key of 1024 bits or more, or an Ed25519 key; it says what
	// a= is. It is asked for PKCS #1 v1.5 over SHA-256, or, if Ed25519, to sign
	// the SHA-256 digest as a message.
	Key crypto.Signer
	// Header and Body are the two halves of c=.
	Header, Body Canonicalization
	// Selection says which header fields are signed.
	Selection *HeaderSelection
	// Time is t= and Expiration, which must be later, is x=. Zero: none.
	Time, Expiration time.Time
	// BodyLimit is the number of canonical octets of the body that are signed
	// at most, and makes an l= even if the body is shorter; -1: the whole and
	// no l=.
	BodyLimit int64
	// CopyFields adds z=, the signed fields as they were, for diagnosis.
	CopyFields bool
	// RequestReports adds r=y (RFC 6651 §3.2).
	RequestReports bool
}

// Signer makes one signature of one message.
type Signer struct {
	o         SignOptions // with d=, s= and i= as they are written
	algorithm Algorithm
	fields    []Field
	names     []string // h=
	covered   []int    // the fields that names means, in its order
	body      *BodyHash
}

// NewSigner prepares the signature of a message with these header fields and
// asks body, which must not have begun, for its hash. It checks all of o; the
// error wraps ErrNoFrom or ErrKeyType, or says which option is wrong. It keeps
// fields, which must stay as they are until Sign.
func NewSigner(fields []Field, body *Body, o SignOptions) (*Signer, error) {
	s := &Signer{o: o, fields: fields}
	if err := s.setIdentity(); err != nil {
		return nil, err
	}
	if err := s.setKey(); err != nil {
		return nil, err
	}
	if err := checkTimes(o.Time, o.Expiration); err != nil {
		return nil, err
	}
	if err := s.selectFields(); err != nil {
		return nil, err
	}
	if body.begun || body.closed {
		return nil, errors.New("the body was begun before its signer was made")
	}
	s.body = body.Hash(o.Body, max(o.BodyLimit, -1))
	return s, nil
}

// setKey checks that the key can sign.
func (s *Signer) setKey() error {
	pub, err := publicOf(s.o.Key)
	if err != nil {
		return err
	}
	algorithm, bits, err := AlgorithmOf(pub)
	if err != nil {
		return err
	}
	if algorithm == RSASHA256 && bits < minRSABits {
		return fmt.Errorf("RSA key has %d bits; verifiers want %d at least (RFC 8301): generate a longer one", bits, minRSABits)
	}
	s.algorithm = algorithm
	return nil
}

// checkTimes checks t= and x= (RFC 6376 §3.5).
func checkTimes(t, x time.Time) error {
	if !t.IsZero() && t.Unix() < 0 {
		return fmt.Errorf("signing time %s is before 1970", t.UTC().Format(time.RFC3339))
	}
	if !x.IsZero() && (x.Unix() <= 0 || !t.IsZero() && x.Unix() <= t.Unix()) {
		return fmt.Errorf("expiration %s is not after the signing time", x.UTC().Format(time.RFC3339))
	}
	return nil
}

// selectFields makes h= and finds the fields that it means (RFC 6376 §5.4.2).
func (s *Signer) selectFields() error {
	if !slices.ContainsFunc(s.fields, func(f Field) bool { return f.Is("From") }) {
		return ErrNoFrom
	}
	if s.o.Selection == nil {
		return errors.New("no selection of header fields to sign")
	}
	s.names = s.o.Selection.Names(s.fields)
	octets := 0
	for _, name := range s.names {
		octets += len(name) + 1
	}
	if len(s.names) > maxSignedNames || octets > maxNames {
		return fmt.Errorf("too many header fields to sign: %d, whose names take %d octets; at most %d and %d are possible",
			len(s.names), octets, maxSignedNames, maxNames)
	}
	s.covered = make([]int, 0, len(s.names))
	index := newHeaderIndex(s.fields)
	for _, name := range s.names {
		if i, ok := index.pick(name); ok {
			s.covered = append(s.covered, i)
		}
	}
	return nil
}

// Algorithm is what it signs with (a=).
func (s *Signer) Algorithm() Algorithm { return s.algorithm }

// Sign returns the DKIM-Signature field, to be put on top of the message. Call
// it once the body is closed or done. Its lines have at most 78 octets where no
// single word is longer, and never more than 998. The error is the key's.
func (s *Signer) Sign() (Field, error) {
	sum := s.body.Sum()
	if sum == nil {
		return Field{}, errors.New("the body is not complete")
	}
	f := Field{Name: "DKIM-Signature"}
	w := newFolder(len(f.Name) + 1)
	s.writeTags(w, sum)

	// Whatever b= holds does not count, folds included, so what is hashed here
	// is what verifiers find in simple canonicalization too (RFC 6376 §3.7).
	f.Value = string(w.buf)
	sig, err := signDigest(s.o.Key, s.algorithm, s.digest(f))
	if err != nil {
		return Field{}, err
	}
	w.base64(sig)
	f.Value = string(w.buf)
	return f, nil
}

// writeTags writes everything up to "b=".
func (s *Signer) writeTags(w *folder, bodyHash []byte) {
	decimal := func(n int64) string { return strconv.FormatInt(n, 10) }
	w.tag("v=1;")
	w.tag("a=" + string(s.algorithm) + ";")
	w.tag("c=" + s.o.Header.String() + "/" + s.o.Body.String() + ";")
	w.tag("d=" + s.o.Domain + ";")
	w.tag("s=" + s.o.Selector + ";")
	if !s.o.Time.IsZero() {
		w.tag("t=" + decimal(s.o.Time.Unix()) + ";")
	}
	if !s.o.Expiration.IsZero() {
		w.tag("x=" + decimal(s.o.Expiration.Unix()) + ";")
	}
	if s.o.AUID != "" {
		w.tag("i=" + s.o.AUID + ";")
	}
	if s.o.RequestReports {
		w.tag("r=y;")
	}
	w.tag("bh=" + base64.StdEncoding.EncodeToString(bodyHash) + ";")
	if s.o.BodyLimit >= 0 {
		w.tag("l=" + decimal(s.body.Length()) + ";")
	}
	w.list("h", s.names)
	if s.o.CopyFields {
		s.writeCopies(w)
	}
	w.fold()
	w.add("b=")
}

// writeCopies writes z=: the signed fields octet by octet (RFC 6376 §3.5).
func (s *Signer) writeCopies(w *folder) {
	begin, first := len(w.buf), true
	for _, i := range slices.Sorted(slices.Values(s.covered)) {
		name, value := trimName(s.fields[i].Name), s.fields[i].Value
		if strings.Contains(name, "|") || len(w.buf)-begin+len(name)+3*len(value) > maxCopies {
			continue
		}
		if first {
			w.tag("z=" + name + ":")
			first = false
		} else {
			w.word("|" + name + ":")
		}
		w.quoted(value)
	}
	if !first {
		w.add(";")
	}
}

// digest hashes the fields of h= and, last and without its CRLF, the signature
// itself (RFC 6376 §3.7).
func (s *Signer) digest(signature Field) []byte {
	sha := sha256.New()
	buf := make([]byte, 0, usualField)
	for _, i := range s.covered {
		buf = s.o.Header.AppendHeader(buf[:0], s.fields[i])
		sha.Write(buf)
	}
	buf = s.o.Header.AppendHeader(buf[:0], signature)
	sha.Write(buf[:len(buf)-len("\r\n")])
	return sha.Sum(nil)
}
