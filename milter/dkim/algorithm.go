package dkim

import (
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"fmt"
)

// minRSABits is the smallest RSA key that signs (RFC 8301 §3.2).
const minRSABits = 1024

// ErrKeyType is the error for keys that DKIM has no algorithm for.
var ErrKeyType = errors.New("key type not usable for DKIM; generate an RSA or an Ed25519 key")

// AlgorithmOf returns the algorithm that keys of pub's kind sign with, and the
// size of the key in bits: the modulus of RSA, always 256 for Ed25519. It accepts
// *rsa.PublicKey and ed25519.PublicKey; the error is ErrKeyType for others.
func AlgorithmOf(pub crypto.PublicKey) (Algorithm, int, error) {
	switch key := pub.(type) {
	case *rsa.PublicKey:
		if key != nil && key.N != nil {
			return RSASHA256, key.N.BitLen(), nil
		}
	case ed25519.PublicKey:
		if len(key) == ed25519.PublicKeySize {
			return Ed25519SHA256, 8 * ed25519.PublicKeySize, nil
		}
	}
	return "", 0, fmt.Errorf("%w (it is %T)", ErrKeyType, pub)
}

// signDigest signs a SHA-256 digest: RSA with PKCS #1 v1.5 (RFC 6376 §3.3.1),
// Ed25519 over the digest as its message (RFC 8463 §3). A panic in key, which
// may be foreign code, becomes an error.
func signDigest(key crypto.Signer, a Algorithm, digest []byte) (sig []byte, err error) {
	defer recoverKey(&err)
	opts, size := crypto.Hash(0), ed25519.SignatureSize
	if a == RSASHA256 {
		opts, size = crypto.SHA256, key.Public().(*rsa.PublicKey).Size()
	}
	sig, err = key.Sign(rand.Reader, digest, opts)
	if err != nil {
		return nil, fmt.Errorf("private key: %w", err)
	}
	if len(sig) != size {
		return nil, fmt.Errorf("private key made a signature of %d octets, not %d", len(sig), size)
	}
	return sig, nil
}

// publicOf returns the public half of key. A panic becomes an error.
func publicOf(key crypto.Signer) (pub crypto.PublicKey, err error) {
	defer recoverKey(&err)
	if key == nil {
		return nil, errors.New("no private key")
	}
	return key.Public(), nil
}

func recoverKey(err *error) {
	if p := recover(); p != nil {
		*err = fmt.Errorf("private key: panic: %v", p)
	}
}
