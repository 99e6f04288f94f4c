package dkim

import (
	"crypto"
	"fmt"
	"slices"
	"strings"
)

// KeyRecord is a public key as it stands in the DNS (RFC 6376 §3.6.1, RFC 8463 §4).
type KeyRecord struct {
	Type     KeyType
	Public   crypto.PublicKey // *rsa.PublicKey or ed25519.PublicKey; nil if revoked
	Bits     int              // size of the key
	Hashes   []string         // h= in lower case; nil: all
	Services []string         // s= in lower case; nil: all
	Testing  bool             // t=y
	Strict   bool             // t=s: the domain of i= must be d= itself
	Revoked  bool             // empty p=
	Notes    string           // n= as written
}

// ParseKeyRecord reads the text of a TXT record, its strings joined. Unknown
// tags and flags are ignored (RFC 6376 §3.2).
//
// Errors wrap [ErrKeySyntax], [ErrKeyVersion] for a v= other than DKIM1, and
// [ErrInappropriateKeyAlgorithm] for a k= that is not known. A revoked key is no error.
// The size of the key is not judged: look at Bits before computing with it.
func ParseKeyRecord(txt string) (*KeyRecord, error) {
	tags, err := parseTagList(txt)
	if err != nil && len(tags) == 0 {
		return nil, fmt.Errorf("%w: %w", ErrKeySyntax, err)
	}
	// A version counts where it stands: first (RFC 6376 §3.6.1).
	if tags[0].name == "v" && tags[0].value != "DKIM1" {
		return nil, fmt.Errorf("%w: v=%s", ErrKeyVersion, excerpt(tags[0].value))
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrKeySyntax, err)
	}
	if _, ok := tags.get("v"); ok && tags[0].name != "v" {
		return nil, fmt.Errorf("%w: v= is not the first tag", ErrKeySyntax)
	}
	r := &KeyRecord{Type: KeyRSA, Hashes: wordList(tags, "h"), Services: wordList(tags, "s")}
	flags := wordList(tags, "t")
	r.Testing, r.Strict = slices.Contains(flags, "y"), slices.Contains(flags, "s")
	r.Notes, _ = tags.get("n")
	if k, ok := tags.get("k"); ok {
		r.Type = KeyType(asciiLower(k))
		if r.Type != KeyRSA && r.Type != KeyEd25519 {
			return nil, fmt.Errorf("%w: k=%s", ErrInappropriateKeyAlgorithm, excerpt(k))
		}
	}
	p, ok := tags.get("p")
	if !ok {
		return nil, fmt.Errorf("%w: p= is missing", ErrKeySyntax)
	}
	if p == "" {
		r.Revoked = true
		return r, nil
	}
	data, err := decodeKeyData(p)
	if err != nil {
		return nil, fmt.Errorf("%w: p=: %w", ErrKeySyntax, err)
	}
	if r.Public, r.Bits, err = parsePublicKey(r.Type, data); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrKeySyntax, err)
	}
	return r, nil
}

// allows says why the record is of no use for a signature of algorithm a in
// mail, in the order of RFC 6376 §6.1.2; nil: it may be used.
func (r *KeyRecord) allows(a Algorithm) error {
	switch {
	case r.Services != nil && !slices.Contains(r.Services, "email") && !slices.Contains(r.Services, "*"):
		return fmt.Errorf("%w: the key's s= has neither email nor *", ErrService)
	case r.Hashes != nil && !slices.Contains(r.Hashes, "sha256"):
		return fmt.Errorf("%w: the key's h= does not have sha256", ErrInappropriateHash)
	case r.Revoked:
		return ErrKeyRevoked
	case r.Type != keyTypeOf(a):
		return fmt.Errorf("%w: the key's k= is %s, the signature's a= is %s", ErrInappropriateKeyAlgorithm, r.Type, a)
	}
	return nil
}

// wordList returns the colon-separated words of a tag in lower case, nil if
// the tag is missing.
func wordList(tags tagList, name string) []string {
	v, ok := tags.get(name)
	if !ok {
		return nil
	}
	return colonList(asciiLower(v))
}

// isKeyRecord tells a key record from another text that stands at the
// same name, such as the SPF policy of a wildcard: it begins with a version of
// DKIM, or without any version it has a p= or k= tag.
func isKeyRecord(txt string) bool {
	name, value, _ := strings.Cut(txt, "=")
	if trimFWS(name) == "v" {
		value = trimFWS(value)
		return len(value) >= 4 && asciiEqualFold(value[:4], "DKIM")
	}
	for spec := range strings.SplitSeq(txt, ";") {
		name, _, ok := strings.Cut(spec, "=")
		if name = trimFWS(name); ok && (name == "p" || name == "k") {
			return true
		}
	}
	return false
}
