package proof

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"io"
	"strings"
	"testing"
)

// double is a key with one or both halves replaced.
type double struct {
	public crypto.PublicKey
	sign   func(rand io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error)
}

func (d double) Public() crypto.PublicKey { return d.public }

func (d double) Sign(rand io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	return d.sign(rand, digest, opts)
}

func newRSA(t *testing.T, bits int) *rsa.PrivateKey {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, bits)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func newEd25519(t *testing.T) ed25519.PrivateKey {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func TestProve(t *testing.T) {
	rsaKey, otherRSA := newRSA(t, 2048), newRSA(t, 2048)
	edKey, otherEd := newEd25519(t), newEd25519(t)
	ecKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	flip := func(key crypto.Signer) func(io.Reader, []byte, crypto.SignerOpts) ([]byte, error) {
		return func(rand io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
			other := append([]byte{}, digest...)
			other[0] ^= 1
			return key.Sign(rand, other, opts)
		}
	}
	const notAccepted = "does not accept the signature"
	tests := []struct {
		name string
		key  crypto.Signer
		err  string // part of the error; "" is none
	}{
		{"RSA", rsaKey, ""},
		{"Ed25519", edKey, ""},
		{"RSA with another public half", double{otherRSA.Public(), rsaKey.Sign}, notAccepted},
		{"Ed25519 with another public half", double{otherEd.Public(), edKey.Sign}, notAccepted},
		{"RSA that signs something else", double{rsaKey.Public(), flip(rsaKey)}, notAccepted},
		{"Ed25519 that signs something else", double{edKey.Public(), flip(edKey)}, notAccepted},
		{"empty signature", double{rsaKey.Public(), func(io.Reader, []byte, crypto.SignerOpts) ([]byte, error) { return nil, nil }}, "probe of the key"},
		{"Ed25519 signs as if RSA", double{rsaKey.Public(), func(r io.Reader, d []byte, _ crypto.SignerOpts) ([]byte, error) {
			return edKey.Sign(r, d, crypto.Hash(0))
		}}, "probe of the key: sign"},
		{"signing fails", double{edKey.Public(), func(io.Reader, []byte, crypto.SignerOpts) ([]byte, error) {
			return nil, errors.New("token removed")
		}}, "token removed"},
		{"signing panics", double{edKey.Public(), func(io.Reader, []byte, crypto.SignerOpts) ([]byte, error) {
			panic("driver")
		}}, "panic: driver"},
		{"public half panics", panicking{}, "panic: no public half"},
		{"no key", nil, "probe of the key"},
		{"EC key", ecKey, "probe of the key"},
		{"no public half", double{nil, rsaKey.Sign}, "probe of the key"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			err := Prove("example.com", "s1", tt.key)
			if tt.err == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), tt.err) {
				t.Errorf("got %v, want %q", err, tt.err)
			}
		})
	}
}

type panicking struct{}

func (panicking) Public() crypto.PublicKey { panic("no public half") }

func (panicking) Sign(io.Reader, []byte, crypto.SignerOpts) ([]byte, error) { return nil, nil }

// Whatever name a key goes by must not decide whether it is proven.
func TestProveNames(t *testing.T) {
	key := newEd25519(t)
	for _, name := range []struct{ domain, selector string }{
		{"example.com", "default"},
		{"Example.COM", "S1"},
		{"bücher.example", "s1"},
		{"xn--bcher-kva.example", "2026"},
		{"b.b.example", "b"},
		{strings.Repeat("long-label-of-a-domain.", 7) + "example", strings.Repeat("s", 60)},
	} {
		if err := Prove(name.domain, name.selector, key); err != nil {
			t.Errorf("%s, %s: %v", name.domain, name.selector, err)
		}
	}
	for _, name := range []struct{ domain, selector string }{
		{"", "s"}, {"example.com", ""}, {"exam ple.com", "s"}, {"example.com; x=1", "s"}, {"example.com", "s\r\nX: y"},
	} {
		if err := Prove(name.domain, name.selector, key); err == nil {
			t.Errorf("%q, %q: no error", name.domain, name.selector)
		}
	}
}
