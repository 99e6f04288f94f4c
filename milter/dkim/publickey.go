package dkim

import (
	"crypto"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
)

// KeyType is the value of k= in a key record.
type KeyType string

const (
	KeyRSA     KeyType = "rsa"
	KeyEd25519 KeyType = "ed25519"
)

// decodeKeyData reads p=: base64 with white space anywhere. Padding that got
// lost on the way into a zone file is not missed.
func decodeKeyData(p string) ([]byte, error) {
	return base64.RawStdEncoding.DecodeString(strings.TrimRight(stripFWS(p), "="))
}

// parsePublicKey reads the octets of p= and returns the key and its size in
// bits. It costs no more than reading: whoever computes with the key checks
// the size before.
func parsePublicKey(k KeyType, data []byte) (crypto.PublicKey, int, error) {
	if k == KeyEd25519 {
		return parseEd25519(data)
	}
	return parseRSA(data)
}

// parseEd25519 reads the bare 32 octets of RFC 8463 §4. A SubjectPublicKeyInfo
// around them is an error there, and to other verifiers.
func parseEd25519(data []byte) (crypto.PublicKey, int, error) {
	if len(data) != ed25519.PublicKeySize {
		return nil, 0, fmt.Errorf("an Ed25519 key has %d octets, not %d", ed25519.PublicKeySize, len(data))
	}
	return ed25519.PublicKey(data), len(data) * 8, nil
}

// parseRSA reads a SubjectPublicKeyInfo, as everybody publishes, or a bare
// RSAPublicKey, as RFC 6376 §3.6.1 says.
func parseRSA(data []byte) (crypto.PublicKey, int, error) {
	var key *rsa.PublicKey
	if spki, err := x509.ParsePKIXPublicKey(data); err == nil {
		var ok bool
		if key, ok = spki.(*rsa.PublicKey); !ok {
			return nil, 0, errors.New("p= holds a key of another type than RSA")
		}
	} else if key, err = x509.ParsePKCS1PublicKey(data); err != nil {
		return nil, 0, errors.New("p= holds no RSA public key")
	}
	return key, key.N.BitLen(), nil
}

// keyTypeOf returns the type of key that an algorithm needs.
func keyTypeOf(a Algorithm) KeyType {
	if a == Ed25519SHA256 {
		return KeyEd25519
	}
	return KeyRSA
}

// verifyDigest checks a signature over a SHA-256 digest. Ed25519 signs the
// digest itself, not a digest of it (RFC 8463 §3).
func verifyDigest(pub crypto.PublicKey, digest, sig []byte) bool {
	switch key := pub.(type) {
	case *rsa.PublicKey:
		return rsa.VerifyPKCS1v15(key, crypto.SHA256, digest, sig) == nil
	case ed25519.PublicKey:
		return len(sig) == ed25519.SignatureSize && ed25519.Verify(key, digest, sig)
	}
	return false
}
