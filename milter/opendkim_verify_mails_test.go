package milter

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"math/big"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/postseal/postseal/milter/dkim"
	"github.com/postseal/postseal/milter/resolver"
)

// signed is a mail as it arrives, under the name of what is odd about it.
type signedMail struct {
	name   string
	header []string // "Name:value" with LF folds
	body   string
	chunk  int // of the body; 0: all in one
}

// forgery signs mail for tests.
type forgery struct {
	t   *testing.T
	key *rsa.PrivateKey
}

// letterFields are the header that forgery signs, letterText the body.
var letterFields = []string{"From: User <user@example.com>", "To: to@example.net", "Subject: x", "Date: Tue, 14 Nov 2023 22:13:20 +0000"}

const letterText = "first line\r\nsecond line\r\n"

// sign returns the letter's signature for a domain and selector, as change says.
func (f forgery) sign(domain, selector string, change func(*dkim.SignOptions)) string {
	return f.signOver(letterFields, letterText, domain, selector, change)
}

func (f forgery) signOver(header []string, text, domain, selector string, change func(*dkim.SignOptions)) string {
	f.t.Helper()
	selection, err := dkim.NewHeaderSelection([]string{"From", "To", "Subject", "Date"}, nil, nil)
	if err != nil {
		f.t.Fatal(err)
	}
	o := dkim.SignOptions{Domain: domain, Selector: selector, Key: f.key, Header: dkim.Relaxed, Body: dkim.Relaxed,
		Selection: selection, Time: time.Now(), BodyLimit: -1}
	if change != nil {
		change(&o)
	}
	body := dkim.NewBody()
	s, err := dkim.NewSigner(fieldsOfLines(header), body, o)
	if err != nil {
		f.t.Fatal(err)
	}
	_, _ = body.Write([]byte(text)) // never fails
	body.Close()
	field, err := s.Sign()
	if err != nil {
		f.t.Fatal(err)
	}
	return "DKIM-Signature:" + strings.ReplaceAll(field.Value, "\r\n", "\n")
}

func fieldsOfLines(lines []string) (fields []dkim.Field) {
	for _, line := range lines {
		name, value, _ := strings.Cut(line, ":")
		fields = append(fields, dkim.Field{Name: name, Value: strings.ReplaceAll(value, "\n", "\r\n")})
	}
	return fields
}

// with puts fields above the letter's header.
func with(fields ...string) []string { return slices.Concat(fields, letterFields) }

// keyText is the text of the public key, p= and all that stands in tags before.
func (f forgery) keyText(tags string) string {
	der, err := x509.MarshalPKIXPublicKey(&f.key.PublicKey)
	if err != nil {
		f.t.Fatal(err)
	}
	return tags + "p=" + base64.StdEncoding.EncodeToString(der)
}

// smallKey is a record with 512 bits, which nobody has the private half of.
func smallKey(t *testing.T) string {
	n := new(big.Int).Lsh(big.NewInt(1), 511)
	der, err := x509.MarshalPKIXPublicKey(&rsa.PublicKey{N: n.Add(n, big.NewInt(12345)), E: 65537})
	if err != nil {
		t.Fatal(err)
	}
	return "v=DKIM1; k=rsa; p=" + base64.StdEncoding.EncodeToString(der)
}

// zone is what the name server of both daemons knows: a TXT record or more for
// selectors of example.com and others.
func (f forgery) zone() map[string]resolver.Answer {
	good := f.keyText("v=DKIM1; k=rsa; ")
	texts := map[string][]string{
		"s": {good}, "trial": {f.keyText("v=DKIM1; t=y; ")}, "strict": {f.keyText("v=DKIM1; t=s; ")},
		"revoked": {"v=DKIM1; k=rsa; p="}, "version": {f.keyText("v=DKIM2; ")}, "type": {f.keyText("v=DKIM1; k=dsa; ")},
		"hash": {f.keyText("v=DKIM1; h=sha1; ")}, "service": {f.keyText("v=DKIM1; s=tlsrpt; ")},
		"two": {good, good}, "corrupt": {"v=DKIM1; k=rsa; p=!!!"}, "text": {"hello"}, "small": {smallKey(f.t)},
		"spf": {"v=spf1 -all"},
	}
	zone := map[string]resolver.Answer{}
	for selector, txt := range texts {
		for _, domain := range []string{"example.com", "other.example", "third.example", "trusted.example"} {
			zone[selector+"._domainkey."+domain] = resolver.Answer{TXT: txt, TTL: time.Minute}
		}
	}
	zone["servfail._domainkey.example.com"] = resolver.Answer{Rcode: dns.RcodeServerFailure}
	zone["silent._domainkey.example.com"] = resolver.Answer{Drop: true}
	zone["empty._domainkey.example.com"] = resolver.Answer{}
	return zone
}

func newForgery(t *testing.T) forgery {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	return forgery{t, key}
}

// forgedFields are results that came with a mail: three of ours, one of another
// host.
var forgedFields = []string{
	"Authentication-Results: mx.test; dkim=pass header.d=bank.example",
	"Authentication-Results: mx.test; spf=pass smtp.mailfrom=bank.example",
	"Authentication-Results: other.test; dkim=pass header.d=bank.example",
	"Authentication-Results: MX.test/9; dkim=pass header.d=bank.example",
}

// mails are those that most setups are asked about.
func (f forgery) mails() []signedMail {
	long := letterText + "added\r\n"
	at := func(age, life time.Duration) func(*dkim.SignOptions) {
		return func(o *dkim.SignOptions) {
			o.Time = time.Now().Add(-age)
			if life != 0 {
				o.Expiration = o.Time.Add(life)
			}
		}
	}
	good := f.sign("example.com", "s", nil)
	replace := func(old, new string) string {
		if !strings.Contains(good, old) {
			f.t.Fatalf("%q is not in %s", old, good)
		}
		return strings.Replace(good, old, new, 1)
	}
	limited := func(n int64) string {
		return f.sign("example.com", "s", func(o *dkim.SignOptions) { o.BodyLimit = n })
	}
	plain := func(name string, signatures ...string) signedMail {
		return signedMail{name, with(signatures...), letterText, 0}
	}
	of := func(selector string) signedMail { return plain(selector, f.sign("example.com", selector, nil)) }
	mails := []signedMail{
		plain("none"),
		plain("pass", good),
		{"body changed", with(good), long, 0},
		{"header changed", slices.Concat([]string{good, "From: User <user@example.com>", "To: to@example.net", "Subject: y"}, letterFields[3:]), letterText, 0},
		of("absent"), of("empty"), of("revoked"), of("version"), of("type"), of("hash"), of("service"), of("two"), of("corrupt"), of("text"), of("spf"), of("small"),
		of("servfail"), of("silent"), of("trial"),
		{"trial, body changed", with(f.sign("example.com", "trial", nil)), long, 0},
		plain("strict, subdomain", f.sign("example.com", "strict", func(o *dkim.SignOptions) { o.AUID = "user@sub.example.com" })),
		plain("expired", f.sign("example.com", "s", at(48*time.Hour, time.Hour))),
		plain("future", f.sign("example.com", "s", at(-48*time.Hour, 0))),
		plain("x= before t=", replace("s=s;", "s=s; x=1;")),
		plain("no bh=", replace("bh=", "xbh=")),
		plain("unknown a=", replace("rsa-sha256", "rsa-sha512")),
		plain("rsa-sha1", replace("rsa-sha256", "rsa-sha1")),
		plain("From not signed", replace("h=From:", "h=")),
		plain("i= elsewhere", replace("s=s;", "s=s; i=@other.example;")),
		plain("v=2", replace("v=1", "v=2")),
		plain("malformed", "DKIM-Signature: foo"),
		plain("malformed beside a pass", "DKIM-Signature: foo", good),
		plain("l= of the whole", limited(1000)),
		{"l= and more", with(limited(int64(len(letterText)))), long, 0},
		plain("l= beyond the body", replace("s=s;", "s=s; l=1000;")),
		plain("third party", f.sign("other.example", "s", nil)),
		{"bad and pass of a third party", with(good, f.signOver(letterFields, long, "other.example", "s", nil)), long, 0},
		plain("absent and pass", f.sign("example.com", "absent", nil), f.sign("other.example", "s", nil)),
		{"absent and bad", with(f.sign("example.com", "absent", nil), good), long, 0},
		{"bad and absent", with(good, f.sign("example.com", "absent", nil)), long, 0},
		{"revoked and bad", with(f.sign("example.com", "revoked", nil), good), long, 0},
		{"two bad", with(good, f.sign("other.example", "s", nil)), long, 0},
		plain("fourth passes", f.sign("other.example", "absent", nil), f.sign("third.example", "absent", nil), f.sign("trusted.example", "absent", nil), good),
		plain("five", good, f.sign("other.example", "s", nil), f.sign("third.example", "s", nil), f.sign("trusted.example", "s", nil), good),
		{"uncovered field", append([]string{good, "X-Test: 1"}, letterFields...), letterText, 0},
		{"second Subject on top", append([]string{good, "Subject: buy"}, letterFields...), letterText, 0},
		{"forged results", append(forgedFields[:len(forgedFields):len(forgedFields)], with(good)...), letterText, 0},
		{"forged results beside a malformed signature", append(forgedFields[:len(forgedFields):len(forgedFields)], with("DKIM-Signature: foo")...), letterText, 0},
		{"two From fields", slices.Concat([]string{"From: x@other.example"}, with(good)), letterText, 0},
		{"no From field", append([]string{good}, letterFields[1:]...), letterText, 0},
		{"From unreadable", slices.Concat([]string{good, "From: <<>> nobody"}, letterFields[1:]), letterText, 0},
	}
	return mails
}

// nameserver serves the zone for both.
func (f forgery) nameserver(t *testing.T) string {
	t.Helper()
	zone := f.zone()
	s, err := resolver.Serve("127.0.0.1:0", func(name string) resolver.Answer {
		a, ok := zone[name]
		if !ok {
			return resolver.Answer{Rcode: dns.RcodeNameError, TTL: time.Minute}
		}
		return a
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s.Addr()
}
