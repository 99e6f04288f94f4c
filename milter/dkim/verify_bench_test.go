package dkim

import (
	"context"
	"crypto"
	"crypto/ed25519"
	"crypto/sha256"
	"fmt"
	"strings"
	"testing"
)

// BenchmarkVerify verifies ordinary messages with one and with three signatures
// of one key; the resolver answers at once. Beside it, bare: SHA-256 of the
// body and the public key's own work.
func BenchmarkVerify(b *testing.B) {
	const names = "h=from:x-field-1:x-field-2:x-field-3:x-field-4:x-field-5:x-field-6:x-field-7:x-field-8"
	for _, k := range []struct {
		name, alg, record string
		key               crypto.Signer
	}{
		{"rsa2048", "rsa", rsaRecord(&benchRSA().PublicKey), benchRSA()},
		{"ed25519", "ed25519", edRecord(), edKey},
	} {
		for _, size := range benchSizes() {
			for _, signatures := range []int{1, 3} {
				name := fmt.Sprintf("%s/%s/%d/", k.name, size.name, signatures)
				for _, c := range []Canonicalization{Simple, Relaxed} {
					b.Run(name+c.String(), func(b *testing.B) {
						fields := fieldsOf(b, benchHeader())
						template := strings.NewReplacer("h=from", names, "ed25519", k.alg, "relaxed/relaxed", "relaxed/"+c.String()).Replace(edTemplate)
						for range signatures {
							fields = forge(b, k.key, template, fields, string(size.body))
						}
						z := oneKey(k.record)
						b.ReportAllocs()
						for b.Loop() {
							benchVerify(b, fields, size.body, z)
						}
					})
				}
				b.Run(name+"bare", func(b *testing.B) {
					digest := sha256.Sum256(size.body)
					opts := crypto.Hash(0)
					if k.alg == "rsa" {
						opts = crypto.SHA256
					}
					sig, err := k.key.Sign(nil, digest[:], opts)
					if err != nil {
						b.Fatal(err)
					}
					pub := k.key.Public()
					b.ReportAllocs()
					for b.Loop() {
						digest = sha256.Sum256(size.body)
						for range signatures {
							if !verifyDigest(pub, digest[:], sig) {
								b.Fatal("the bare signature does not verify")
							}
						}
					}
				})
			}
		}
	}
}

func benchVerify(b *testing.B, fields []Field, body []byte, z Resolver) {
	all := NewBody()
	v := NewVerifier(context.Background(), fields, all, z, VerifyOptions{Now: now})
	writeChunks(all, body)
	for _, r := range v.Results() {
		if r.Status != Pass {
			b.Fatal(r.Err)
		}
	}
}

// BenchmarkHeader makes the header of an ordinary message canonical, selects
// what is signed, and finds it again, beside SHA-256 of as many octets.
func BenchmarkHeader(b *testing.B) {
	header := []byte(benchHeader())
	fields := fieldsOf(b, benchHeader())
	selection, err := NewHeaderSelection([]string{"from", "to", "subject", "date", "x-*"}, []string{"x-field-1"}, []string{"From", "To"})
	if err != nil {
		b.Fatal(err)
	}
	names := selection.Names(fields)
	buf := make([]byte, 0, 1<<10)
	canonical := func(c Canonicalization) {
		for _, f := range fields {
			buf = c.AppendHeader(buf[:0], f)
		}
	}
	for _, work := range []struct {
		name string
		do   func()
	}{
		{"sha256", func() { sha256.Sum256(header) }},
		{"simple", func() { canonical(Simple) }},
		{"relaxed", func() { canonical(Relaxed) }},
		{"selection", func() { selection.Names(fields) }},
		{"index", func() {
			x := newHeaderIndex(fields)
			for _, name := range names {
				x.pick(name)
			}
		}},
	} {
		b.Run(work.name, func(b *testing.B) {
			b.SetBytes(int64(len(header)))
			b.ReportAllocs()
			for b.Loop() {
				work.do()
			}
		})
	}
}

// BenchmarkParse reads signatures and key records, beside a verification with
// the key.
func BenchmarkParse(b *testing.B) {
	rsaField := signMessage(b, fieldsOf(b, benchHeader()), letterBody, SignOptions{
		Domain: "example.com", Selector: "s", Key: benchRSA(), Selection: signingOptions(b).Selection, BodyLimit: -1,
	})
	digest := sha256.Sum256(nil)
	rsaSig, err := benchRSA().Sign(nil, digest[:], crypto.SHA256)
	if err != nil {
		b.Fatal(err)
	}
	edSig := ed25519.Sign(edKey, digest[:])
	rsaText, edText := rsaRecord(&benchRSA().PublicKey), edRecord()
	for _, work := range []struct {
		name string
		do   func() bool
	}{
		{"signature", func() bool { _, err := parseSignature(rsaField.Value); return err == nil }},
		{"rsa2048-record", func() bool { _, err := ParseKeyRecord(rsaText); return err == nil }},
		{"rsa2048-bare", func() bool { return verifyDigest(&benchRSA().PublicKey, digest[:], rsaSig) }},
		{"ed25519-record", func() bool { _, err := ParseKeyRecord(edText); return err == nil }},
		{"ed25519-bare", func() bool { return verifyDigest(edKey.Public(), digest[:], edSig) }},
	} {
		b.Run(work.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if !work.do() {
					b.Fatal("failed")
				}
			}
		})
	}
}
