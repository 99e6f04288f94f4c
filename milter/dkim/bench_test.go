package dkim

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"fmt"
	"strings"
	"sync"
	"testing"
)

// benchChunk is how much of a body Postfix sends at once, in octets.
const benchChunk = 65535

// benchRSA is an RSA key of the usual size.
var benchRSA = sync.OnceValue(func() *rsa.PrivateKey {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return key
})

// benchHeader is the header of an ordinary message: 17 fields, most of them folded.
func benchHeader() string {
	header := letterHeader
	for i := range 13 {
		header += fmt.Sprintf("X-Field-%d: of the usual length,\r\n\tfolded once for good measure\r\n", i)
	}
	return header
}

// sizedBody is the body of a message that is signed and verified.
type sizedBody struct {
	name string
	body []byte
}

func benchSizes() []sizedBody {
	return []sizedBody{{"2KB", benchBody("text", 2<<10)}, {"50KB", benchBody("text", 50<<10)}, {"10MB", benchBody("text", 10<<20)}}
}

// BenchmarkSign signs ordinary messages with one key and with two, who share
// the hash of the body. Beside it, bare: SHA-256 of the body and the keys' own
// work.
func BenchmarkSign(b *testing.B) {
	for _, k := range []struct {
		name string
		keys []crypto.Signer
	}{
		{"rsa2048", []crypto.Signer{benchRSA()}},
		{"ed25519", []crypto.Signer{signingEd25519()}},
		{"both", []crypto.Signer{benchRSA(), signingEd25519()}},
	} {
		fields := fieldsOf(b, benchHeader())
		for _, size := range benchSizes() {
			for _, c := range []Canonicalization{Simple, Relaxed} {
				b.Run(k.name+"/"+size.name+"/"+c.String(), func(b *testing.B) {
					o := signingOptions(b)
					o.Header, o.Body = Relaxed, c
					b.ReportAllocs()
					for b.Loop() {
						benchSign(b, k.keys, o, fields, size.body)
					}
				})
			}
			b.Run(k.name+"/"+size.name+"/bare", func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					digest := sha256.Sum256(size.body)
					for _, key := range k.keys {
						bareSign(b, key, digest[:])
					}
				}
			})
		}
	}
}

// benchSign signs a message with all keys.
func benchSign(b *testing.B, keys []crypto.Signer, o SignOptions, fields []Field, body []byte) {
	var signers [2]*Signer
	all := NewBody()
	for i, key := range keys {
		var err error
		o.Key = key
		if signers[i], err = NewSigner(fields, all, o); err != nil {
			b.Fatal(err)
		}
	}
	writeChunks(all, body)
	for _, s := range signers[:len(keys)] {
		if _, err := s.Sign(); err != nil {
			b.Fatal(err)
		}
	}
}

// bareSign is the work of the key alone.
func bareSign(b *testing.B, key crypto.Signer, digest []byte) {
	opts := crypto.Hash(0)
	if _, ok := key.(*rsa.PrivateKey); ok {
		opts = crypto.SHA256
	}
	if _, err := key.Sign(rand.Reader, digest, opts); err != nil {
		b.Fatal(err)
	}
}

func writeChunks(all *Body, body []byte) {
	for ; len(body) > 0; body = body[min(benchChunk, len(body)):] {
		_, _ = all.Write(body[:min(benchChunk, len(body))]) // never fails
	}
	all.Close()
}

// benchUnits are what the bodies of benchmarks are made of.
var benchUnits = []struct{ name, unit string }{
	{"text", "An ordinary line of text in a message for benchmarks, like any other there is.\r\n"},
	{"prose", "Two blanks follow a full stop.  Lines are short.\r\n\r\n    Some are indented,\r\nand some\tare not.\r\n"},
	{"base64", strings.Repeat("TWFu", 19) + "\r\n"},
	{"short-lines", "x\r\n"},
	{"long-lines", strings.Repeat("A paragraph that some mail program wrote as one line. ", 18) + "End.\r\n"},
	{"one-line", "An HTML page whose author never pressed the key for a new line. "},
	{"blanks", "x \t"},
	{"CRLFs", "\r\n"},
	{"8-bit", eightBit()},
}

// eightBit are octets of every kind, in lines as Postfix cuts them.
func eightBit() string {
	var text []byte
	for n := uint32(1); len(text) < 8<<10; n = n*1664525 + 1013904223 { // any octets that are always the same
		if text = append(text, byte(n>>24)); len(text)%1000 == 998 {
			text = append(text, "\r\n"...)
		}
	}
	return string(text)
}

func benchBody(unit string, size int) []byte {
	for _, u := range benchUnits {
		if u.name == unit {
			return bytes.Repeat([]byte(u.unit), size/len(u.unit))
		}
	}
	panic(unit)
}

// BenchmarkBody canonicalizes and hashes 10 MB of several kinds, as they are
// and with FixCRLF, beside bare SHA-256 of as many octets.
func BenchmarkBody(b *testing.B) {
	for _, u := range benchUnits {
		body := benchBody(u.name, 10<<20)
		work := map[string]func(){
			"sha256":        func() { sha256.Sum256(body) },
			"simple":        func() { hashBody(body, benchChunk, Simple) },
			"relaxed":       func() { hashBody(body, benchChunk, Relaxed) },
			"both":          func() { hashBody(body, benchChunk, Simple, Relaxed) },
			"simple-fixed":  func() { hashFixed(body, benchChunk, Simple) },
			"relaxed-fixed": func() { hashFixed(body, benchChunk, Relaxed) },
		}
		for _, name := range []string{"sha256", "simple", "relaxed", "both", "simple-fixed", "relaxed-fixed"} {
			b.Run(u.name+"/"+name, func(b *testing.B) {
				b.SetBytes(int64(len(body)))
				b.ReportAllocs()
				for b.Loop() {
					work[name]()
				}
			})
		}
	}
	unix := bytes.ReplaceAll(benchBody("text", 10<<20), []byte("\r\n"), []byte("\n"))
	b.Run("bare-LF/simple-fixed", func(b *testing.B) {
		b.SetBytes(int64(len(unix)))
		for b.Loop() {
			hashFixed(unix, benchChunk, Simple)
		}
	})
}
