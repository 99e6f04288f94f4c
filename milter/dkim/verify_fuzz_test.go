package dkim

import (
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"strings"
	"testing"
	"time"
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

// What our signer signs passes, whatever the message and the options, and not
// when the body is another.
func FuzzSignVerify(f *testing.F) {
	f.Add("Subject: x\r\n y \r\nTo : b\r\nsubject:\r\n", letterBody, uint8(0), "", int64(-1), "*", "", uint32(0))
	f.Add("b: b=\r\nDKIM-Signature: x\r\n", "\n\n \n", uint8(7), "joe=x;y@sub.example.com", int64(3), "from,subject", "to,subject", uint32(60))
	f.Add("X: \x00\xff\r\n\t\r\n", "\r\r\n", uint8(13), "@example.com", int64(0), "x*", "dkim-filter", uint32(1<<31))
	f.Fuzz(func(t *testing.T, header, body string, way uint8, auid string, limit int64, sign, oversign string, ttl uint32) {
		fields, body := splitText(t, "From: a@example.com\r\n"+header+"\r\n\r\n"+body)
		o := signingOptions(t)
		o.Header, o.Body = Canonicalization(way&1), Canonicalization(way>>1&1)
		o.CopyFields, o.RequestReports = way&4 != 0, way&16 != 0
		o.AUID, o.BodyLimit = auid, limit
		key := signingEd25519().Public()
		record := "k=ed25519; p=" + base64.StdEncoding.EncodeToString(key.(ed25519.PublicKey))
		if way&8 != 0 {
			o.Key, record = signingRSA(), rsaRecord(&signingRSA().PublicKey)
		}
		if ttl > 0 {
			o.Expiration = o.Time.Add(time.Duration(ttl) * time.Second)
		}
		always := []string{"From"} // a second one is what the end of this test adds
		if oversign != "" {
			always = append(always, strings.Split(oversign, ",")...)
		}
		selection, err := NewHeaderSelection(strings.Split(sign, ","), nil, always)
		if err != nil {
			t.Skip("no list of names")
		}
		o.Selection = selection
		if _, err := NewSigner(fields, NewBody(), o); err != nil {
			t.Skip("refused")
		}
		signed := append([]Field{signMessage(t, fields, body, o)}, fields...)
		z := &zone{txt: map[string][]string{"mail._domainkey.example.com": {record}}}
		options := VerifyOptions{BodyLength: BodyLengthAccept}
		if r := verify(signed, body, z, options)[0]; r.Status != Pass || !r.Covers(signed, "From") {
			t.Fatalf("%s, %v\n%q", r.Status, r.Err, messageText(signed, body))
		}
		if r := verify(signed, body+"x", z, options)[0]; limit < 0 && r.Status != Fail {
			t.Fatalf("body changed: %s, %v", r.Status, r.Err)
		}
		if r := verify(append(signed, Field{"From", " b@example.com"}), body, z, options)[0]; r.Status != Fail {
			t.Fatalf("From added: %s, %v", r.Status, r.Err)
		}
	})
}
