package milter

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/postseal/postseal/keys"
	"github.com/postseal/postseal/milter/dkim"
	"github.com/postseal/postseal/testdata/peers"
)

// bench signs the mails that both daemons are asked about, and has the records
// for them.
type bench struct {
	t         *testing.T
	dir       string
	key       crypto.Signer // 2048 bits
	small     crypto.Signer // 1024 bits
	ed25519   crypto.Signer
	selection *dkim.HeaderSelection
	records   map[string]string
}

// newBench writes key files and records.
func newBench(t *testing.T) *bench {
	t.Helper()
	b := &bench{t: t, dir: t.TempDir(), records: map[string]string{}}
	make := func(bits int) crypto.Signer {
		key, err := rsa.GenerateKey(rand.Reader, bits)
		if err != nil {
			t.Fatal(err)
		}
		return key
	}
	b.key, b.small = make(2048), make(1024)
	ed, err := keys.Generate("ed25519", 0)
	if err != nil {
		t.Fatal(err)
	}
	b.ed25519 = ed
	if b.selection, err = dkim.NewHeaderSelection([]string{"From", "Subject", "Date"}, nil, nil); err != nil {
		t.Fatal(err)
	}
	b.write("key", string(pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(b.key.(*rsa.PrivateKey))})), 0o600)
	b.write("small", string(pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(b.small.(*rsa.PrivateKey))})), 0o600)
	b.write("garbage", "no key\n", 0o600)

	public := keys.RecordText(b.key.Public())
	_, p, _ := strings.Cut(public, "p=")
	for name, record := range map[string]string{
		"good": public, "small": keys.RecordText(b.small.Public()), "ed": keys.RecordText(b.ed25519.Public()),
		"other": keys.RecordText(b.small.Public()), "revoked": "v=DKIM1; k=rsa; p=", "version": "v=DKIM2; k=rsa; p=" + p,
		"type": "v=DKIM1; k=dsa; p=" + p, "hash": "v=DKIM1; h=sha1; k=rsa; p=" + p, "hashes": "v=DKIM1; h=md5; k=rsa; p=" + p, "service": "v=DKIM1; s=tlsrpt; k=rsa; p=" + p,
		"strict": "v=DKIM1; t=s; k=rsa; p=" + p, "trial": "v=DKIM1; t=y; k=rsa; p=" + p, "nokey": "v=DKIM1; k=rsa", "junk": "v=DKIM1; k=rsa; p=" + p[:40],
		"text": "v=spf1 -all", "tags": "v=DKIM1; k", "base64": "v=DKIM1; k=rsa; p=$$$",
	} {
		b.records[name+"._domainkey.example.com"] = record
	}
	b.records["good._domainkey.example.org"] = public
	return b
}

// write writes a file.
func (b *bench) write(name, text string, mode os.FileMode) {
	b.t.Helper()
	path := filepath.Join(b.dir, name)
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		b.t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil {
		b.t.Fatal(err)
	}
}

// stranger is a mail of u@example.com from outside.
func stranger() peers.Mail {
	return peers.Mail{
		Host: "out.test", Addr: "203.0.113.1", From: "env@example.com", To: []string{"to@example.net"},
		Macros: map[string]string{"i": "4XQ1", "j": "mx.test", "{daemon_name}": "smtpd"},
		Fields: []string{"From: u@example.com", "Subject: x", "Date: Mon, 02 Nov 2026 10:00:00 +0000"}, Body: "text\r\n",
	}
}

// local is the same from this machine.
func local() peers.Mail {
	m := stranger()
	m.Host, m.Addr = "localhost", "127.0.0.1"
	return m
}

// signature says how a mail is signed.
type signature struct {
	selector string
	domain   string // "": example.com
	key      crypto.Signer
	options  func(*dkim.SignOptions)
	edit     func(value string) string
}

// signed puts signatures on top of a mail, the first one topmost.
func (b *bench) signed(m peers.Mail, signatures ...signature) peers.Mail {
	b.t.Helper()
	var fields []dkim.Field
	for _, f := range m.Fields {
		name, value, _ := strings.Cut(f, ":")
		fields = append(fields, dkim.Field{Name: name, Value: strings.ReplaceAll(value, "\n", "\r\n")})
	}
	var added []string
	for _, s := range signatures {
		body := dkim.NewBody()
		o := dkim.SignOptions{
			Domain: s.domain, Selector: s.selector, Key: s.key, Header: dkim.Relaxed, Body: dkim.Relaxed,
			Selection: b.selection, Time: time.Now(), BodyLimit: -1,
		}
		if o.Domain == "" {
			o.Domain = "example.com"
		}
		if o.Key == nil {
			o.Key = b.key
		}
		if s.options != nil {
			s.options(&o)
		}
		signer, err := dkim.NewSigner(fields, body, o)
		if err != nil {
			b.t.Fatal(err)
		}
		if _, err := body.Write([]byte(m.Body)); err != nil {
			b.t.Fatal(err)
		}
		body.Close()
		f, err := signer.Sign()
		if err != nil {
			b.t.Fatal(err)
		}
		value := strings.ReplaceAll(f.Value, "\r\n", "\n")
		if s.edit != nil {
			value = s.edit(value)
		}
		added = append(added, f.Name+":"+value)
	}
	m.Fields = append(added, m.Fields...)
	return m
}
