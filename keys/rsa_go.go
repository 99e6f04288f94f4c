//go:build !openssl

package keys

import (
	"crypto"
	"log/slog"
)

// RSALibrary names what signs with RSA keys.
func RSALibrary() string { return cryptoRSA }

// accelerate returns what signs as key does, and faster where that is built in.
func accelerate(key crypto.Signer, _ *slog.Logger) crypto.Signer { return key }
