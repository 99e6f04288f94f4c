package dkim

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"io"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// now is the time of all tests of the verifier: t=1700000000.
var now = time.Unix(1700000000, 0)

// edKey is the private key behind edRecord.
var edKey = ed25519.NewKeyFromSeed([]byte("postseal tests: an Ed25519 seed."))

func edRecord() string {
	return "v=DKIM1; k=ed25519; p=" + base64.StdEncoding.EncodeToString(edKey.Public().(ed25519.PublicKey))
}

// rsaKey is generated once for all tests that need an RSA key.
var rsaKey = sync.OnceValue(func() *rsa.PrivateKey {
	key, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		panic(err)
	}
	return key
})

func rsaRecord(pub *rsa.PublicKey) string {
	der, err := x509.MarshalPKIXPublicKey(pub)
	if err != nil {
		panic(err)
	}
	return "v=DKIM1; k=rsa; p=" + base64.StdEncoding.EncodeToString(der)
}

// zone is a resolver from names to TXT records that counts its questions.
type zone struct {
	txt       map[string][]string
	authentic bool
	err       error // for every name
	asked     atomic.Int64
}

func (z *zone) LookupTXT(_ context.Context, name string) ([]string, bool, error) {
	z.asked.Add(1)
	return z.txt[name], z.authentic, z.err
}

// oneKey is a zone with records at s._domainkey.example.com.
func oneKey(records ...string) *zone {
	return &zone{txt: map[string][]string{"s._domainkey.example.com": records}}
}

// letter is a message for tests: the header without signatures, and the body.
const (
	letterHeader = "From: Alice <alice@example.com>\r\nTo: bob@example.org\r\nSubject: a  b\r\n\tc\r\nDate: Tue, 14 Nov 2023 22:13:20 +0000\r\n"
	letterBody   = "Hello  world \r\n\r\nBye\r\n\r\n"
)

// fieldsOf splits a header with ReadMessage.
func fieldsOf(t testing.TB, header string) []Field {
	t.Helper()
	fields, _, err := ReadMessage(strings.NewReader(header), len(header))
	if err != nil {
		t.Fatal(err)
	}
	return fields
}

// forge puts a DKIM-Signature on top of fields. template is its value, in which
// {bh} and {b} stand for what is to be computed; it may break every rule. How
// to compute is read from c=, h= and l=, where they can be read.
func forge(t testing.TB, key crypto.Signer, template string, fields []Field, body string) []Field {
	t.Helper()
	tags, _ := parseTagList(template)
	header, bodyCanon, limit := Simple, Simple, int64(-1)
	if c, ok := tags.get("c"); ok {
		header, bodyCanon, _ = ParseCanonicalization(c)
	}
	if l, ok := tags.get("l"); ok {
		limit, _ = parseDecimal(l, maxBodyDigits)
	}
	b := NewBody()
	sum := b.Hash(bodyCanon, limit)
	io.WriteString(b, body)
	b.Close()
	value := strings.ReplaceAll(template, "{bh}", base64.StdEncoding.EncodeToString(sum.Sum()))

	digest := sha256.New()
	taken := make(map[int]bool)
	h, _ := tags.get("h")
	for _, name := range colonList(h) {
		for i := len(fields) - 1; i >= 0; i-- {
			if fields[i].Is(name) && !taken[i] {
				taken[i] = true
				digest.Write(header.AppendHeader(nil, fields[i]))
				break
			}
		}
	}
	// b= is emptied by its place in the template, not by our parser.
	own := Field{Name: "DKIM-Signature", Value: strings.Replace(value, "{b}", "", 1)}
	digest.Write(bytes.TrimSuffix(header.AppendHeader(nil, own), []byte("\r\n")))

	opts := crypto.Hash(0)
	if _, ok := key.(*rsa.PrivateKey); ok {
		opts = crypto.SHA256
	}
	sig, err := key.Sign(rand.Reader, digest.Sum(nil), opts)
	if err != nil {
		t.Fatal(err)
	}
	own.Value = strings.Replace(value, "{b}", base64.StdEncoding.EncodeToString(sig), 1)
	return append([]Field{own}, fields...)
}

// edTemplate is a signature to change with replaceTag.
const edTemplate = " v=1; a=ed25519-sha256; c=relaxed/relaxed; d=example.com; s=s; h=from:to:subject:date; bh={bh}; b={b}"

// forgeLetter signs the letter with template and edKey.
func forgeLetter(t testing.TB, template string) []Field {
	t.Helper()
	return forge(t, edKey, template, fieldsOf(t, letterHeader), letterBody)
}

// verify runs the verifier over a whole message.
func verify(fields []Field, body string, r Resolver, o VerifyOptions) []Result {
	if o.Now.IsZero() {
		o.Now = now
	}
	b := NewBody()
	v := NewVerifier(context.Background(), fields, b, r, o)
	io.WriteString(b, body)
	b.Close()
	return v.Results()
}

// verifyOne is verify for a message with one signature.
func verifyOne(t testing.TB, fields []Field, body string, r Resolver, o VerifyOptions) Result {
	t.Helper()
	results := verify(fields, body, r, o)
	if len(results) != 1 {
		t.Fatalf("%d results; want 1", len(results))
	}
	return results[0]
}

// messageText writes a message out.
func messageText(fields []Field, body string) string {
	var b strings.Builder
	for _, f := range fields {
		b.WriteString(f.Name + ":" + f.Value + "\r\n")
	}
	return b.String() + "\r\n" + body
}
