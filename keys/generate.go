package keys

import (
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// The kinds of key that [Generate] makes, as k= has them.
const (
	kindRSA     = "rsa"
	kindEd25519 = "ed25519"
)

// DefaultRSABits is the size of RSA keys where none is asked for: what every
// verifier takes and RFC 8301 §3.2 recommends.
const DefaultRSABits = 2048

// Generate makes a private key. kind is "rsa" or "ed25519"; bits is for RSA
// only, from 1024 to 8192, 0 for DefaultRSABits. The randomness is the
// system's: crypto/rsa takes no other.
func Generate(kind string, bits int) (crypto.Signer, error) {
	switch kind {
	case kindEd25519:
		_, key, err := ed25519.GenerateKey(rand.Reader)
		if err != nil {
			return nil, err
		}
		return key, nil
	case kindRSA:
		if bits == 0 {
			bits = DefaultRSABits
		}
		if bits < minRSABits || bits > maxRSABits {
			return nil, fmt.Errorf("%w: an RSA key of %d bits; from %d to %d are possible (RFC 8301 §3.2)", ErrKeySize, bits, minRSABits, maxRSABits)
		}
		key, err := rsa.GenerateKey(rand.Reader, bits)
		if err != nil {
			return nil, err
		}
		return key, nil
	}
	return nil, fmt.Errorf("unknown kind of key %q; it is rsa or ed25519", kind)
}

// WritePrivate writes a key as PKCS #8 PEM into a new file of mode 0600, down
// to the disk. A file that exists is never overwritten: the error wraps
// fs.ErrExist. On any other error nothing is left behind.
func WritePrivate(path string, key crypto.Signer) (err error) {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	defer clear(der)
	text := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
	defer clear(text)
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(path))
		}
	}()
	_, err = f.Write(text)
	err = errors.Join(err, f.Chmod(0o600), f.Sync(), f.Close())
	if err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}

// syncDir makes a new name in a folder last.
func syncDir(path string) error {
	dir, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}
