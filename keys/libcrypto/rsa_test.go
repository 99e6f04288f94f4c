//go:build openssl

package libcrypto

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"os"
	"runtime"
	"strings"
	"testing"
)

// readKey reads a key of testdata, that OpenSSL made.
func readKey(t testing.TB, name string) *rsa.PrivateKey {
	t.Helper()
	text, err := os.ReadFile("testdata/" + name + ".pem")
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(text)
	key, err := x509.ParsePKCS1PrivateKey(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func newRSA(t testing.TB, private *rsa.PrivateKey) *RSA {
	t.Helper()
	key, err := NewRSA(private)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// checkSignatures compares with crypto/rsa: PKCS #1 v1.5 is deterministic.
func checkSignatures(t *testing.T, key *RSA, private *rsa.PrivateKey, n int) {
	t.Helper()
	for i := range n {
		digest := sha256.Sum256([]byte{byte(i)})
		want, err := rsa.SignPKCS1v15(nil, private, crypto.SHA256, digest[:])
		if err != nil {
			t.Fatal(err)
		}
		got, err := key.Sign(rand.Reader, digest[:], crypto.SHA256)
		if err != nil || !bytes.Equal(got, want) {
			t.Fatalf("%x, %v; want %x", got, err, want)
		}
	}
}

var sizes = []string{"1024", "1025", "1031", "2047", "2048", "2048-e3", "3072", "4096", "8192"}

func TestSignaturesEqualThoseOfCryptoRSA(t *testing.T) {
	for _, name := range sizes {
		t.Run(name, func(t *testing.T) {
			private := readKey(t, name)
			key := newRSA(t, private)
			if !private.PublicKey.Equal(key.Public()) {
				t.Fatal("another public key")
			}
			n := 20
			if private.N.BitLen() > 3072 {
				n = 2
			}
			checkSignatures(t, key, private, n)
		})
	}
	t.Run("fresh", func(t *testing.T) {
		for _, bits := range []int{1024, 1026, 1030, 1152, 1536} {
			private, err := rsa.GenerateKey(rand.Reader, bits)
			if err != nil {
				t.Fatal(err)
			}
			checkSignatures(t, newRSA(t, private), private, 5)
		}
	})
}

// Which of the primes is the greater does not matter.
func TestPrimesInAnyOrder(t *testing.T) {
	private := readKey(t, "2048")
	turned := &rsa.PrivateKey{PublicKey: private.PublicKey, D: private.D, Primes: []*big.Int{private.Primes[1], private.Primes[0]}}
	turned.Precompute()
	checkSignatures(t, newRSA(t, turned), private, 3)
}

func TestUnsupportedKeys(t *testing.T) {
	two := []*big.Int{big.NewInt(3), big.NewInt(5)}
	sized := func(bits uint) *rsa.PrivateKey {
		return &rsa.PrivateKey{
			PublicKey: rsa.PublicKey{N: new(big.Int).Lsh(big.NewInt(1), bits-1)}, Primes: two,
			Precomputed: rsa.PrecomputedValues{Dp: big.NewInt(1)},
		}
	}
	raw := *readKey(t, "2048")
	raw.Precomputed = rsa.PrecomputedValues{}
	for _, tt := range []struct {
		name string
		key  *rsa.PrivateKey
	}{
		{"three primes", readKey(t, "2048-primes3")},
		{"not precomputed", &raw},
		{"1023 bits", sized(1023)},
		{"16385 bits", sized(16385)},
	} {
		if key, err := NewRSA(tt.key); key != nil || !errors.Is(err, ErrUnsupported) {
			t.Errorf("%s: %v, %v", tt.name, key, err)
		}
	}
}

func TestUnsupportedSignatures(t *testing.T) {
	key := newRSA(t, readKey(t, "1024"))
	digest := make([]byte, 64)
	for _, tt := range []struct {
		name   string
		digest []byte
		opts   crypto.SignerOpts
	}{
		{"SHA-1", digest[:20], crypto.SHA1},
		{"SHA-512", digest, crypto.SHA512},
		{"no hash", digest[:32], crypto.Hash(0)},
		{"PSS", digest[:32], &rsa.PSSOptions{Hash: crypto.SHA256}},
	} {
		if sig, err := key.Sign(nil, tt.digest, tt.opts); sig != nil || !errors.Is(err, ErrUnsupported) {
			t.Errorf("%s: %x, %v", tt.name, sig, err)
		}
	}
	for _, n := range []int{0, 31, 33} {
		if sig, err := key.Sign(nil, digest[:n], crypto.SHA256); sig != nil || err == nil {
			t.Errorf("digest of %d octets: %x", n, sig)
		}
	}
}

// What a faulty processor does to half of the computation must not leave: the
// difference to the right signature tells a prime factor.
func TestFaultInTheChineseRemainderTheorem(t *testing.T) {
	for _, name := range sizes[:len(sizes)-1] {
		private := readKey(t, name)
		for what, number := range map[string]func(*rsa.PrecomputedValues) **big.Int{
			"dP":   func(p *rsa.PrecomputedValues) **big.Int { return &p.Dp },
			"dQ":   func(p *rsa.PrecomputedValues) **big.Int { return &p.Dq },
			"qInv": func(p *rsa.PrecomputedValues) **big.Int { return &p.Qinv },
		} {
			faulty := *private
			n := number(&faulty.Precomputed)
			*n = new(big.Int).Xor(*n, big.NewInt(1<<20))
			t.Run(name+"/"+what, func(t *testing.T) {
				checkSignatures(t, newRSA(t, &faulty), private, 2)
			})
		}
	}
}

// An error has OpenSSL's words, nothing of the key, and no effect on what follows.
func TestErrorOfLibcrypto(t *testing.T) {
	private := readKey(t, "2048")
	good, digest := newRSA(t, private), make([]byte, sha256.Size)
	broken := *private
	broken.N = new(big.Int).Lsh(private.N, 1) // no odd modulus, no Montgomery form
	bad := newRSA(t, &broken)
	runtime.LockOSThread() // OpenSSL keeps its errors by thread
	defer runtime.UnlockOSThread()
	_, first := bad.Sign(nil, digest, crypto.SHA256)
	for range 3 {
		sig, err := bad.Sign(nil, digest, crypto.SHA256)
		if fmt.Sprint(err) != fmt.Sprint(first) {
			t.Errorf("%v, before %v", err, first)
		}
		if sig != nil || err == nil || !strings.HasPrefix(err.Error(), "libcrypto: sign: error:") {
			t.Fatalf("%x, %v", sig, err)
		}
		for _, secret := range append(private.Primes, private.D, private.N) {
			if text := err.Error(); strings.Contains(text, fmt.Sprintf("%x", secret)[:8]) || strings.Contains(text, secret.String()[:8]) {
				t.Errorf("the error has a number of the key: %s", text)
			}
		}
		checkSignatures(t, good, private, 1)
	}
}

func TestVersion(t *testing.T) {
	if v, err := Version(); err != nil || strings.Count(v, ".") != 2 {
		t.Errorf("%q, %v", v, err)
	}
}

// BenchmarkSignRSA has crypto/rsa and libcrypto side by side.
func BenchmarkSignRSA(b *testing.B) {
	digest := sha256.Sum256([]byte("a message"))
	for _, name := range []string{"1024", "2048", "4096"} {
		private := readKey(b, name)
		for _, k := range []struct {
			name string
			key  crypto.Signer
		}{{"crypto-rsa", private}, {"libcrypto", newRSA(b, private)}} {
			b.Run(name+"/"+k.name, func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					if _, err := k.key.Sign(rand.Reader, digest[:], crypto.SHA256); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}
