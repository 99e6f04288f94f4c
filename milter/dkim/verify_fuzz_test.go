package dkim

import (
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"strings"
	"testing"
)

// Whatever the message: one sound result for each signature.
func FuzzVerify(f *testing.F) {
	f.Add(rfc8463, uint8(0))
	f.Add(messageText(forgeLetter(f, edTemplate), letterBody), uint8(1))
	f.Add(messageText(forgeLetter(f, edTemplate+"; l=5"), letterBody), uint8(2))
	f.Add("DKIM-Signature:\r\nDKIM-Signature : v=1;b=\r\n\r\n", uint8(3))
	every := resolve(func(context.Context, string) ([]string, bool, error) {
		return []string{edRecord(), "v=spf1", rsaRecord(&rsaKey().PublicKey)}, false, nil
	})
	f.Fuzz(func(t *testing.T, text string, policy uint8) {
		fields, body := splitText(t, text)
		signatures := 0
		for _, field := range fields {
			if field.Is("DKIM-Signature") {
				signatures++
			}
		}
		results := verify(fields, body, every, VerifyOptions{MaxSignatures: 3, BodyLength: BodyLengthPolicy(policy % 4)})
		if len(results) != signatures {
			t.Fatalf("%d results for %d signatures", len(results), signatures)
		}
		for _, r := range results {
			if r.Status == "" || r.Status == None || (r.Status == Pass) != (r.Err == nil) || !fields[r.Field].Is("DKIM-Signature") {
				t.Fatalf("%+v", r)
			}
			if r.Err != nil && strings.ContainsAny(r.Err.Error(), "\r\n\x00") {
				t.Fatalf("raw text in the error %q", r.Err)
			}
			if r.Status == Pass && (r.KeyBits == 0 || r.Domain == "" || r.Selector == "") {
				t.Fatalf("passed: %+v", r)
			}
		}
	})
}

// What our signer signs passes, and not when the body is another.
func FuzzSignVerify(f *testing.F) {
	f.Add("Subject: x\r\n y \r\nTo : b\r\nsubject:\r\n", letterBody, uint8(0))
	f.Add("b: b=\r\nDKIM-Signature: x\r\n", "\n\n \n", uint8(7))
	f.Add("X: \x00\xff\r\n\t\r\n", "\r\r\n", uint8(13))
	f.Fuzz(func(t *testing.T, header, body string, way uint8) {
		fields, body := splitText(t, "From: a@example.com\r\n"+header+"\r\n\r\n"+body)
		for _, f := range fields {
			if strings.ContainsAny(f.Name, ";") {
				t.Skip("a name that h= cannot hold")
			}
		}
		o := signingOptions(t)
		o.Header, o.Body = Canonicalization(way&1), Canonicalization(way>>1&1)
		o.CopyFields = way&4 != 0
		if way&8 != 0 {
			o.Key = signingRSA()
		}
		signed := append([]Field{signMessage(t, fields, body, o)}, fields...)
		record := "k=ed25519; p=" + base64.StdEncoding.EncodeToString(signingEd25519().Public().(ed25519.PublicKey))
		if way&8 != 0 {
			record = rsaRecord(&signingRSA().PublicKey)
		}
		z := &zone{txt: map[string][]string{"mail._domainkey.example.com": {record}}}
		if r := verify(signed, body, z, VerifyOptions{})[0]; r.Status != Pass || !r.Covers(signed, "From") {
			t.Fatalf("%s, %v\n%q", r.Status, r.Err, messageText(signed, body))
		}
		if r := verify(signed, body+"x", z, VerifyOptions{})[0]; r.Status != Fail {
			t.Fatalf("body changed: %s, %v", r.Status, r.Err)
		}
		if r := verify(append(signed, Field{"From", " b@example.com"}), body, z, VerifyOptions{})[0]; r.Status != Fail {
			t.Fatalf("From added: %s, %v", r.Status, r.Err)
		}
	})
}
