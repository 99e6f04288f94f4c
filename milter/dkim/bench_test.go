package dkim

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"fmt"
	"strings"
	"testing"
)

// BenchmarkSign signs a message of 2 KB beside the bare operation of the key.
func BenchmarkSign(b *testing.B) {
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		b.Fatal(err)
	}
	fields := append([]Field{}, rfc8463Fields...)
	for i := range 12 {
		fields = append(fields, Field{fmt.Sprintf("X-Field-%d", i), " of the usual length,\r\n\tfolded once for good measure"})
	}
	body := []byte(strings.Repeat("A line of text in a message of 2 KB.\r\n", 2048/38))
	for _, k := range []struct {
		name string
		key  crypto.Signer
		opts crypto.SignerOpts
	}{{"rsa2048", rsaKey, crypto.SHA256}, {"ed25519", signingEd25519(), crypto.Hash(0)}} {
		b.Run(k.name, func(b *testing.B) {
			o := signingOptions(b)
			o.Key, o.Header, o.Body = k.key, Relaxed, Relaxed
			b.ReportAllocs()
			for b.Loop() {
				body, all := body, NewBody()
				s, err := NewSigner(fields, all, o)
				if err != nil {
					b.Fatal(err)
				}
				_, _ = all.Write(body)
				all.Close()
				if _, err := s.Sign(); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(k.name+"/bare", func(b *testing.B) {
			digest := sha256.Sum256(body)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := k.key.Sign(rand.Reader, digest[:], k.opts); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkBody stands beside bare SHA-256.
func BenchmarkBody(b *testing.B) {
	line := "A line of  text that is neither short nor long, with two blanks.\r\n"
	sizes := []struct {
		name string
		body []byte
	}{
		{"50KB", []byte(strings.Repeat(line, 50<<10/len(line)))},
		{"50KB-canonical", []byte(strings.Repeat(strings.ReplaceAll(line, "  ", " "), 50<<10/len(line)))},
		{"10MB", []byte(strings.Repeat(line, 10<<20/len(line)))},
		{"10MB-short-lines", []byte(strings.Repeat("x\r\n", 10<<20/3))},
		{"10MB-blanks", []byte(strings.Repeat("x \t", 10<<20/3))},
	}
	for _, size := range sizes {
		for _, c := range []Canonicalization{Simple, Relaxed} {
			b.Run(size.name+"/"+c.String(), func(b *testing.B) {
				b.SetBytes(int64(len(size.body)))
				b.ReportAllocs()
				for b.Loop() {
					hashBody(size.body, 65535, c)
				}
			})
			b.Run(size.name+"/"+c.String()+"-mended", func(b *testing.B) {
				b.SetBytes(int64(len(size.body)))
				for b.Loop() {
					hashFixed(size.body, 65535, c)
				}
			})
		}
		b.Run(size.name+"/sha256", func(b *testing.B) {
			b.SetBytes(int64(len(size.body)))
			for b.Loop() {
				sha256.Sum256(size.body)
			}
		})
	}
}
