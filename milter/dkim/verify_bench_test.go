package dkim

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"fmt"
	"strings"
	"testing"
)

// BenchmarkVerify verifies a message of 17 header fields with one and with
// three signatures; the resolver answers at once.
func BenchmarkVerify(b *testing.B) {
	rsa2048, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		b.Fatal(err)
	}
	header := letterHeader
	for i := range 13 {
		header += fmt.Sprintf("X-Field-%d: of the usual length,\r\n\tfolded once for good measure\r\n", i)
	}
	const names = "h=from:x-field-1:x-field-2:x-field-3:x-field-4:x-field-5:x-field-6:x-field-7:x-field-8"
	for _, k := range []struct {
		name, alg, record string
		key               crypto.Signer
	}{
		{"rsa2048", "rsa", rsaRecord(&rsa2048.PublicKey), rsa2048},
		{"ed25519", "ed25519", edRecord(), edKey},
	} {
		for _, size := range []int{2, 50} {
			for _, signatures := range []int{1, 3} {
				b.Run(fmt.Sprintf("%s/%dKB/%d", k.name, size, signatures), func(b *testing.B) {
					body := strings.Repeat("A line of text in a message for benchmarks, like any.\r\n", size<<10/55)
					fields := fieldsOf(b, header)
					template := strings.NewReplacer("h=from", names, "ed25519", k.alg).Replace(edTemplate)
					for range signatures {
						fields = forge(b, k.key, template, fields, body)
					}
					z, chunk := oneKey(k.record), []byte(body)
					b.ReportAllocs()
					for b.Loop() {
						all := NewBody()
						v := NewVerifier(context.Background(), fields, all, z, VerifyOptions{Now: now})
						_, _ = all.Write(chunk) // never fails
						all.Close()
						for _, r := range v.Results() {
							if r.Status != Pass {
								b.Fatal(r.Err)
							}
						}
					}
				})
			}
		}
	}
}
