package dkim

import (
	"bytes"
	"crypto"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"strings"
	"testing"
)

// The message, keys and signatures of RFC 8463 appendix A.
const (
	rfc8463Body = "Hi.\r\n\r\nWe lost the game.  Are you hungry yet?\r\n\r\nJoe.\r\n"
	rfc8463Seed = "nWGxne/9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A="
	rfc8463RSA  = "MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQDkHlOQoBTzWRiGs5V6NpP3id" +
		"Y6Wk08a5qhdR6wy5bdOKb2jLQiY/J16JYi0Qvx/byYzCNb3W91y3FutACDfzwQ/BC/e/8uBsCR+yz1Lx" +
		"j+PL6lHvqMKrM3rG4hstT5QjvHO9PzoxZyVYLzBfO2EeC3Ip3G+2kryOTIKT+l/K4w3QIDAQAB"
	rfc8463Ed25519Value = " v=1; a=ed25519-sha256; c=relaxed/relaxed;\r\n" +
		" d=football.example.com; i=@football.example.com;\r\n" +
		" q=dns/txt; s=brisbane; t=1528637909; h=from : to :\r\n" +
		" subject : date : message-id : from : subject : date;\r\n" +
		" bh=2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8=;\r\n b="
	rfc8463Ed25519Signature = "/gCrinpcQOoIfuHNQIbq4pgh9kyIK3AQUdt9OdqQehSwhEIug4D11BusFa3bT3FY5OsU7ZbnKELq+eXdp1Q1Dw=="
	rfc8463RSAValue         = " v=1; a=rsa-sha256; c=relaxed/relaxed;\r\n" +
		" d=football.example.com; i=@football.example.com;\r\n" +
		" q=dns/txt; s=test; t=1528637909; h=from : to : subject :\r\n" +
		" date : message-id : from : subject : date;\r\n" +
		" bh=2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8=;\r\n b="
	rfc8463RSASignature = "F45dVWDfMbQDGHJFlXUNB2HKfbCeLRyhDXgFpEL8GwpsRe0IeIixNTe3DhCVlUrSjV4BwcVcOF6+FF3Zo9Rpo1tFOeS9mPYQTnGdaSGsgeefOsk2Jz" +
		"dA+L10TeYt9BgDfQNZtKdN1WO//KgIqXP7OdEFE4LjFYNcUxZQ4FADY+8="
)

var rfc8463Fields = []Field{
	{"From", " Joe SixPack <joe@football.example.com>"},
	{"To", " Suzie Q <suzie@shopping.example.net>"},
	{"Subject", " Is dinner ready?"},
	{"Date", " Fri, 11 Jul 2003 21:00:37 -0700 (PDT)"},
	{"Message-ID", " <20030712040037.46341.5F8J@football.example.com>"},
}

func unbase64(t *testing.T, s string) []byte {
	t.Helper()
	p, err := base64.StdEncoding.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// rfc8463Signer covers Message-ID and oversigns From, Subject and Date, as the
// examples do.
func rfc8463Signer(t *testing.T) (*Signer, *Body) {
	t.Helper()
	sel, err := NewHeaderSelection([]string{"to", "message-id"}, nil, []string{"from", "subject", "date"})
	if err != nil {
		t.Fatal(err)
	}
	b := NewBody()
	s, err := NewSigner(rfc8463Fields, b, SignOptions{Domain: "football.example.com", Selector: "brisbane",
		Key: ed25519.NewKeyFromSeed(unbase64(t, rfc8463Seed)), Header: Relaxed, Body: Relaxed, Selection: sel, BodyLimit: -1})
	if err != nil {
		t.Fatal(err)
	}
	return s, b
}

func TestRFC8463Examples(t *testing.T) {
	s, b := rfc8463Signer(t)
	if got := strings.ToLower(strings.Join(s.names, ":")); got != "from:to:subject:date:message-id:from:subject:date" {
		t.Errorf("h=%s", got)
	}
	if _, err := b.Write([]byte(rfc8463Body)); err != nil {
		t.Fatal(err)
	}
	b.Close()
	if got := base64.StdEncoding.EncodeToString(s.body.Sum()); got != "2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8=" {
		t.Errorf("bh=%s", got)
	}
	// Signing the RFC's own field gives the RFC's own signature.
	sig, err := signDigest(s.o.Key, Ed25519SHA256, s.digest(Field{"DKIM-Signature", rfc8463Ed25519Value}))
	if err != nil || !bytes.Equal(sig, unbase64(t, rfc8463Ed25519Signature)) {
		t.Errorf("Ed25519: %s, %v", base64.StdEncoding.EncodeToString(sig), err)
	}
	pub, err := x509.ParsePKIXPublicKey(unbase64(t, rfc8463RSA))
	if err != nil {
		t.Fatal(err)
	}
	digest := s.digest(Field{"DKIM-Signature", rfc8463RSAValue})
	if err := rsa.VerifyPKCS1v15(pub.(*rsa.PublicKey), crypto.SHA256, digest, unbase64(t, rfc8463RSASignature)); err != nil {
		t.Errorf("RSA: %v", err)
	}
}

// The canonical forms of the message in RFC 6376 §3.4.5.
func TestRFC6376CanonicalExample(t *testing.T) {
	fields := []Field{{"A", " X"}, {"B ", " Y\t\r\n\tZ  "}}
	body := " C \r\nD \t E\r\n\r\n\r\n"
	tests := []struct {
		canon        Canonicalization
		header, body string
	}{
		{Simple, "A: X\r\nB : Y\t\r\n\tZ  \r\n", " C \r\nD \t E\r\n"},
		{Relaxed, "a:X\r\nb:Y Z\r\n", " C\r\nD E\r\n"},
	}
	for _, tt := range tests {
		var header []byte
		for _, f := range fields {
			header = tt.canon.AppendHeader(header, f)
		}
		if string(header) != tt.header {
			t.Errorf("%v header: %q, want %q", tt.canon, header, tt.header)
		}
		hash := func(c Canonicalization, text string) []byte {
			b := NewBody()
			h := b.Hash(c, -1)
			if _, err := b.Write([]byte(text)); err != nil {
				t.Fatal(err)
			}
			b.Close()
			return h.Sum()
		}
		// What is canonical already hashes as it is in simple canonicalization.
		if !bytes.Equal(hash(tt.canon, body), hash(Simple, tt.body)) {
			t.Errorf("%v body of the example is not %q", tt.canon, tt.body)
		}
	}
}
