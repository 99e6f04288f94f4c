package dkim

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/asn1"
	"encoding/base64"
	"errors"
	"math/big"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// pkcs1 makes a record of a bare RSAPublicKey with any numbers.
func pkcs1(n *big.Int, e int64) string {
	der, err := asn1.Marshal(struct{ N, E *big.Int }{n, big.NewInt(e)})
	if err != nil {
		panic(err)
	}
	return "v=DKIM1; p=" + base64.StdEncoding.EncodeToString(der)
}

// modulus returns an odd number of so many bits.
func modulus(bits int) *big.Int {
	n := new(big.Int).Lsh(big.NewInt(1), uint(bits-1))
	return n.SetBit(n, 0, 1)
}

func keyData(record string) string {
	_, p, _ := strings.Cut(record, "p=")
	return p
}

func TestParseKeyRecord(t *testing.T) {
	pub := &rsaKey().PublicKey
	rsaData := keyData(rsaRecord(pub))
	edPub := edKey.Public().(ed25519.PublicKey)
	edData := keyData(edRecord())
	rsaWant := KeyRecord{Type: KeyRSA, Public: pub, Bits: 1024}
	edWant := KeyRecord{Type: KeyEd25519, Public: edPub, Bits: 256}
	change := func(r KeyRecord, f func(*KeyRecord)) KeyRecord { f(&r); return r }

	tests := []struct {
		name, txt string
		want      KeyRecord
	}{
		{"SubjectPublicKeyInfo", "v=DKIM1; k=rsa; p=" + rsaData, rsaWant},
		{"bare RSAPublicKey", pkcs1(pub.N, int64(pub.E)), rsaWant},
		{"no version, no type", "p=" + rsaData, rsaWant},
		{"type in capitals", "k=RSA; p=" + rsaData, rsaWant},
		{"Ed25519", "v=DKIM1; k=ed25519; p=" + edData, edWant},
		{"blanks in p=", "k=ed25519; p= " + edData[:9] + " " + edData[9:20] + "\t\r\n " + edData[20:] + " ;", edWant},
		{"no padding", "k=ed25519; p=" + strings.TrimRight(edData, "="), edWant},
		{"too much padding", "k=ed25519; p=" + edData + "=", edWant},
		{"flags", "t = s : y : other; p=" + rsaData, change(rsaWant, func(r *KeyRecord) { r.Testing, r.Strict = true, true })},
		{"flag in capitals", "t=Y; p=" + rsaData, change(rsaWant, func(r *KeyRecord) { r.Testing = true })},
		{"lists", "h=sha1 : SHA256; s=EMAIL:tlsrpt; p=" + rsaData, change(rsaWant, func(r *KeyRecord) {
			r.Hashes, r.Services = []string{"sha1", "sha256"}, []string{"email", "tlsrpt"}
		})},
		{"notes, granularity and unknown tags", "v=DKIM1; g=*; n=our=20key; x1=2; p=" + rsaData, change(rsaWant, func(r *KeyRecord) { r.Notes = "our=20key" })},
		{"revoked", "v=DKIM1; p=", KeyRecord{Type: KeyRSA, Revoked: true}},
		{"revoked, with blanks", "v=DKIM1; p= ;", KeyRecord{Type: KeyRSA, Revoked: true}},
		{"far too large is read all the same", pkcs1(modulus(65536), 1<<31-1), KeyRecord{
			Type: KeyRSA, Bits: 65536, Public: &rsa.PublicKey{N: modulus(65536), E: 1<<31 - 1},
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := ParseKeyRecord(tt.txt)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(&tt.want, got, cmp.Comparer(func(a, b *big.Int) bool { return a.Cmp(b) == 0 })); diff != "" {
				t.Errorf("-want +got\n%s", diff)
			}
		})
	}
}

func TestParseKeyRecordErrors(t *testing.T) {
	rsaData := keyData(rsaRecord(&rsaKey().PublicKey))
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	ecDER, err := x509.MarshalPKIXPublicKey(&ec.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	edDER, err := x509.MarshalPKIXPublicKey(edKey.Public())
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name, txt string
		want      error
	}{
		{"empty", "", ErrKeySyntax},
		{"words", "hello world", ErrKeySyntax},
		{"control character", "v=DKIM1; p=\x00", ErrKeySyntax},
		{"no p", "v=DKIM1; k=rsa", ErrKeySyntax},
		{"another version", "v=DKIM2; p=" + rsaData, ErrKeyVersion},
		{"version in small letters", "v=dkim1; p=" + rsaData, ErrKeyVersion},
		{"an SPF policy", "v=spf1 include:example.org -all", ErrKeyVersion},
		{"version last", "p=" + rsaData + "; v=DKIM1", ErrKeySyntax},
		{"duplicate tag", "v=DKIM1; p=; p=" + rsaData, ErrKeySyntax},
		{"unknown type", "k=ed448; p=" + rsaData, ErrInappropriateKeyAlgorithm},
		{"empty type", "k=; p=" + rsaData, ErrInappropriateKeyAlgorithm},
		{"not base64", "p=*" + rsaData, ErrKeySyntax},
		{"cut off", "p=" + rsaData[:100], ErrKeySyntax},
		{"one letter", "p=A", ErrKeySyntax},
		{"no key", "p=" + base64.StdEncoding.EncodeToString([]byte("not a key at all")), ErrKeySyntax},
		{"an elliptic curve's key", "p=" + base64.StdEncoding.EncodeToString(ecDER), ErrKeySyntax},
		{"Ed25519 as RSA", "k=rsa; p=" + keyData(edRecord()), ErrKeySyntax},
		{"RSA as Ed25519", "k=ed25519; p=" + rsaData, ErrKeySyntax},
		{"Ed25519 in a SubjectPublicKeyInfo", "k=ed25519; p=" + base64.StdEncoding.EncodeToString(edDER), ErrKeySyntax},
		{"Ed25519 of 31 octets", "k=ed25519; p=" + base64.StdEncoding.EncodeToString(make([]byte, 31)), ErrKeySyntax},
		{"negative modulus", pkcs1(big.NewInt(-12345), 65537), ErrKeySyntax},
		{"modulus zero", pkcs1(big.NewInt(0), 65537), ErrKeySyntax},
		{"negative exponent", pkcs1(modulus(1024), -3), ErrKeySyntax},
		{"exponent beyond 32 bits", pkcs1(modulus(1024), 1<<40+1), ErrKeySyntax},
		{"octets after the key", "p=" + base64.StdEncoding.EncodeToString(append(ecDER[:0:0], append(mustDecode(rsaData), 0)...)), ErrKeySyntax},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r, err := ParseKeyRecord(tt.txt)
			if !errors.Is(err, tt.want) || r != nil {
				t.Fatalf("got %+v, %v; want %v", r, err, tt.want)
			}
		})
	}
}

func mustDecode(s string) []byte {
	b, err := base64.StdEncoding.DecodeString(s)
	if err != nil {
		panic(err)
	}
	return b
}

func TestIsKeyRecord(t *testing.T) {
	tests := []struct {
		txt  string
		want bool
	}{
		{"v=DKIM1; p=x", true},
		{" v = DKIM1", true},
		{"v=dkim2; p=x", true},
		{"p=x", true},
		{"t=y; p=x", true},
		{"k=rsa", true},
		{"", false},
		{"v=spf1 -all", false},
		{"v=spf1 p=x; p=x", false},
		{"v=", false},
		{"google-site-verification=p", false},
		{"hello", false},
		{"p", false},
	}
	for _, tt := range tests {
		if got := isKeyRecord(tt.txt); got != tt.want {
			t.Errorf("isKeyRecord(%q) = %v", tt.txt, got)
		}
	}
}

// A record is either revoked or has a key that can be used without a panic.
func FuzzKeyRecord(f *testing.F) {
	f.Add(edRecord())
	f.Add(rsaRecord(&rsaKey().PublicKey))
	f.Add("v=DKIM1; k=ed25519; h=sha256:sha1; s=email; t=y:s; n=x; p=")
	f.Add(pkcs1(modulus(64), 2))
	f.Add(pkcs1(big.NewInt(16), 1))
	f.Fuzz(func(t *testing.T, txt string) {
		r, err := ParseKeyRecord(txt)
		if err != nil {
			if r != nil {
				t.Fatalf("%q: a record and the error %v", txt, err)
			}
			return
		}
		if r.Revoked != (r.Public == nil) || r.Revoked != (r.Bits == 0) {
			t.Fatalf("%q: %+v", txt, r)
		}
		if r.Bits <= DefaultMaxRSABits && verifyDigest(r.Public, make([]byte, 32), make([]byte, 64)) {
			t.Fatalf("%q: 64 zero octets are a signature", txt)
		}
	})
}
