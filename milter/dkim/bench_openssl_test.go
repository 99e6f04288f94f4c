//go:build openssl

package dkim

import (
	"crypto"
	"crypto/sha256"
	"testing"

	"github.com/postseal/postseal/keys/libcrypto"
)

// BenchmarkSignLibcrypto signs a message of 2 KB on crypto/rsa and on libcrypto,
// beside the bare signatures.
func BenchmarkSignLibcrypto(b *testing.B) {
	fast, err := libcrypto.NewRSA(benchRSA())
	if err != nil {
		b.Fatal(err)
	}
	fields, body := fieldsOf(b, benchHeader()), benchBody("text", 2<<10)
	digest := sha256.Sum256(body)
	for _, k := range []struct {
		name string
		key  crypto.Signer
	}{{"crypto-rsa", benchRSA()}, {"libcrypto", fast}} {
		b.Run(k.name, func(b *testing.B) {
			o := signingOptions(b)
			o.Header, o.Body = Relaxed, Relaxed
			b.ReportAllocs()
			for b.Loop() {
				benchSign(b, []crypto.Signer{k.key}, o, fields, body)
			}
		})
		b.Run(k.name+"/bare", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := k.key.Sign(nil, digest[:], crypto.SHA256); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
