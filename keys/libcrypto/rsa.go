//go:build openssl && cgo

package libcrypto

// #cgo LDFLAGS: -lcrypto
// #include <openssl/err.h>
// #include "rsa.h"
import "C"

import (
	"crypto"
	"crypto/fips140"
	"crypto/rsa"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math/big"
	"runtime"
	"sync"
)

// The sizes of keys that libcrypto takes, in bits: no smaller one than
// crypto/rsa does, and no larger one than libcrypto verifies.
const minBits, maxBits = 1024, 16384

// ErrUnsupported is the error of a key, or of options, that crypto/rsa may serve
// and this package does not.
var ErrUnsupported = errors.New("not for libcrypto")

// start makes libcrypto ready, once.
var start = sync.OnceValue(func() error {
	if fips140.Enabled() {
		return fmt.Errorf("%w: GODEBUG=fips140 asks for Go's validated module", ErrUnsupported)
	}
	return failure("start", C.libcrypto_start())
})

// Version is that of the library that is loaded: "3.0.19". The error is why it
// does not sign.
func Version() (string, error) {
	return C.GoString(C.OpenSSL_version(C.OPENSSL_VERSION_STRING)), start()
}

// RSA is a private key in libcrypto's memory, which is zeroed and freed when
// the value is collected. It is safe for concurrent use.
type RSA struct {
	public *rsa.PublicKey
	key    *C.EVP_PKEY
}

// NewRSA makes a key that signs as private does. private must be sound and
// precomputed, as x509 returns it; of it only the modulus is kept. The error is
// ErrUnsupported for a key of more than two primes, of less than 1024 or more
// than 16384 bits, and for all keys where GODEBUG=fips140 asks for Go's validated
// module: what is in libcrypto is not the validated one of OpenSSL.
func NewRSA(private *rsa.PrivateKey) (*RSA, error) {
	bits, pre := private.N.BitLen(), private.Precomputed
	switch {
	case len(private.Primes) != 2 || pre.Dp == nil:
		return nil, fmt.Errorf("%w: a key of %d primes", ErrUnsupported, len(private.Primes))
	case bits < minBits || bits > maxBits:
		return nil, fmt.Errorf("%w: a key of %d bits", ErrUnsupported, bits)
	}
	if err := start(); err != nil {
		return nil, err
	}
	numbers, lengths := flatten(
		private.N, big.NewInt(int64(private.E)), private.D,
		private.Primes[0], private.Primes[1], pre.Dp, pre.Dq, pre.Qinv)
	defer clear(numbers)
	r := &RSA{public: &rsa.PublicKey{N: private.N, E: private.E}}
	if code := C.libcrypto_rsa_new((*C.uchar)(&numbers[0]), &lengths[0], &r.key); code != 0 {
		return nil, failure("make the key", code)
	}
	runtime.AddCleanup(r, func(key *C.EVP_PKEY) { C.EVP_PKEY_free(key) }, r.key)
	return r, nil
}

// flatten writes numbers one after another, so that C gets no pointer to pointers.
func flatten(list ...*big.Int) (numbers []byte, lengths [C.RSA_NUMBERS]C.size_t) {
	size := 0
	for i, n := range list {
		lengths[i] = C.size_t(n.BitLen()+7) / 8
		size += int(lengths[i])
	}
	numbers = make([]byte, size)
	rest := numbers
	for i, n := range list {
		n.FillBytes(rest[:lengths[i]])
		rest = rest[lengths[i]:]
	}
	return numbers, lengths
}

// failure is the error of a code from C, nil for 0. Its text is OpenSSL's name of
// the code and has nothing of the key.
func failure(what string, code C.ulong) error {
	if code == 0 {
		return nil
	}
	var text [256]C.char
	C.ERR_error_string_n(code, &text[0], C.size_t(len(text)))
	return fmt.Errorf("libcrypto: %s: %s", what, C.GoString(&text[0]))
}

// slots bounds how many signatures are made at a time, as the scheduler does for
// crypto/rsa. Without it each goroutine that signs takes a thread of the system.
var slots = make(chan struct{}, runtime.GOMAXPROCS(0))

// Public returns the *rsa.PublicKey.
func (r *RSA) Public() crypto.PublicKey { return r.public }

// Sign makes the PKCS #1 v1.5 signature of a SHA-256 digest; it is
// ErrUnsupported for any other. The reader is not used: the signature is
// deterministic.
func (r *RSA) Sign(_ io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	if _, pss := opts.(*rsa.PSSOptions); pss || opts.HashFunc() != crypto.SHA256 {
		return nil, fmt.Errorf("%w: only PKCS #1 v1.5 with SHA-256 is", ErrUnsupported)
	}
	if len(digest) != sha256.Size {
		return nil, fmt.Errorf("libcrypto: sign: a digest of %d octets, not %d", len(digest), sha256.Size)
	}
	sig := make([]byte, r.public.Size())
	slots <- struct{}{}
	code := C.libcrypto_rsa_sign(r.key, (*C.uchar)(&digest[0]), C.size_t(len(digest)), (*C.uchar)(&sig[0]), C.size_t(len(sig)))
	<-slots
	runtime.KeepAlive(r)
	if code != 0 {
		return nil, failure("sign", code)
	}
	return sig, nil
}
