package dkim_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"strings"
	"testing"
	"time"

	"github.com/postseal/postseal/milter/dkim"
	"github.com/postseal/postseal/testdata/peers"
)

const (
	domain          = "example.com"
	rsaSelector     = "rsa"
	ed25519Selector = "ed"
)

var canonicalizations = []string{"simple/simple", "simple/relaxed", "relaxed/simple", "relaxed/relaxed"}

// keyring is the two keys of the interop tests and their records.
type keyring struct {
	rsa     *rsa.PrivateKey
	ed25519 ed25519.PrivateKey
	zone    zone
}

// zone stands in for the DNS: the name of a record and its text.
type zone map[string]string

func (z zone) LookupTXT(_ context.Context, name string) ([]string, bool, error) {
	if txt, ok := z[strings.TrimSuffix(name, ".")]; ok {
		return []string{txt}, false, nil
	}
	return nil, false, nil
}

func newKeyring(t *testing.T) *keyring {
	t.Helper()
	r, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	public, err := x509.MarshalPKIXPublicKey(&r.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	edPublic, e, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return &keyring{rsa: r, ed25519: e, zone: zone{
		rsaSelector + "._domainkey." + domain:     "v=DKIM1; k=rsa; p=" + base64.StdEncoding.EncodeToString(public),
		ed25519Selector + "._domainkey." + domain: "v=DKIM1; k=ed25519; p=" + base64.StdEncoding.EncodeToString(edPublic),
	}}
}

// rsaPEM is the RSA key as every peer reads it, PKCS #1.
func (k *keyring) rsaPEM() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(k.rsa)})
}

// ed25519PEM is the Ed25519 key as OpenDKIM reads it, PKCS #8.
func (k *keyring) ed25519PEM(t *testing.T) []byte {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(k.ed25519)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
}

// split takes a message apart for the engine.
func split(message []byte) ([]dkim.Field, []byte) {
	raw, body := peers.Split(message)
	fields := make([]dkim.Field, len(raw))
	for i, f := range raw {
		fields[i].Name, fields[i].Value, _ = strings.Cut(f, ":")
	}
	return fields, body
}

// everything signs every field but trace fields, and oversigns some.
func everything(t *testing.T) *dkim.HeaderSelection {
	t.Helper()
	s, err := dkim.NewHeaderSelection([]string{"*"}, []string{"Received", "DKIM-Signature"}, []string{"From", "Subject", "X-Absent"})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// sign puts one signature for each of options on top of message: the first on
// top of the others. One pass over the body serves all.
func sign(t *testing.T, message []byte, options ...dkim.SignOptions) []byte {
	t.Helper()
	fields, text := split(message)
	body := dkim.NewBody()
	var signers []*dkim.Signer
	for _, o := range options {
		s, err := dkim.NewSigner(fields, body, o)
		if err != nil {
			t.Fatal(err)
		}
		signers = append(signers, s)
	}
	for piece := text; len(piece) > 0; piece = piece[min(chunk, len(piece)):] {
		if _, err := body.Write(piece[:min(chunk, len(piece))]); err != nil {
			t.Fatal(err)
		}
	}
	body.Close()
	var out bytes.Buffer
	for _, s := range signers {
		f, err := s.Sign()
		if err != nil {
			t.Fatal(err)
		}
		out.WriteString(f.Name + ":" + f.Value + "\r\n")
	}
	out.Write(message)
	return out.Bytes()
}

// verify has the engine judge message.
func verify(t *testing.T, z zone, message []byte) []dkim.Result {
	t.Helper()
	fields, text := split(message)
	body := dkim.NewBody()
	v := dkim.NewVerifier(t.Context(), fields, body, z, dkim.VerifyOptions{Now: time.Now()})
	if _, err := body.Write(text); err != nil {
		t.Fatal(err)
	}
	body.Close()
	return v.Results()
}

// options are those of a plain signature with the key.
func options(t *testing.T, selector string, key crypto.Signer, canonicalization string) dkim.SignOptions {
	t.Helper()
	header, body, err := dkim.ParseCanonicalization(canonicalization)
	if err != nil {
		t.Fatal(err)
	}
	return dkim.SignOptions{
		Domain: domain, Selector: selector, Key: key, Header: header, Body: body,
		Selection: everything(t), Time: time.Now(), BodyLimit: -1,
	}
}
