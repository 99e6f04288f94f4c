package keys

import (
	"encoding/base64"
	"errors"
	"github.com/postseal/postseal/milter/dkim"
	"io"
	"strings"
	"testing"

	"github.com/postseal/postseal/config/dataset"
)

func FuzzKeyRow(f *testing.F) {
	f.Add("example.com:s:/etc/keys/%/default", "example.com")
	f.Add("%:s:/k/%", "../../etc")
	f.Add("%:s:./%", "a")
	f.Add("a:b:c:d", "a\x00")
	f.Fuzz(func(t *testing.T, value, domain string) {
		k, err := parseKeyRow("name", value, "/base")
		if err != nil {
			return
		}
		if (k.path == "") == (k.inline == "") {
			t.Fatalf("%q: path %q, inline %q", value, k.path, k.inline)
		}
		name, err := dkim.DomainName(domain)
		if err != nil {
			return
		}
		if strings.ContainsAny(name, "/\x00%;= ") || strings.Contains(name, "..") || name != lowerASCII(name) {
			t.Fatalf("dkim.DomainName(%q) = %q", domain, name)
		}
		if again, err := dkim.DomainName(name); err != nil || again != name {
			t.Fatalf("dkim.DomainName(%q) = %q, %v", name, again, err)
		}
		if strings.Count(k.file(name), "/") != strings.Count(k.path, "/") {
			t.Fatalf("%q leaves the folder of %q", k.file(name), k.path)
		}
	})
}

func FuzzSigningRow(f *testing.F) {
	f.Add("k:user@%", "u", "a.example.com", "example.com", true)
	f.Add("k", "u", "bücher.example", "%", true)
	f.Add("%:@%", "u", "example.com", "example.com", false)
	f.Add("k:x@evil.example", "", "example.com", "%", true)
	f.Fuzz(func(t *testing.T, value, local, domain, own string, multiple bool) {
		if strings.ContainsAny(own, ":,=") || strings.ContainsAny(value, ",\n") {
			return
		}
		o := Options{
			SigningTable: dataset.List("*="+value, domain+"="+value), MultipleSignatures: multiple,
			KeyTable: dataset.List("k="+own+":s:x", domain+"="+own+":s:x"),
		}
		s, err := Load(o, newTestCache(&prover{}, io.Discard))
		if err != nil {
			return
		}
		rs, err := s.Select(Address{local, domain})
		if err != nil && !errors.Is(err, ErrSender) && !errors.Is(err, ErrUnknownKey) {
			t.Fatal(err)
		}
		for _, r := range rs {
			if r.Domain == ownDomain || r.Domain == "" {
				t.Fatalf("d=%q", r.Domain)
			}
			if r.AUID != "" && !signerInside(r.AUID, r.Domain) {
				t.Fatalf("i=%q is outside d=%q", r.AUID, r.Domain)
			}
			if _, err := r.Signer(); err == nil {
				t.Fatal("a signer without a key")
			}
		}
		if len(rs) > 1 && !multiple {
			t.Fatalf("%d requests", len(rs))
		}
	})
}

func FuzzParsePrivate(f *testing.F) {
	for _, kind := range []string{kindRSA, kindEd25519} {
		der := pkcs8(f, generate(f, kind))
		f.Add(der)
		f.Add([]byte(base64.StdEncoding.EncodeToString(der)))
		f.Add([]byte("x\r\n-----BEGIN PRIVATE KEY-----\\n" + base64.StdEncoding.EncodeToString(der) + "\\n-----END PRIVATE KEY-----"))
	}
	f.Add([]byte("-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n\nAAAA\n-----END RSA PRIVATE KEY-----\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		before := string(data)
		key, err := ParsePrivate(data)
		if string(data) != before {
			t.Fatal("the input was changed")
		}
		if err != nil {
			if !errors.Is(err, ErrNoPrivateKey) || key != nil {
				t.Fatalf("%v, %v", key, err)
			}
			return
		}
		// What was read can be written and read again.
		again, err := ParsePrivate(pkcs8(t, key))
		if err != nil || !same(again, key) {
			t.Fatalf("%v, %v", again, err)
		}
		if RecordText(key.Public()) == "" {
			t.Fatal("a key without a record")
		}
	})
}
