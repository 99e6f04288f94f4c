package zone

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"path/filepath"
	"strings"

	"github.com/miekg/dns"
	"github.com/postseal/postseal/keys"
	"github.com/postseal/postseal/milter/dkim"
)

// TSIG is a key for transactions with a name server (RFC 8945). It is a
// dns.TsigProvider.
type TSIG struct {
	// Name and Algorithm are as on the wire, in lower case and with a final dot.
	Name, Algorithm string

	secret []byte
}

// ErrNoTSIG is the error of text that holds no key that can be used.
var ErrNoTSIG = errors.New("no TSIG key")

func noTSIG(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{ErrNoTSIG}, args...)...)
}

// hashes are the algorithms of RFC 8945 §6 that are fit for use. MD5 and SHA-1 are left
// out on purpose.
var hashes = map[string]func() hash.Hash{
	"hmac-sha224": sha256.New224, "hmac-sha256": sha256.New,
	"hmac-sha384": sha512.New384, "hmac-sha512": sha512.New,
}

// ReadTSIG reads the file of a key, of at most 64 KiB: a key statement of named.conf, as
// tsig-keygen and ddns-confgen write it, or a file K….private of BIND's older
// dnssec-keygen. Nobody but its owner and root may be able to read it
// (*keys.UnsafeError). No error has any of the secret.
func ReadTSIG(path string) (*TSIG, error) {
	if base, ok := strings.CutSuffix(path, ".key"); ok && strings.HasPrefix(filepath.Base(path), "K") {
		path = base + ".private" // nsupdate takes either name of the pair
	}
	text, err := keys.ReadSecret(path)
	if err != nil {
		return nil, err
	}
	defer clear(text)
	name, _, pair := strings.Cut(filepath.Base(path), ".+")
	var k *TSIG
	if name, ok := strings.CutPrefix(name, "K"); ok && pair && strings.HasSuffix(path, ".private") {
		k, err = parsePrivate(name, string(text))
	} else {
		k, err = ParseTSIG(string(text))
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return k, nil
}

// newTSIG checks the parts of a key.
func newTSIG(name, algorithm, secret string) (*TSIG, error) {
	ascii, err := dkim.DomainName(strings.TrimSuffix(name, "."))
	if err != nil {
		return nil, noTSIG("its name: %w", err)
	}
	algorithm = strings.TrimSuffix(strings.ToLower(algorithm), ".")
	if hashes[algorithm] == nil {
		return nil, unfit(ascii, algorithm)
	}
	bytes, err := base64.StdEncoding.DecodeString(secret)
	if err != nil || len(bytes) == 0 {
		return nil, noTSIG("the secret of %q is not base64: copy the file again, whole", ascii)
	}
	return &TSIG{Name: ascii + ".", Algorithm: algorithm + ".", secret: bytes}, nil
}

// unfit says why a key of an algorithm is not used.
func unfit(name, algorithm string) error {
	anew := fmt.Sprintf("make another, on the name server too: tsig-keygen -a hmac-sha256 %s", name)
	switch {
	case strings.HasPrefix(algorithm, "hmac-md5"), strings.HasPrefix(algorithm, "hmac-sha1"):
		return noTSIG("the key %q is for %s, which is too weak; %s", name, algorithm, anew)
	case algorithm == "":
		return noTSIG("the key %q does not say its algorithm", name)
	}
	return noTSIG("the key %q is for %.40q, and hmac-sha224, -256, -384 and -512 are known, without a length behind them; %s", name, algorithm, anew)
}

// Generate implements dns.TsigProvider.
func (k *TSIG) Generate(msg []byte, t *dns.TSIG) ([]byte, error) {
	if !strings.EqualFold(t.Hdr.Name, k.Name) {
		return nil, dns.ErrSecret
	}
	if !strings.EqualFold(t.Algorithm, k.Algorithm) {
		return nil, dns.ErrKeyAlg
	}
	mac := hmac.New(hashes[strings.TrimSuffix(k.Algorithm, ".")], k.secret)
	mac.Write(msg)
	return mac.Sum(nil), nil
}

// Verify implements dns.TsigProvider.
func (k *TSIG) Verify(msg []byte, t *dns.TSIG) error {
	want, err := k.Generate(msg, t)
	if err != nil {
		return err
	}
	got, err := hex.DecodeString(t.MAC)
	if err != nil || !hmac.Equal(got, want) {
		return dns.ErrSig
	}
	return nil
}
