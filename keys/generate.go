package keys

import (
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"path/filepath"

	"github.com/postseal/postseal/config/folder"
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
func WritePrivate(path string, key crypto.Signer) error {
	return WritePrivateFor(path, key, -1, -1)
}

// WritePrivateFor is WritePrivate for a user and a group, by number; -1 is whoever
// writes it.
func WritePrivateFor(path string, key crypto.Signer, uid, gid int) error {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	defer clear(der)
	text := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
	defer clear(text)
	return folder.Create(path, text, 0o600, uid, gid)
}

// Folder is where the private keys of a domain go: beside key_table, the file.
func Folder(keyTable, domain string) string {
	return filepath.Join(filepath.Dir(keyTable), "keys", domain)
}
