package dkim

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"math/big"
	"strings"
)

// Inspection is a signature taken apart, for those who look into why it failed.
type Inspection struct {
	sig    *signature
	fields []Field
	field  int
}

// Inspect reads the signature in fields[i]; the error is that of its syntax, with
// which there is nothing to look into.
func Inspect(fields []Field, i int) (*Inspection, error) {
	if !fields[i].Is("DKIM-Signature") {
		return nil, fmt.Errorf("%w: the field is %s", ErrSyntax, excerpt(fields[i].Name))
	}
	sig, err := parseSignature(fields[i].Value)
	if err != nil {
		return nil, err
	}
	return &Inspection{sig: sig, fields: fields, field: i}, nil
}

// BodyHash is bh=.
func (in *Inspection) BodyHash() []byte { return in.sig.BodyHash }

// Canonicalization is that of header and body.
func (in *Inspection) Canonicalization() (header, body Canonicalization) {
	return in.sig.Header, in.sig.Body
}

// BodyLength is l=, -1 if there is none.
func (in *Inspection) BodyLength() int64 { return in.sig.BodyLength }

// HashedField is what one name of h= takes from the header.
type HashedField struct {
	// Name is the name as h= has it.
	Name string
	// Field is the index of the field, -1 where there is none (left) of that name.
	Field int
}

// Hashed are the fields that h= names, in its order, as the header has them.
func (in *Inspection) Hashed() []HashedField { return in.HashedOf(in.fields, in.field) }

// HashedOf are those of another header, such as that of the mail as it was sent. own
// is the index of the signature there, -1 if it is not there.
func (in *Inspection) HashedOf(fields []Field, own int) []HashedField {
	index := newHeaderIndex(fields)
	hashed := make([]HashedField, len(in.sig.Headers))
	for n, name := range in.sig.Headers {
		hashed[n] = HashedField{Name: name, Field: -1}
		if i, ok := index.pickOther(name, own); ok {
			hashed[n].Field = i
		}
	}
	return hashed
}

// Own is the canonical form of the signature's own field as it is hashed, with c: the
// last of the header block, without b= and a final CRLF.
func (in *Inspection) Own(c Canonicalization) []byte {
	own := c.AppendHeader(nil, in.sig.unsigned(in.fields[in.field]))
	return own[:len(own)-len("\r\n")]
}

// Copied are the fields that z= has, in its order: what the signer saw, if it copied
// truly. There may be fewer than h= names, and others.
func (in *Inspection) Copied() []Field {
	tags, _ := parseTagList(in.fields[in.field].Value)
	z, ok := tags.get("z")
	if !ok {
		return nil
	}
	var fields []Field
	for part := range strings.SplitSeq(z, "|") {
		if name, value, ok := strings.Cut(decodeCopied(part), ":"); ok && isFieldName(trimName(name)) {
			fields = append(fields, Field{Name: name, Value: value})
		}
	}
	return fields
}

// decodeCopied reads dkim-quoted-printable (RFC 6376 §2.11), of which z= may have any
// octet. What is none stays as it is: nothing rests on it but what people read.
func decodeCopied(s string) string {
	s = stripFWS(s)
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if hi, lo := hexDigit(s, i+1), hexDigit(s, i+2); s[i] == '=' && hi >= 0 && lo >= 0 {
			b.WriteByte(byte(hi<<4 | lo))
			i += 2
			continue
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

func hexDigit(s string, i int) int {
	if i >= len(s) {
		return -1
	}
	return strings.IndexByte("0123456789abcdef", lower(s[i]))
}

// Keys asks r for the keys that may be used for the signature under o; with none the
// error says why.
func (in *Inspection) Keys(ctx context.Context, r Resolver, o VerifyOptions) ([]*KeyRecord, error) {
	c := &check{sig: in.sig, lookup: &lookup{done: make(chan struct{})}}
	c.lookup.run(ctx, r, in.sig.keyName)
	if c.lookup.err != nil {
		return nil, c.lookup.err
	}
	return c.usableKeys(o.withDefaults())
}

// VerifiesHeader reports whether b= is a signature by key of a header block with this
// SHA-256.
func (in *Inspection) VerifiesHeader(key *KeyRecord, sum []byte) bool {
	return verifyDigest(key.Public, sum, in.sig.Data)
}

// ErrOtherKey is the error of SignedSum for a key that did not make the signature.
var ErrOtherKey = errors.New("the signature was not made with this key")

// sha256Info precedes a SHA-256 in what RSA signs: the DER of DigestInfo
// (RFC 8017 §9.2).
var sha256Info = []byte{0x30, 0x31, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01, 0x05, 0x00, 0x04, 0x20}

// SignedSum is the SHA-256 of the header block that b= was made of: an RSA signature
// gives it away to the public key. It is ErrOtherKey where what comes out is no
// signature: another key made it, or b= was changed. Ed25519 gives nothing away: nil and no error.
func (in *Inspection) SignedSum(key *KeyRecord) ([]byte, error) {
	switch pub := key.Public.(type) {
	case *rsa.PublicKey:
		sig := new(big.Int).SetBytes(in.sig.Data)
		if len(in.sig.Data) > pub.Size() || sig.Cmp(pub.N) >= 0 {
			return nil, ErrOtherKey
		}
		block := sig.Exp(sig, big.NewInt(int64(pub.E)), pub.N).FillBytes(make([]byte, pub.Size()))
		// 0x00 0x01 PS 0x00 DigestInfo (RFC 8017 §9.2), PS of 0xff alone.
		at := len(block) - sha256.Size
		if at < len(sha256Info)+11 || !bytes.HasSuffix(block[:at], sha256Info) {
			return nil, ErrOtherKey
		}
		head := block[:at-len(sha256Info)]
		if head[0] != 0 || head[1] != 1 || head[len(head)-1] != 0 || len(bytes.Trim(head[2:len(head)-1], "\xff")) > 0 {
			return nil, ErrOtherKey
		}
		return block[at:], nil
	case ed25519.PublicKey:
		return nil, nil
	}
	return nil, ErrOtherKey
}

// Copy has the octets that are hashed in canonicalization c written to w, too. Call it
// after Hash for c and before the first Write. Octets after the longest limit that was
// asked for are hashed by nobody and not written.
func (b *Body) Copy(c Canonicalization, w io.Writer) {
	canon := b.canons[c]
	canon.sha = copied{canon.sha, w}
}

// copied is a hash whose input goes elsewhere, too.
type copied struct {
	hash.Hash
	w io.Writer
}

func (c copied) Write(p []byte) (int, error) {
	if n, err := c.w.Write(p); err != nil {
		return n, err
	}
	return c.Hash.Write(p)
}

// CanonicalBody is the canonical form of a body.
func (c Canonicalization) CanonicalBody(body []byte) []byte {
	b := NewBody()
	b.Hash(c, -1)
	var out bytes.Buffer
	out.Grow(len(body) + len(crlf))
	b.Copy(c, &out)
	_, _ = b.Write(body)
	b.Close()
	return out.Bytes()
}
