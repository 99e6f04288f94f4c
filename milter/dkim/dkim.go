// Package dkim signs and verifies DomainKeys Identified Mail: RFC 6376 with
// the updates of RFC 8301 (no SHA-1, keys of 1024 bits and more), RFC 8463
// (Ed25519) and RFC 8616 (internationalised domains).
//
// The package is pure: it opens nothing and keeps nothing. Header fields come
// in as they stand in the message, the body streams through one [Body] that
// all signers and verifiers of the message share, and the caller brings the
// clock and the resolver.
package dkim

import (
	"context"
	"fmt"
	"strings"
)

// Field is one header field exactly as it stands in the message, without the
// CRLF that ends it. Name is everything before the first colon (blanks before
// the colon belong to it), Value everything after it: the leading blank is
// there, and folds are CRLF followed by a blank.
type Field struct {
	Name, Value string
}

// Is reports whether the field is called name: ASCII letters compare without
// regard to case, and blanks before the colon do not count (RFC 5322 §4.5.8).
func (f Field) Is(name string) bool {
	return asciiEqualFold(strings.TrimRight(f.Name, " \t"), name)
}

// asciiEqualFold is strings.EqualFold for ASCII alone: U+212A is no K here.
func asciiEqualFold(a, b string) bool {
	if len(a) != len(b) {
		return false
	}
	for i := 0; i < len(a); i++ {
		if lower(a[i]) != lower(b[i]) {
			return false
		}
	}
	return true
}

func lower(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		return c + 'a' - 'A'
	}
	return c
}

// Algorithm is the value of a= (RFC 6376 §3.3, RFC 8463 §3).
type Algorithm string

const (
	RSASHA256     Algorithm = "rsa-sha256"
	Ed25519SHA256 Algorithm = "ed25519-sha256"
	// RSASHA1 is known by name only: it neither signs nor passes (RFC 8301 §3.1).
	RSASHA1 Algorithm = "rsa-sha1"
)

// Canonicalization is one half of c= (RFC 6376 §3.4).
type Canonicalization uint8

const (
	Simple Canonicalization = iota
	Relaxed
)

func (c Canonicalization) String() string {
	if c == Relaxed {
		return "relaxed"
	}
	return "simple"
}

// ParseCanonicalization reads "header/body" or "header" as in c=: a missing
// body half means simple (RFC 6376 §3.5). Words compare without regard to case.
func ParseCanonicalization(s string) (header, body Canonicalization, err error) {
	h, b, both := strings.Cut(s, "/")
	if header, err = canonicalizationWord(h); err != nil {
		return Simple, Simple, err
	}
	if !both {
		return header, Simple, nil
	}
	if body, err = canonicalizationWord(b); err != nil {
		return Simple, Simple, err
	}
	return header, body, nil
}

func canonicalizationWord(s string) (Canonicalization, error) {
	switch {
	case asciiEqualFold(s, "simple"):
		return Simple, nil
	case asciiEqualFold(s, "relaxed"):
		return Relaxed, nil
	}
	return Simple, fmt.Errorf("unknown canonicalization algorithm %q; it is simple or relaxed", s)
}

// Resolver answers the verifier's questions.
//
// LookupTXT returns the TXT records of name, each with its strings joined. No
// records and a nil error mean that the name or the type does not exist; an
// error means that the question could not be answered for now (time-out,
// SERVFAIL): the verifier reports temperror and never fail. authentic is the
// AD bit of the answer.
type Resolver interface {
	LookupTXT(ctx context.Context, name string) (txt []string, authentic bool, err error)
}
