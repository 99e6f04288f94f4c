// Package proof shows that a private key makes signatures that somebody else
// accepts: it signs a probe with our own signer and has it verified by
// go-msgauth, which shares no code with it.
package proof

import (
	"bytes"
	"crypto"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"strings"

	msgauth "github.com/emersion/go-msgauth/dkim"

	"github.com/postseal/postseal/milter/dkim"
)

// The probe has what verifiers disagree on when one of them is wrong: a fold,
// a field that comes twice, blanks at line ends and an empty line at the end.
const probeBody = "This message proves that a key signs.\r\n \t \r\ntwo  blanks \r\n\r\n"

func probeFields() []dkim.Field {
	return []dkim.Field{
		{Name: "From", Value: " =?utf-8?q?Pr=C3=B6be?=\r\n <probe@postseal.invalid>"},
		{Name: "To", Value: " <nobody@postseal.invalid>"},
		{Name: "Subject", Value: "  a \t probe"},
		{Name: "List-Id", Value: " first"},
		{Name: "List-Id", Value: " second"},
	}
}

// Prove signs a probe with key as domain (d=) and selector (s=), and has it
// verified with key's public half. The error says what is wrong with the key:
// its kind or size, that it cannot sign, or that its signature does not verify,
// as it happens when its two halves do not belong together. A panic of the key,
// which may be a driver of somebody else's, is an error as well.
func Prove(domain, selector string, key crypto.Signer) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("probe of the key: panic: %v", p)
		}
	}()
	signature, err := sign(domain, selector, key)
	if err != nil {
		return fmt.Errorf("probe of the key: sign: %w", err)
	}
	record, err := publicRecord(key.Public())
	if err != nil {
		return fmt.Errorf("probe of the key: %w", err)
	}
	return verify(signature, record)
}

// sign returns the probe's DKIM-Signature field.
func sign(domain, selector string, key crypto.Signer) (dkim.Field, error) {
	selection, err := dkim.NewHeaderSelection([]string{"From", "To", "Subject", "List-Id"}, nil, []string{"From", "Cc"})
	if err != nil {
		return dkim.Field{}, err
	}
	body := dkim.NewBody()
	signer, err := dkim.NewSigner(probeFields(), body, dkim.SignOptions{
		Domain: domain, Selector: selector, Key: key,
		Header: dkim.Relaxed, Body: dkim.Relaxed, Selection: selection, BodyLimit: -1,
	})
	if err != nil {
		return dkim.Field{}, err
	}
	if _, err := body.Write([]byte(probeBody)); err != nil {
		return dkim.Field{}, err
	}
	body.Close()
	return signer.Sign()
}

// publicRecord is the key record that belongs to pub (RFC 6376 §3.6.1, RFC 8463 §4).
func publicRecord(pub crypto.PublicKey) (string, error) {
	switch pub := pub.(type) {
	case *rsa.PublicKey:
		der, err := x509.MarshalPKIXPublicKey(pub)
		if err != nil {
			return "", fmt.Errorf("public half: %w", err)
		}
		return "v=DKIM1; k=rsa; p=" + base64.StdEncoding.EncodeToString(der), nil
	case ed25519.PublicKey:
		return "v=DKIM1; k=ed25519; p=" + base64.StdEncoding.EncodeToString(pub), nil
	}
	return "", fmt.Errorf("public half is a %T; DKIM knows RSA and Ed25519", pub)
}

// verify has the signed probe verified against record by go-msgauth.
func verify(signature dkim.Field, record string) error {
	var message bytes.Buffer
	for _, f := range append([]dkim.Field{signature}, probeFields()...) {
		message.WriteString(f.Name + ":" + f.Value + "\r\n")
	}
	message.WriteString("\r\n" + probeBody)
	results, err := msgauth.VerifyWithOptions(&message, &msgauth.VerifyOptions{
		LookupTXT: func(string) ([]string, error) { return []string{record}, nil },
	})
	if err == nil && len(results) != 1 {
		err = fmt.Errorf("%d signatures were found in it", len(results))
	}
	if err == nil {
		err = results[0].Err
	}
	if err != nil {
		// The library's text begins with the package's name.
		return fmt.Errorf("probe of the key: an independent verifier does not accept the signature with the key's public half: %s; the private and the public half may not belong together: make a new key",
			strings.TrimPrefix(err.Error(), "dkim: "))
	}
	return nil
}
