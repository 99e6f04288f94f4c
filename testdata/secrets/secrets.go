// Package secrets finds parts of private keys in what a program says.
package secrets

import (
	"bytes"
	"crypto"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"math/big"
	"strings"
	"testing"
)

// window is how many characters of a secret in a row are a find. By chance there
// are none.
const window = 16

// Secrets are the windows of private keys in every form that they may be written
// in.
type Secrets struct{ windows map[string]string }

// Of takes the private numbers of keys, not the public ones, in base64 and DER of
// PKCS #1 and PKCS #8, in hexadecimal and decimal, and as Go prints bytes.
func Of(t testing.TB, keys ...crypto.Signer) *Secrets {
	t.Helper()
	s := &Secrets{map[string]string{}}
	for _, key := range keys {
		der, err := x509.MarshalPKCS8PrivateKey(key)
		if err != nil {
			t.Fatal(err)
		}
		switch key := key.(type) {
		case *rsa.PrivateKey:
			s.encoded(t, der, key.D.Bytes())
			s.encoded(t, x509.MarshalPKCS1PrivateKey(key), key.D.Bytes())
			p := key.Precomputed
			for name, n := range map[string]*big.Int{"d": key.D, "p": key.Primes[0], "q": key.Primes[1], "dp": p.Dp, "dq": p.Dq, "qinv": p.Qinv} {
				s.add(name+" in decimal", n.String())
				s.bytes(name, n.Bytes())
			}
		case ed25519.PrivateKey:
			s.encoded(t, der, key.Seed())
			s.bytes("seed", key.Seed())
			s.add("seed in base64", base64.StdEncoding.EncodeToString(key.Seed()))
		default:
			t.Fatalf("no secrets are known of a %T", key)
		}
	}
	return s
}

// encoded adds the base64 of a key's DER from its first secret on.
func (s *Secrets) encoded(t testing.TB, der, secret []byte) {
	at := bytes.Index(der, secret)
	if at < 0 {
		t.Fatal("the DER lacks the key")
	}
	s.add("base64 of DER", base64.StdEncoding.EncodeToString(der)[(at+2)/3*4:])
	s.add("DER", string(der[at:]))
}

// bytes adds a number in hexadecimal, and as Go prints slices and their words.
func (s *Secrets) bytes(name string, b []byte) {
	s.add(name, string(b))
	s.add(name+" in hexadecimal", hex.EncodeToString(b))
	s.add(name+" as a list", strings.Trim(fmt.Sprint(b), "[]"))
	s.add(name+" as a list", strings.Trim(fmt.Sprintf("%#v", b), "[]byte{}"))
	for len(b) >= 8 { // the words of a traceback
		s.add(name+" in a word", hex.EncodeToString(b[:8]))
		b = b[8:]
	}
}

func (s *Secrets) add(what, text string) {
	for i := 0; i+window <= len(text); i++ {
		s.windows[text[i:i+window]] = what
	}
}

// In says what part of a key is in a text, "" for none. Line ends within base64,
// and capital letters in hexadecimal, hide nothing.
func (s *Secrets) In(text string) string {
	for _, form := range []string{text, strings.ToLower(text), unbroken(text)} {
		for i := 0; i+window <= len(form); i++ {
			if what, ok := s.windows[form[i:i+window]]; ok {
				return fmt.Sprintf("%s, at %q", what, form[max(0, i-60):i])
			}
		}
	}
	return ""
}

func unbroken(text string) string {
	return strings.Map(func(r rune) rune {
		if strings.ContainsRune(" \t\r\n", r) {
			return -1
		}
		return r
	}, text)
}
