package dkim

import (
	"crypto"
	"crypto/ed25519"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-msgauth/dkim"
)

// secondOpinion has an independent verifier judge a message that f signs.
func secondOpinion(t *testing.T, f Field, fields []Field, body string, key crypto.Signer) {
	t.Helper()
	var b strings.Builder
	for _, f := range append([]Field{f}, fields...) {
		b.WriteString(f.Name + ":" + f.Value + "\r\n")
	}
	b.WriteString("\r\n" + body)
	record := "v=DKIM1; k=ed25519; p="
	data, ed := key.Public().(ed25519.PublicKey)
	if !ed {
		var err error
		if data, err = x509.MarshalPKIXPublicKey(key.Public()); err != nil {
			t.Fatal(err)
		}
		record = "v=DKIM1; k=rsa; p="
	}
	var asked []string
	lookup := func(name string) ([]string, error) {
		asked = append(asked, name)
		return []string{record + base64.StdEncoding.EncodeToString(data)}, nil
	}
	got, err := dkim.VerifyWithOptions(strings.NewReader(b.String()), &dkim.VerifyOptions{LookupTXT: lookup, MaxVerifications: 1})
	if len(got) == 0 || err != nil && err != dkim.ErrTooManySignatures {
		t.Fatalf("%d verifications, %v", len(got), err)
	}
	if got[0].Err != nil {
		t.Errorf("%v, of\n%q", got[0].Err, b.String())
	}
	if len(asked) != 1 || asked[0] != "mail._domainkey.example.com" {
		t.Errorf("asked for %q", asked)
	}
}

// signEveryWay signs in all canonicalizations with both kinds of key.
func signEveryWay(t *testing.T, fields []Field, body string) {
	t.Helper()
	for way := range 8 {
		o := signingOptions(t)
		o.Header, o.Body = Canonicalization(way&1), Canonicalization(way>>1&1)
		o.AUID, o.CopyFields = "bob=e@example.com", true
		if way&4 != 0 {
			o.Key = signingRSA()
			o.Expiration = time.Now().Add(time.Hour)
		}
		secondOpinion(t, signMessage(t, fields, body, o), fields, body, o.Key)
	}
}

func TestSecondOpinion(t *testing.T) {
	from := Field{"From", " Joe <joe@example.com>"}
	crowd := []Field{from}
	for i := range 70 {
		crowd = append(crowd, Field{fmt.Sprintf("X-Field-%d", i), " v"}, Field{"Received", fmt.Sprintf(" by %d", i)})
	}
	headers := map[string][]Field{
		"From alone":           {from},
		"folded":               {from, {"Subject", " a\r\n\tb\r\n  c \r\n d"}, {"To", "\r\n x@example.net,\r\n\ty@example.net"}},
		"blanks":               {{"Subject", "  \t a  \t b \t "}, from, {"X-Empty", ""}, {"X-Blank", " "}, {"X-Fold", " \r\n "}},
		"repeated":             {{"Received", " 1"}, {"received", " 2"}, from, {"RECEIVED", " 3"}, {"Received", " 4"}, {"To", " a"}, {"to", " b"}},
		"blank before a colon": {{"Subject ", " x"}, {"FROM\t", " joe@example.com"}, {"fRom", " x"}},
		"8 bit and NUL":        {from, {"Subject", " gr\u00fc\u00dfe \xff\xfe \x00 x"}},
		"semicolons and tags":  {from, {"Subject", " b=abc; bh=x; v=2"}, {"X-b", " b=; b= ;"}},
		"signed before":        {{"DKIM-Signature", " v=1; a=rsa-sha256; d=other.test; s=x; h=from; bh=AA==;\r\n\tb=AAAA"}, from},
		"many":                 crowd,
	}
	for name, fields := range headers {
		t.Run(name, func(t *testing.T) { signEveryWay(t, fields, "Hi.\r\n") })
	}
	for name, body := range awkwardBodies {
		// The other verifier makes CRLFs of bare LFs and line ends of bare
		// CRs, which no mail server passes on.
		if lone := strings.ReplaceAll(body, "\r\n", ""); strings.ContainsAny(lone, "\r\n") {
			continue
		}
		t.Run("body "+name, func(t *testing.T) { signEveryWay(t, []Field{from}, body) })
	}
}

// FuzzSign signs what was made up and asks the other verifier.
func FuzzSign(f *testing.F) {
	f.Add("Subject", " a b\n c", "To", " x", "body \n\n", uint8(0))
	f.Add("subject\t", "", "Subject", " x ", " \n \n\t", uint8(255))
	f.Fuzz(func(t *testing.T, name1, value1, name2, value2, body string, way uint8) {
		if len(value1)+len(value2)+len(body) > 5000 {
			t.Skip("long enough is long enough")
		}
		fields := []Field{{"From", " joe@example.com"}}
		for _, f := range []Field{{name1, value1}, {name2, value2}} {
			// Its search for b= finds names in h= too.
			if !isFieldName(trimName(f.Name)) || strings.Contains(f.Name, "=") || f.Is("DKIM-Signature") {
				t.Skip("no header field")
			}
			// As a mail server has them: no lone CR, folds before a blank.
			f.Value = strings.ReplaceAll(strings.ReplaceAll(f.Value, "\r", ""), "\n", "\r\n\t")
			fields = append(fields, f)
		}
		body = strings.ReplaceAll(strings.ReplaceAll(body, "\r", ""), "\n", "\r\n")
		o := signingOptions(t)
		o.Header, o.Body = Canonicalization(way&1), Canonicalization(way>>1&1)
		if way&4 != 0 {
			o.Key = signingRSA()
		}
		o.CopyFields = way&8 != 0
		signature := signMessage(t, fields, body, o)
		checkLines(t, signature, 998)
		secondOpinion(t, signature, fields, body, o.Key)
	})
}
