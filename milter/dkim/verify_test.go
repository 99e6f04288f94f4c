package dkim

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// rfc8463 is the message of RFC 8463 appendix A.3.
const rfc8463 = `DKIM-Signature: v=1; a=ed25519-sha256; c=relaxed/relaxed;
 d=football.example.com; i=@football.example.com;
 q=dns/txt; s=brisbane; t=1528637909; h=from : to :
 subject : date : message-id : from : subject : date;
 bh=2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8=;
 b=/gCrinpcQOoIfuHNQIbq4pgh9kyIK3AQUdt9OdqQehSwhEIug4D11Bus
 Fa3bT3FY5OsU7ZbnKELq+eXdp1Q1Dw==
DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed;
 d=football.example.com; i=@football.example.com;
 q=dns/txt; s=test; t=1528637909; h=from : to : subject :
 date : message-id : from : subject : date;
 bh=2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8=;
 b=F45dVWDfMbQDGHJFlXUNB2HKfbCeLRyhDXgFpEL8GwpsRe0IeIixNTe3
 DhCVlUrSjV4BwcVcOF6+FF3Zo9Rpo1tFOeS9mPYQTnGdaSGsgeefOsk2Jz
 dA+L10TeYt9BgDfQNZtKdN1WO//KgIqXP7OdEFE4LjFYNcUxZQ4FADY+8=
From: Joe SixPack <joe@football.example.com>
To: Suzie Q <suzie@shopping.example.net>
Subject: Is dinner ready?
Date: Fri, 11 Jul 2003 21:00:37 -0700 (PDT)
Message-ID: <20030712040037.46341.5F8J@football.example.com>

Hi.

We lost the game.  Are you hungry yet?

Joe.
`

func rfc8463Zone() *zone {
	return &zone{txt: map[string][]string{
		"brisbane._domainkey.football.example.com": {"v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="},
		"test._domainkey.football.example.com": {"v=DKIM1; k=rsa; p=MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQDkHlOQoBTzWR" +
			"iGs5V6NpP3idY6Wk08a5qhdR6wy5bdOKb2jLQiY/J16JYi0Qvx/byYzCNb3W91y3FutACDfzwQ/BC/e/8uBsCR+yz1Lxj+PL6lHvqM" +
			"KrM3rG4hstT5QjvHO9PzoxZyVYLzBfO2EeC3Ip3G+2kryOTIKT+l/K4w3QIDAQAB"},
	}, authentic: true}
}

func TestRFC8463(t *testing.T) {
	fields, body := splitText(t, rfc8463)
	results := verify(fields, body, rfc8463Zone(), VerifyOptions{})
	headers := []string{"from", "to", "subject", "date", "message-id", "from", "subject", "date"}
	want := []Result{{
		Status: Pass, Domain: "football.example.com", Selector: "brisbane", AUID: "@football.example.com", Algorithm: Ed25519SHA256,
		Signature: "/gCrinpcQOoIfuHNQIbq4pgh9kyIK3AQUdt9OdqQehSwhEIug4D11BusFa3bT3FY5OsU7ZbnKELq+eXdp1Q1Dw==",
		Header:    Relaxed, Body: Relaxed, Headers: headers, Time: time.Unix(1528637909, 0), BodyLength: -1,
		KeyBits: 256, Authentic: true, Field: 0,
	}, {
		Status: Pass, Domain: "football.example.com", Selector: "test", AUID: "@football.example.com", Algorithm: RSASHA256,
		Signature: "F45dVWDfMbQDGHJFlXUNB2HKfbCeLRyhDXgFpEL8GwpsRe0IeIixNTe3DhCVlUrSjV4BwcVcOF6+FF3Zo9Rpo1tFOeS9mPYQTnGdaSGsgeefOsk2Jz" +
			"dA+L10TeYt9BgDfQNZtKdN1WO//KgIqXP7OdEFE4LjFYNcUxZQ4FADY+8=",
		Header: Relaxed, Body: Relaxed, Headers: headers, Time: time.Unix(1528637909, 0), BodyLength: -1,
		KeyBits: 1024, Authentic: true, Field: 1,
	}}
	if diff := cmp.Diff(want, results); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
}

func TestStatus(t *testing.T) {
	tag := func(name, value string) string { // the template with a tag of its own
		return " " + name + "=" + value + ";" + edTemplate
	}
	key := edRecord()
	keyWith := func(tags string) string { return strings.Replace(key, "v=DKIM1;", "v=DKIM1; "+tags+";", 1) }
	rsaTemplate := strings.Replace(edTemplate, "ed25519", "rsa", 1)
	lTemplate := func(n string) string { return tag("l", n) }
	tests := []struct {
		name     string
		template string
		records  []string
		header   string // put above the letter's header once it is signed
		body     string // instead of the letter's
		options  VerifyOptions
		status   Status
		err      error
		asked    int64
	}{
		{name: "sound", records: []string{key}, status: Pass, asked: 1},
		{name: "body changed", records: []string{key}, body: "x" + letterBody, status: Fail, err: ErrBodyHash, asked: 1},
		{name: "header added to a signed name", template: strings.Replace(edTemplate, "h=from", "h=from:from", 1), records: []string{key},
			header: "From: mallory@example.net\r\n", status: Fail, err: ErrSignature, asked: 1},
		{name: "another key", records: []string{"k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="}, status: Fail, err: ErrSignature, asked: 1},

		{name: "no key", status: Fail, err: ErrNoKey, asked: 1},
		{name: "key revoked", records: []string{"v=DKIM1; k=ed25519; p="}, status: Fail, err: ErrKeyRevoked, asked: 1},
		{name: "key revoked without its type", records: []string{"v=DKIM1; p="}, status: Fail, err: ErrKeyRevoked, asked: 1},
		{name: "wrong v= in the key", records: []string{strings.Replace(key, "DKIM1", "DKIM2", 1)}, status: Fail, err: ErrKeyVersion, asked: 1},
		{name: "wrong k= in the key", records: []string{rsaRecord(&rsaKey().PublicKey)}, status: Fail, err: ErrInappropriateKeyAlgorithm, asked: 1},
		{name: "unknown k= in the key", records: []string{strings.Replace(key, "ed25519", "ed448", 1)}, status: Fail, err: ErrInappropriateKeyAlgorithm, asked: 1},
		{name: "wrong h= in the key", records: []string{keyWith("h=sha1")}, status: Fail, err: ErrInappropriateHash, asked: 1},
		{name: "right h= in the key", records: []string{keyWith("h=sha1:SHA256")}, status: Pass, asked: 1},
		{name: "wrong s= in the key", records: []string{keyWith("s=tlsrpt")}, status: Fail, err: ErrService, asked: 1},
		{name: "right s= in the key", records: []string{keyWith("s=tlsrpt:EMAIL")}, status: Pass, asked: 1},
		{name: "every s= in the key", records: []string{keyWith("s=*")}, status: Pass, asked: 1},
		{name: "subdomain", template: tag("i", "a@sub.example.com"), records: []string{key}, status: Pass, asked: 1},
		{name: "subdomain and t=s", template: tag("i", "a@sub.example.com"), records: []string{keyWith("t=s")}, status: Fail, err: ErrDomainMismatch, asked: 1},
		{name: "same domain and t=s", template: tag("i", "a@EXAMPLE.com"), records: []string{keyWith("t=s")}, status: Pass, asked: 1},
		{name: "corrupt key record", records: []string{"v=DKIM1; k=ed25519; p=abc"}, status: PermError, err: ErrKeySyntax, asked: 1},
		{name: "text that is no key record", records: []string{"hello"}, status: PermError, err: ErrKeySyntax, asked: 1},

		{name: "RSA key too small", template: rsaTemplate, records: []string{pkcs1(modulus(1023), 65537)}, status: Policy, err: ErrKeySize, asked: 1},
		{name: "RSA key smaller than this site wants", template: rsaTemplate, records: []string{pkcs1(modulus(1024), 65537)},
			options: VerifyOptions{MinRSABits: 2048}, status: Policy, err: ErrKeySize, asked: 1},
		{name: "no site can want less than 1024 bits", template: rsaTemplate, records: []string{pkcs1(modulus(768), 65537)},
			options: VerifyOptions{MinRSABits: 512}, status: Policy, err: ErrKeySize, asked: 1},
		{name: "RSA key too large", template: rsaTemplate, records: []string{pkcs1(modulus(8193), 65537)}, status: Policy, err: ErrKeySize, asked: 1},
		{name: "no site can want more than 16384 bits", template: rsaTemplate, records: []string{pkcs1(modulus(16385), 65537)},
			options: VerifyOptions{MaxRSABits: 1 << 20}, status: Policy, err: ErrKeySize, asked: 1},
		{name: "RSA key of the largest size, wrong", template: rsaTemplate, records: []string{pkcs1(modulus(8192), 65537)}, status: Fail, err: ErrSignature, asked: 1},

		{name: "bad tags", template: " foo", status: PermError, err: ErrSyntax},
		{name: "wrong version", template: strings.Replace(edTemplate, "v=1", "v=2", 1), status: PermError, err: ErrVersion},
		{name: "required tag missing", template: strings.Replace(edTemplate, "s=s;", "", 1), status: PermError, err: ErrMissingTag},
		{name: "unknown algorithm", template: strings.Replace(edTemplate, "ed25519", "ed448", 1), status: PermError, err: ErrAlgorithm},
		{name: "SHA-1", template: strings.Replace(edTemplate, "ed25519-sha256", "rsa-sha1", 1), status: PermError, err: ErrAlgorithm},
		{name: "From not signed", template: strings.Replace(edTemplate, "from:", "", 1), status: PermError, err: ErrFromNotSigned},
		{name: "i= elsewhere", template: tag("i", "@example.org"), status: PermError, err: ErrDomainMismatch},
		{name: "no query method", template: tag("q", "ldap"), status: PermError, err: ErrQueryMethod},
		{name: "expired", template: tag("x", "1699999999"), status: PermError, err: ErrExpired},
		{name: "expires now", template: tag("x", "1700000000"), records: []string{key}, status: Pass, asked: 1},
		{name: "expired within the drift", template: tag("x", "1699999990"), records: []string{key}, options: VerifyOptions{ClockDrift: 10 * time.Second}, status: Pass, asked: 1},
		{name: "expired beyond the drift", template: tag("x", "1699999989"), options: VerifyOptions{ClockDrift: 10 * time.Second}, status: PermError, err: ErrExpired},
		{name: "future", template: tag("t", "1700000001"), status: PermError, err: ErrFuture},
		{name: "future within the drift", template: tag("t", "1700000010"), records: []string{key}, options: VerifyOptions{ClockDrift: 10 * time.Second}, status: Pass, asked: 1},
		{name: "future beyond the drift", template: tag("t", "1700000011"), options: VerifyOptions{ClockDrift: 10 * time.Second}, status: PermError, err: ErrFuture},

		{name: "l= of the whole body", template: lTemplate("20"), records: []string{key}, status: Pass, asked: 1},
		{name: "l= and content after it", template: lTemplate("5"), records: []string{key}, status: Policy, err: ErrUnsignedContent, asked: 1},
		{name: "l= and content added", template: lTemplate("20"), body: letterBody + "spam\r\n", records: []string{key}, status: Policy, err: ErrUnsignedContent, asked: 1},
		{name: "l= and signed content changed", template: lTemplate("5"), body: "x" + letterBody, records: []string{key}, status: Fail, err: ErrBodyHash, asked: 1},
		{name: "l= accepted", template: lTemplate("5"), records: []string{key}, options: VerifyOptions{BodyLength: BodyLengthAccept}, status: Pass, asked: 1},
		{name: "l= ignored", template: lTemplate("5"), options: VerifyOptions{BodyLength: BodyLengthIgnore}, status: Neutral, err: ErrBodyLengthRefused},
		{name: "l= fails", template: lTemplate("20"), options: VerifyOptions{BodyLength: BodyLengthFail}, status: Fail, err: ErrBodyLengthRefused},
		{name: "l= beyond the body", template: lTemplate("21"), records: []string{key}, status: PermError, err: ErrBodyLength, asked: 1},
		{name: "l= beyond every body", template: lTemplate(strings.Repeat("9", 40)), records: []string{key}, status: PermError, err: ErrBodyLength, asked: 1},

		{name: "an SPF policy beside the key", records: []string{"v=spf1 -all", key, "x"}, status: Pass, asked: 1},
		{name: "a key of another type beside it", records: []string{rsaRecord(&rsaKey().PublicKey), key}, status: Pass, asked: 1},
		{name: "an old key before it", records: []string{"k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=", key}, status: Pass, asked: 1},
		{name: "a corrupt record before it", records: []string{"v=DKIM1; p=!", key}, status: Pass, asked: 1},
		{name: "too many keys before it", records: append(make4("v=DKIM1; k=ed25519; p="), key), status: Fail, err: ErrKeyRevoked, asked: 1},
		{name: "many other texts before it", records: append(make4("v=spf1 -all"), "x", "y", key), status: Pass, asked: 1},
		{name: "a revoked key behind another text", records: []string{"v=spf1 -all", "v=DKIM1; p="}, status: Fail, err: ErrKeyRevoked, asked: 1},
		{name: "unusable and wrong keys", records: []string{"v=DKIM1; p=!", "k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="}, status: Fail, err: ErrSignature, asked: 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if tt.template == "" {
				tt.template = edTemplate
			}
			if tt.body == "" {
				tt.body = letterBody
			}
			fields := forgeLetter(t, tt.template)
			fields = append(fieldsOf(t, tt.header), fields...)
			z := oneKey(tt.records...)
			r := verifyOne(t, fields, tt.body, z, tt.options)
			if r.Status != tt.status || !errors.Is(r.Err, tt.err) || (r.Err == nil) != (tt.status == Pass) {
				t.Errorf("%s, %v; want %s, %v", r.Status, r.Err, tt.status, tt.err)
			}
			if n := z.asked.Load(); n != tt.asked {
				t.Errorf("%d questions, want %d", n, tt.asked)
			}
		})
	}
}

func make4(s string) []string { return []string{s, s, s, s} }

func TestResultOfKey(t *testing.T) {
	fields := forgeLetter(t, edTemplate)
	r := verifyOne(t, fields, letterBody, oneKey(strings.Replace(edRecord(), ";", "; t=y;", 1)), VerifyOptions{})
	if r.Status != Pass || !r.Testing || r.KeyBits != 256 || r.Authentic {
		t.Errorf("passed: %+v", r)
	}
	r = verifyOne(t, fields, "x", oneKey(strings.Replace(edRecord(), ";", "; t=y;", 1)), VerifyOptions{})
	if r.Status != Fail || !r.Testing || r.KeyBits != 256 {
		t.Errorf("failed: %+v", r)
	}
	z := oneKey()
	z.authentic = true
	if r = verifyOne(t, fields, letterBody, z, VerifyOptions{}); r.Status != Fail || !r.Authentic {
		t.Errorf("authentic denial: %+v", r)
	}
}

func TestNoSignature(t *testing.T) {
	z := oneKey(edRecord())
	if r := verify(fieldsOf(t, letterHeader), letterBody, z, VerifyOptions{}); len(r) != 0 || z.asked.Load() != 0 {
		t.Errorf("%d results, %d questions", len(r), z.asked.Load())
	}
}

func TestMaxSignatures(t *testing.T) {
	fields := forgeLetter(t, edTemplate)
	fields = append([]Field{fields[0], fields[0]}, fields...)
	results := verify(fields, letterBody, oneKey(edRecord()), VerifyOptions{MaxSignatures: 2})
	if len(results) != 3 {
		t.Fatalf("%d results", len(results))
	}
	for i, want := range []Status{Pass, Pass, Neutral} {
		r := results[i]
		if r.Status != want || r.Field != i || r.Domain != "example.com" || r.Selector != "s" || r.Signature == "" {
			t.Errorf("result %d: %+v; want %s", i, r, want)
		}
	}
	if !errors.Is(results[2].Err, ErrTooManySignatures) {
		t.Errorf("error %v", results[2].Err)
	}
}

func TestCovers(t *testing.T) {
	fields := fieldsOf(t, "From: a\r\nTo: b\r\nfrom : c\r\n")
	tests := []struct {
		headers string
		name    string
		want    bool
	}{
		{"From:To", "From", false},
		{"From:from", "From", true},
		{"from:From:FROM", "from", true},
		{"From", "To", false},
		{"From:To", "to", true},
		{"From", "Cc", true},
	}
	for _, tt := range tests {
		r := Result{Headers: colonList(tt.headers)}
		if got := r.Covers(fields, tt.name); got != tt.want {
			t.Errorf("h=%s covers %s: %v", tt.headers, tt.name, got)
		}
	}
}

func TestBodyLengthPolicy(t *testing.T) {
	for _, p := range []BodyLengthPolicy{BodyLengthWhole, BodyLengthAccept, BodyLengthIgnore, BodyLengthFail} {
		if got, err := ParseBodyLengthPolicy(p.String()); got != p || err != nil {
			t.Errorf("%s: %v, %v", p, got, err)
		}
	}
	if _, err := ParseBodyLengthPolicy("half"); err == nil {
		t.Error("half is a policy")
	}
}
