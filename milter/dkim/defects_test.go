package dkim

import (
	"encoding/base64"
	"errors"
	"strings"
	"testing"
	"time"
)

// TestKnownMistakes holds the mistakes that verifiers in the field make, one a row.
func TestKnownMistakes(t *testing.T) {
	key := edRecord()
	insert := func(tags string) string { return " " + tags + ";" + edTemplate }
	set := func(old, new string) string { return strings.Replace(edTemplate, old, new, 1) }
	tests := []struct {
		name     string
		template string
		record   string
		domain   string // of the key record; "": example.com
		selector string // "": s
		status   Status
		err      error
		asked    int64
	}{
		{name: "t=s is enforced", template: insert("i=@sub.example.com"), record: strings.Replace(key, ";", ";t=s;", 1), status: Fail, err: ErrDomainMismatch, asked: 1},
		{name: "z= with b before a blank and =", template: insert("z=Subject:web b =2Fx|To:b=40x"), record: key, status: Pass, asked: 1},
		{name: "z= with Job offer, Club news", template: insert("z=Subject: Job offer|Subject: Club b=news"), record: key, status: Pass, asked: 1},
		{name: "unknown tag ending in b", template: insert("xb=1"), record: key, status: Pass, asked: 1},
		{name: "unknown tag ending in b after b=", template: edTemplate + "; fob=b=x", record: key, status: Pass, asked: 1},
		{name: "i= in other letters", template: insert("i=Joe@EXAMPLE.Com"), record: key, status: Pass, asked: 1},
		{name: "i= is quoted-printable", template: insert("i=joe=40sub.ex=61mple.com"), record: key, status: Pass, asked: 1},
		{name: "i= without @", template: insert("i=foo.example.com"), status: PermError, err: ErrSyntax},
		{name: "x= before t=", template: insert("t=1600000000; x=1500000000"), status: PermError, err: ErrSyntax},
		{name: "x= equal to t=", template: insert("t=1600000000; x=1600000000"), status: PermError, err: ErrSyntax},
		{name: "t= with a sign", template: insert("t=+5"), status: PermError, err: ErrSyntax},
		{name: "t= far in the future", template: insert("t=1800000000"), status: PermError, err: ErrFuture},
		{name: "x= a second ago, within the drift", template: insert("x=1699999999"), record: key, status: Pass, asked: 1},
		{name: "empty d=", template: set("d=example.com", "d="), status: PermError, err: ErrMissingTag},
		{name: "empty s=", template: set("s=s;", "s=;"), status: PermError, err: ErrMissingTag},
		{name: "one label in d=", template: set("d=example.com", "d=com"), record: key, domain: "com", status: Pass, asked: 1},
		{name: "comment in d=", template: set("d=example.com", "d=legit.com(.example.com"), status: PermError, err: ErrSyntax},
		{name: "final dot in d=", template: set("d=example.com", "d=example.com."), status: PermError, err: ErrSyntax},
		{name: "U-label in d= is looked up as A-label", template: set("d=example.com", "d=bücher.example"), record: key, domain: "xn--bcher-kva.example", status: Pass, asked: 1},
		{name: "U-label in s= is looked up as A-label", template: set("s=s;", "s=schlüssel;"), record: key, selector: "xn--schlssel-95a", status: Pass, asked: 1},
		{name: "TAB in p=", record: strings.Replace(key, "p=", "p=\t ", 1)[:60] + "\t" + strings.Replace(key, "p=", "p=\t ", 1)[60:], status: Pass, asked: 1},
		{name: "no padding in p=", record: strings.TrimRight(key, "="), status: Pass, asked: 1},
		{name: "s= of the key in capitals", record: strings.Replace(key, ";", ";s=EMAIL;", 1), status: Pass, asked: 1},
		{name: "h= of the key in capitals", record: strings.Replace(key, ";", ";h=SHA256;", 1), status: Pass, asked: 1},
		{name: "v= of the key not first", record: strings.Replace(key, "v=DKIM1; ", "", 1) + "; v=DKIM1", status: PermError, err: ErrKeySyntax, asked: 1},
		{name: "no-break space in d=", template: set("d=example.com", "d=exam\u00a0ple.com"), status: PermError, err: ErrSyntax},
		{name: "next line in d=", template: set("d=example.com", "d=exam\u0085ple.com"), status: PermError, err: ErrSyntax},
		{name: "vertical tab in d=", template: set("d=example.com", "d=exam\vple.com"), status: PermError, err: ErrSyntax},
		{name: "Kelvin sign in a header field name", template: set("h=from", "h=\u212aeywords:from"), status: PermError, err: ErrSyntax},
		{name: "long s in a header field name", template: set("subject", "\u017fubject"), status: PermError, err: ErrSyntax},
		{name: "no look-up for SHA-1", template: set("ed25519-sha256", "rsa-sha1"), record: key, status: PermError, err: ErrAlgorithm},
		{name: "no look-up for a bad c=", template: set("relaxed/relaxed", "relaxed/nofws"), record: key, status: PermError, err: ErrSyntax},
		{name: "no look-up for a bad b=", template: set("{b}", "*"), record: key, status: PermError, err: ErrSyntax},
		{name: "no look-up for a bad bh=", template: set("{bh}", "abc"), record: key, status: PermError, err: ErrSyntax},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if tt.template == "" {
				tt.template = edTemplate
			}
			if tt.domain == "" {
				tt.domain = "example.com"
			}
			if tt.selector == "" {
				tt.selector = "s"
			}
			z := &zone{txt: map[string][]string{tt.selector + "._domainkey." + tt.domain: {tt.record}}}
			r := verifyOne(t, forgeLetter(t, tt.template), letterBody, z, VerifyOptions{ClockDrift: 5 * time.Second})
			if r.Status != tt.status || !errors.Is(r.Err, tt.err) {
				t.Errorf("%s, %v; want %s, %v", r.Status, r.Err, tt.status, tt.err)
			}
			if n := z.asked.Load(); n != tt.asked {
				t.Errorf("%d questions, want %d", n, tt.asked)
			}
		})
	}
}

// A wildcard's TXT record beside the key does not spoil it.
func TestWildcardBesideKey(t *testing.T) {
	z := oneKey("v=spf1 -all", "google-site-verification=abc", edRecord())
	if r := verifyOne(t, forgeLetter(t, edTemplate), letterBody, z, VerifyOptions{}); r.Status != Pass {
		t.Errorf("%s, %v", r.Status, r.Err)
	}
}

// A bare CR is text: it ends no line in the body, and blanks before it stay.
func TestBareCRInBody(t *testing.T) {
	fields := fieldsOf(t, letterHeader)
	body := "a \rb\r\r\n\r"
	sum := "" // relaxed: "a \rb\r" CRLF CR CRLF
	{
		b := NewBody()
		h := b.Hash(Simple, -1)
		b.Write([]byte("a \rb\r\r\n\r\r\n"))
		b.Close()
		sum = base64.StdEncoding.EncodeToString(h.Sum())
	}
	fields = forge(t, edKey, strings.Replace(edTemplate, "{bh}", sum, 1), fields, body)
	if r := verifyOne(t, fields, body, oneKey(edRecord()), VerifyOptions{}); r.Status != Pass {
		t.Errorf("%s, %v", r.Status, r.Err)
	}
}

// A second From above the signed one passes, and Covers tells.
func TestSecondFrom(t *testing.T) {
	fields := append(fieldsOf(t, "From: mallory@example.net\r\n"), forgeLetter(t, edTemplate)...)
	r := verifyOne(t, fields, letterBody, oneKey(edRecord()), VerifyOptions{})
	if r.Status != Pass || r.Covers(fields, "From") {
		t.Errorf("%s, From covered: %v", r.Status, r.Covers(fields, "From"))
	}
	if !r.Covers(fields, "To") {
		t.Error("To is not covered")
	}
}

// A message without the blank line after its header verifies.
func TestNoBlankLine(t *testing.T) {
	signed := forge(t, edKey, edTemplate, fieldsOf(t, letterHeader), "")
	text := strings.TrimSuffix(messageText(signed, ""), "\r\n")
	fields, body := splitText(t, text)
	if r := verifyOne(t, fields, body, oneKey(edRecord()), VerifyOptions{}); r.Status != Pass {
		t.Errorf("%s, %v", r.Status, r.Err)
	}
}

// Names in h= that repeat, are absent, or are DKIM-Signature.
func TestHeaderSelectionOfVerifier(t *testing.T) {
	many := "X: 1\r\nFrom: a@example.com\r\nX: 2\r\nX: 3\r\n"
	tests := []struct {
		name, h string
		change  string // an X field put on top
		status  Status
	}{
		{"lowest instance", "from:x", "X: 0\r\n", Pass},
		{"all instances", "from:x:x:x", "X: 0\r\n", Pass},
		{"one more than there are", "from:x:x:x:x", "", Pass},
		{"one more, and it was added", "from:x:x:x:x", "X: 0\r\n", Fail},
		{"absent field", "from:y", "X: 0\r\n", Pass},
		{"absent field, and it was added", "from:x:y", "Y: 0\r\n", Fail},
		{"own field is never its own", "from:dkim-signature", "", Pass},
		{"another signature was added", "from:dkim-signature", "DKIM-Signature: x\r\n", Fail},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			fields := forge(t, edKey, strings.Replace(edTemplate, "from:to:subject:date", tt.h, 1), fieldsOf(t, many), "")
			fields = append(fieldsOf(t, tt.change), fields...)
			results := verify(fields, "", oneKey(edRecord()), VerifyOptions{})
			if r := results[len(results)-1]; r.Status != tt.status {
				t.Errorf("%s, %v; want %s", r.Status, r.Err, tt.status)
			}
		})
	}
}

// A second signer signs the first one's signature: both pass.
func TestSignatureOverSignature(t *testing.T) {
	fields := forgeLetter(t, edTemplate)
	fields = forge(t, edKey, strings.Replace(edTemplate, "h=from", "h=dkim-signature:from:dkim-signature", 1), fields, letterBody)
	for i, r := range verify(fields, letterBody, oneKey(edRecord()), VerifyOptions{}) {
		if r.Status != Pass {
			t.Errorf("signature %d: %s, %v", i, r.Status, r.Err)
		}
	}
	fields[1].Value += " "
	r := verify(fields, letterBody, oneKey(edRecord()), VerifyOptions{})
	if r[0].Status != Pass {
		t.Errorf("blank at the end, relaxed: %s, %v", r[0].Status, r[0].Err)
	}
	fields[1].Value += "; x"
	if r = verify(fields, letterBody, oneKey(edRecord()), VerifyOptions{}); r[0].Status != Fail {
		t.Errorf("changed signature: %s", r[0].Status)
	}
}
