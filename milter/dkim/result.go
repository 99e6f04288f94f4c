package dkim

import (
	"errors"
	"time"
)

// Status is the outcome for one signature, in the words of RFC 8601 §2.7.1.
type Status string

const (
	// None is for messages without a signature; no [Result] has it.
	None Status = "none"
	// Pass: the signature is valid and acceptable.
	Pass Status = "pass"
	// Fail: the signature did not verify, or its key is missing, revoked or
	// not meant for it.
	Fail Status = "fail"
	// Policy: the signature verified, or could have, but it is not acceptable here.
	Policy Status = "policy"
	// Neutral: the signature was not processed.
	Neutral Status = "neutral"
	// TempError: the key could not be had for now; trying later may help.
	TempError Status = "temperror"
	// PermError: the signature or the key record is malformed or out of date.
	PermError Status = "permerror"
)

// What [Result.Err] wraps. The words are those of RFC 6376 §6.1 where it has some.
var (
	// From the signature field itself: permerror.
	ErrSyntax      = errors.New("signature syntax error")
	ErrVersion     = errors.New("incompatible version")
	ErrMissingTag  = errors.New("signature missing required tag")
	ErrAlgorithm   = errors.New("unsupported signature algorithm")
	ErrQueryMethod = errors.New("unsupported query method")
	//lint:ignore ST1005 From is the name of the field.
	ErrFromNotSigned  = errors.New("From field not signed")
	ErrExpired        = errors.New("signature expired")
	ErrFuture         = errors.New("signature timestamp in the future")
	ErrBodyLength     = errors.New("body length exceeds the message")
	ErrDomainMismatch = errors.New("domain mismatch") // fail where the key's t=s is why

	// From the key: temperror, fail, permerror (ErrKeySyntax), policy (ErrKeySize).
	ErrKeyUnavailable            = errors.New("key unavailable")
	ErrNoKey                     = errors.New("no key for signature")
	ErrKeySyntax                 = errors.New("key syntax error")
	ErrKeyVersion                = errors.New("unknown key version")
	ErrKeyRevoked                = errors.New("key revoked")
	ErrKeySize                   = errors.New("inappropriate key size")
	ErrInappropriateHash         = errors.New("inappropriate hash algorithm")
	ErrInappropriateKeyAlgorithm = errors.New("inappropriate key algorithm")
	ErrService                   = errors.New("inappropriate service type")

	// From the message: fail.
	ErrBodyHash  = errors.New("body hash did not verify")
	ErrSignature = errors.New("signature did not verify")

	// From the verifier's own rules: fail, policy, neutral or fail, neutral, neutral.
	ErrUnprotectedField  = errors.New("unprotected header field")
	ErrUnsignedContent   = errors.New("content after the signed part of the body")
	ErrBodyLengthRefused = errors.New("l= is not accepted here")
	ErrTooManySignatures = errors.New("too many signatures")
	ErrUntrusted         = errors.New("signature of a domain that is not trusted")
)

// Result is what became of one DKIM-Signature field. What the field says is
// given as far as it could be read, also when the signature did not pass.
type Result struct {
	Status Status
	Err    error // why not; nil for [Pass]

	Domain    string // d= as written; empty if it is missing or no domain name
	Selector  string // s= as written; empty if it is missing or no selector
	AUID      string // i= decoded, or "@" and d=
	Algorithm Algorithm
	Signature string // b= without white space
	Header    Canonicalization
	Body      Canonicalization
	Headers   []string  // h= as written, top to bottom
	Time      time.Time // t=; zero if there is none
	// Expiration is x=; zero if there is none.
	Expiration time.Time
	BodyLength int64 // l= in octets; -1 if there is none

	KeyBits   int  // size of the key; 0 if no key was read
	Testing   bool // the key's t=y: the domain tests DKIM (RFC 6376 §3.6.1)
	Authentic bool // DNSSEC vouches for the key's record

	Field int // index of the field among those given to [NewVerifier]
}

func (r *Result) settle(s Status, err error) {
	r.Status, r.Err = s, err
}

// Covers reports whether the signature's h= names every instance of the header
// field name in fields, so that none of them was added after signing. A second
// From above the signed one is the attack of RFC 6376 §8.15: the signature
// passes, and Covers(fields, "From") is false.
func (r Result) Covers(fields []Field, name string) bool {
	return coverage(r.Headers, name) >= instances(fields, name)
}

// instances counts the header fields called name.
func instances(fields []Field, name string) (n int) {
	for _, f := range fields {
		if f.Is(name) {
			n++
		}
	}
	return n
}

// coverage counts how often h= names a field.
func coverage(signed []string, name string) (n int) {
	for _, s := range signed {
		if asciiEqualFold(s, name) {
			n++
		}
	}
	return n
}
