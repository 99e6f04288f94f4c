//go:build openssl

package keys

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"io"
	"log/slog"
	"strings"
	"testing"

	"github.com/postseal/postseal/keys/libcrypto"
)

// The keys that the tables lead to sign on libcrypto, and as crypto/rsa would.
func TestTablesSignOnLibcrypto(t *testing.T) {
	dir := t.TempDir()
	private := generate(t, kindRSA).(*rsa.PrivateKey)
	write(t, dir+"/k", string(pkcs8(t, private)))
	s := tables{signing: "* k\n", keys: "k a.example:s:@DIR@/k\n"}.mustLoad(t, dir, newTestCache(&prover{}, io.Discard))
	key := mustSign(t, s, "a.example")
	if _, ok := key.(*libcrypto.RSA); !ok {
		t.Fatalf("the key is a %T", key)
	}
	sum := sha256.Sum256([]byte("a message"))
	got, err := key.Sign(rand.Reader, sum[:], crypto.SHA256)
	want, wantErr := private.Sign(rand.Reader, sum[:], crypto.SHA256)
	if err != nil || wantErr != nil || !bytes.Equal(got, want) {
		t.Errorf("%x, %v; want %x, %v", got, err, want, wantErr)
	}
	if k := s.Keys()[0]; k.Algorithm != kindRSA || k.Bits != 1024 || !private.PublicKey.Equal(k.Public) {
		t.Errorf("%+v", k)
	}
	if name := RSALibrary(); !strings.HasPrefix(name, "libcrypto ") {
		t.Errorf("RSALibrary is %q", name)
	}
}

// What libcrypto does not serve signs as without it, and nothing is said of it.
func TestAccelerateLeavesOtherKeys(t *testing.T) {
	public := generate(t, kindRSA).(*rsa.PrivateKey).PublicKey
	for name, key := range map[string]crypto.Signer{
		"Ed25519":   generate(t, kindEd25519),
		"no primes": &rsa.PrivateKey{PublicKey: public},
		"no key":    nil,
	} {
		var log bytes.Buffer
		got := accelerate(key, slog.New(slog.NewTextHandler(&log, nil)))
		if _, fast := got.(*libcrypto.RSA); fast || (got == nil) != (key == nil) || log.Len() > 0 {
			t.Errorf("%s: a %T, logged %q", name, got, log.String())
		}
	}
}
