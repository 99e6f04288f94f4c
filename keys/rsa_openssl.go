//go:build openssl

package keys

import (
	"crypto"
	"crypto/rsa"
	"errors"
	"log/slog"

	"github.com/postseal/postseal/keys/libcrypto"
)

// RSALibrary names what signs with RSA keys: "libcrypto 3.0.19".
func RSALibrary() string {
	version, err := libcrypto.Version()
	if err != nil {
		return cryptoRSA
	}
	return "libcrypto " + version
}

// accelerate returns what signs as key does, on libcrypto if it is for RSA and
// libcrypto takes it, else key itself. Go's numbers of a key that libcrypto took
// are garbage then: they stay in memory until something else is put there.
func accelerate(key crypto.Signer, log *slog.Logger) crypto.Signer {
	private, ok := key.(*rsa.PrivateKey)
	if !ok {
		return key
	}
	fast, err := libcrypto.NewRSA(private)
	if err != nil {
		if !errors.Is(err, libcrypto.ErrUnsupported) {
			log.Warn("libcrypto does not take an RSA key; crypto/rsa signs with it", "err", err)
		}
		return key
	}
	return fast
}
