package dkim

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"io"
	"math/big"
	"strings"
	"sync"
	"testing"
	"time"
)

// signingRSA is an RSA key for the tests of this package's signer.
var signingRSA = sync.OnceValue(func() *rsa.PrivateKey {
	key, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		panic(err)
	}
	return key
})

func signingEd25519() ed25519.PrivateKey {
	return ed25519.NewKeyFromSeed([]byte("thirty-two octets make up a seed"))
}

// signingOptions are plain options that tests change.
func signingOptions(t testing.TB) SignOptions {
	t.Helper()
	s, err := NewHeaderSelection([]string{"*"}, nil, []string{"From"})
	if err != nil {
		t.Fatal(err)
	}
	return SignOptions{Domain: "example.com", Selector: "mail", Key: signingEd25519(), Selection: s, Time: time.Unix(1700000000, 0), BodyLimit: -1}
}

var signingFields = []Field{{"From", " Joe <joe@example.com>"}, {"To", " ann@example.net"}, {"Subject", " a;b=c|d\r\n\tand \x00\xe9"}}

func signMessage(t testing.TB, fields []Field, body string, o SignOptions) Field {
	t.Helper()
	b := NewBody()
	s, err := NewSigner(fields, b, o)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.Write([]byte(body)); err != nil {
		t.Fatal(err)
	}
	b.Close()
	f, err := s.Sign()
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func TestSignTags(t *testing.T) {
	const bh = "bh=frcCV1k9oG9oKj3dpUqdJg1PxRT2RSN/XKdLCPjaYaY="
	tests := []struct {
		name   string
		change func(*SignOptions)
		body   string
		want   string // unfolded, up to b=
	}{
		{"plain", func(o *SignOptions) {}, "", " v=1; a=ed25519-sha256; c=simple/simple; d=example.com; s=mail; t=1700000000; " + bh + "; h=From:To:Subject:From; b="},
		{"everything", func(o *SignOptions) {
			o.Header, o.Expiration, o.AUID, o.RequestReports, o.CopyFields, o.BodyLimit = Relaxed, o.Time.Add(time.Hour), "joe@example.com", true, true, 100
		}, "", " v=1; a=ed25519-sha256; c=relaxed/simple; d=example.com; s=mail; t=1700000000; x=1700003600; i=joe@example.com; r=y; " + bh +
			"; l=2; h=From:To:Subject:From; z=From:=20Joe=20<joe@example.com>|To:=20ann@example.net|Subject:=20a=3B=62=3Dc=7Cd=0D=0A=09and=20=00=E9; b="},
		{"b before an encoded octet in i=", func(o *SignOptions) { o.AUID = "abb=b@example.com" }, "",
			" v=1; a=ed25519-sha256; c=simple/simple; d=example.com; s=mail; t=1700000000; i=a=62=62=3Db@example.com; " + bh + "; h=From:To:Subject:From; b="},
		{"RSA, no time", func(o *SignOptions) { o.Key, o.Time = signingRSA(), time.Time{} }, "",
			" v=1; a=rsa-sha256; c=simple/simple; d=example.com; s=mail; " + bh + "; h=From:To:Subject:From; b="},
		{"relaxed body, cut off", func(o *SignOptions) { o.Body, o.BodyLimit = Relaxed, 0 }, "text",
			" v=1; a=ed25519-sha256; c=simple/relaxed; d=example.com; s=mail; t=1700000000; bh=47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=; l=0; h=From:To:Subject:From; b="},
		{"letter case is kept", func(o *SignOptions) {
			o.Domain, o.Selector, o.AUID = "Example.COM", "Mail.2024_a", "Joe@Sub.Example.com"
		}, "",
			" v=1; a=ed25519-sha256; c=simple/simple; d=Example.COM; s=Mail.2024_a; t=1700000000; i=Joe@Sub.Example.com; " + bh + "; h=From:To:Subject:From; b="},
		{"internationalised", func(o *SignOptions) {
			o.Domain, o.Selector, o.AUID = "B\u00fccher.example", "\u00fc", "j\u00f6 =;e@m.b\u00fccher.example"
		}, "",
			" v=1; a=ed25519-sha256; c=simple/simple; d=xn--bcher-kva.example; s=xn--tda; t=1700000000; i=j=C3=B6=20=3D=3Be@m.xn--bcher-kva.example; " + bh + "; h=From:To:Subject:From; b="},
		{"i= without local part", func(o *SignOptions) { o.AUID = "@example.com" }, "",
			" v=1; a=ed25519-sha256; c=simple/simple; d=example.com; s=mail; t=1700000000; i=@example.com; " + bh + "; h=From:To:Subject:From; b="},
		{"two @", func(o *SignOptions) { o.AUID = `"a@other.test"@example.com` }, "",
			" v=1; a=ed25519-sha256; c=simple/simple; d=example.com; s=mail; t=1700000000; i=\"a@other.test\"@example.com; " + bh + "; h=From:To:Subject:From; b="},
	}
	// Folds stand where a blank divides tags, and nowhere inside these values
	// but in h= and z=.
	unfold := strings.NewReplacer(";\r\n\t", "; ", "\r\n\t", "")
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			o := signingOptions(t)
			tt.change(&o)
			f := signMessage(t, signingFields, tt.body, o)
			value := unfold.Replace(f.Value)
			if got := value[:strings.LastIndex(value, " b=")+3]; f.Name != "DKIM-Signature" || got != tt.want {
				t.Errorf("%s:\n%q, want\n%q", f.Name, got, tt.want)
			}
			checkLines(t, f, 78)
		})
	}
}

// checkLines checks that f can travel: every line is short, no line is blank,
// and there is nothing but printable ASCII and folds.
func checkLines(t *testing.T, f Field, limit int) {
	t.Helper()
	for i, line := range strings.Split(f.Name+":"+f.Value, "\r\n") {
		switch {
		case len(line) > limit:
			t.Errorf("line of %d octets: %q", len(line), line)
		case i > 0 && line[0] != '\t':
			t.Errorf("line %q does not begin with a tab", line)
		case strings.TrimSpace(line) == "":
			t.Errorf("line %d is blank", i)
		case strings.Trim(strings.TrimPrefix(line, "\t"), printable) != "":
			t.Errorf("line %q is not printable", line)
		}
	}
}

const printable = " !\"#$%&'()*+,-./0123456789:;<=>?@ABCDEFGHIJKLMNOPQRSTUVWXYZ[\\]^_`abcdefghijklmnopqrstuvwxyz{|}~"

func TestSignFolds(t *testing.T) {
	long := strings.Repeat("a", 60) + "." + strings.Repeat("b", 60) + "." + strings.Repeat("c", 60) + ".test"
	many := append([]Field{{"Subject", strings.Repeat(" \u00e9\u00e9 text|;=", 700)}}, signingFields...)
	for range 60 {
		many = append(many, Field{"X-Some-Header-Field", " v"}, Field{"X", strings.Repeat(" y", 400)})
	}
	for n := range 120 { // whatever the lengths before a fold
		o := signingOptions(t)
		o.CopyFields, o.RequestReports, o.BodyLimit = true, true, 10
		o.Selector = strings.Repeat("s", n%60+1)
		o.AUID = strings.Repeat("i", n) + "@example.com"
		if n%2 == 0 {
			o.Key = signingRSA()
		}
		limit := 78
		if n > 60 {
			limit = len("\ti=;") + len(o.AUID)
		}
		checkLines(t, signMessage(t, many, "body\r\n", o), max(limit, 78))
	}
	o := signingOptions(t)
	o.Domain, o.AUID = long, strings.Repeat("\u00e9", 100)+"@"+long
	fields := append([]Field{{strings.Repeat("x", maxFieldName), " v"}}, signingFields...)
	f := signMessage(t, fields, "body\r\n", o)
	checkLines(t, f, 998)
	if !strings.Contains(f.Value, "h="+fields[0].Name+":") {
		t.Error("the longest name is not signed")
	}
}

func TestSignCopiesAreBounded(t *testing.T) {
	fields := append([]Field{{"X-Large", strings.Repeat(" large", 10000)}, {"X|Bar", " v"}, {"X-Small", " small"}}, signingFields...)
	o := signingOptions(t)
	o.CopyFields = true
	f := signMessage(t, fields, "", o)
	z := f.Value[strings.Index(f.Value, "z="):]
	if strings.Contains(z, "X-Large") || strings.Contains(z, "Bar") || !strings.Contains(z, "X-Small") || len(f.Value) > maxTagListBytes {
		t.Errorf("z= of %d octets: %.200q", len(z), z)
	}
}

// oddKey is a crypto.Signer as foreign code may be.
type oddKey struct {
	public func() crypto.PublicKey
	sign   func() ([]byte, error)
}

func (k oddKey) Public() crypto.PublicKey { return k.public() }

func (k oddKey) Sign(io.Reader, []byte, crypto.SignerOpts) ([]byte, error) { return k.sign() }

func TestNewSignerErrors(t *testing.T) {
	p256, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	weak := oddKey{public: func() crypto.PublicKey {
		pub := signingRSA().PublicKey
		pub.N = new(big.Int).Rsh(pub.N, 1)
		return &pub
	}}
	label := strings.Repeat("a", 63)
	tests := []struct {
		name   string
		change func(*SignOptions)
		want   string
	}{
		{"no domain", func(o *SignOptions) { o.Domain = "" }, "(d=)"},
		{"domain with a final dot", func(o *SignOptions) { o.Domain = "example.com." }, "(d=)"},
		{"domain with a tag", func(o *SignOptions) { o.Domain = "example.com; x=1" }, "(d=)"},
		{"domain with CRLF", func(o *SignOptions) { o.Domain = "example.com\r\nX: y" }, `\r\n`},
		{"domain with a long label", func(o *SignOptions) { o.Domain = label + "a.com" }, "63"},
		{"domain too long", func(o *SignOptions) { o.Domain = strings.Repeat(label+".", 4) + "com" }, "253"},
		{"domain in bad UTF-8", func(o *SignOptions) { o.Domain = "b\xfccher.example" }, "(d=)"},
		{"no selector", func(o *SignOptions) { o.Selector = "" }, "(s=)"},
		{"selector with a colon", func(o *SignOptions) { o.Selector = "a:b" }, "(s=)"},
		{"key name too long", func(o *SignOptions) { o.Domain, o.Selector = label+"."+label+"."+label+".com", label }, "shorter selector"},
		{"i= outside", func(o *SignOptions) { o.AUID = "joe@other.test" }, "neither in nor below"},
		{"i= looks like inside", func(o *SignOptions) { o.AUID = "joe@notexample.com" }, "neither in nor below"},
		{"i= above", func(o *SignOptions) { o.AUID = "joe@com" }, "neither in nor below"},
		{"i= without @", func(o *SignOptions) { o.AUID = "example.com" }, "no @"},
		{"i= with a tag", func(o *SignOptions) { o.AUID = "joe@example.com;x" }, "(i=)"},
		{"i= with CRLF", func(o *SignOptions) { o.AUID = "jo\r\ne@example.com" }, "control character"},
		{"i= too long", func(o *SignOptions) { o.AUID = strings.Repeat("\u00e9", 200) + "@example.com" }, "longer than 900"},
		{"no key", func(o *SignOptions) { o.Key = nil }, "no private key"},
		{"nil RSA key", func(o *SignOptions) { o.Key = (*rsa.PrivateKey)(nil) }, "panic"},
		{"EC key", func(o *SignOptions) { o.Key = p256 }, ErrKeyType.Error()},
		{"short key", func(o *SignOptions) { o.Key = weak }, "1023 bits"},
		{"empty Ed25519 key", func(o *SignOptions) { o.Key = oddKey{public: func() crypto.PublicKey { return ed25519.PublicKey{} }} }, ErrKeyType.Error()},
		{"key without Public", func(o *SignOptions) { o.Key = oddKey{public: func() crypto.PublicKey { panic("gone") }} }, "panic: gone"},
		{"expires at once", func(o *SignOptions) { o.Expiration = o.Time.Add(time.Second / 2) }, "not after"},
		{"expires in 1969", func(o *SignOptions) { o.Time, o.Expiration = time.Time{}, time.Unix(-1, 0) }, "not after"},
		{"signed in 1969", func(o *SignOptions) { o.Time = time.Unix(-1, 0) }, "before 1970"},
		{"no selection", func(o *SignOptions) { o.Selection = nil }, "selection"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			o := signingOptions(t)
			tt.change(&o)
			if _, err := NewSigner(signingFields, NewBody(), o); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v; want one that says %q", err, tt.want)
			}
		})
	}
	if _, err := NewSigner(signingFields[1:], NewBody(), signingOptions(t)); !errors.Is(err, ErrNoFrom) {
		t.Errorf("without From: %v", err)
	}
	crowd := append(fieldsNamed(strings.Repeat("X|", maxSignedNames)), signingFields...)
	if _, err := NewSigner(crowd, NewBody(), signingOptions(t)); err == nil || !strings.Contains(err.Error(), "too many") {
		t.Errorf("with too many fields: %v", err)
	}
	b := NewBody()
	b.Hash(Simple, -1)
	if _, err := b.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	if _, err := NewSigner(signingFields, b, signingOptions(t)); err == nil || !strings.Contains(err.Error(), "begun") {
		t.Errorf("after the body began: %v", err)
	}
}

func TestSignErrors(t *testing.T) {
	public := func() crypto.PublicKey { return signingEd25519().Public() }
	lost := errors.New("token removed")
	tests := []struct {
		name string
		sign func() ([]byte, error)
		want string
	}{
		{"error", func() ([]byte, error) { return nil, lost }, "token removed"},
		{"panic", func() ([]byte, error) { panic("no session") }, "panic: no session"},
		{"short signature", func() ([]byte, error) { return make([]byte, 63), nil }, "63 octets"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			o := signingOptions(t)
			o.Key = oddKey{public, tt.sign}
			b := NewBody()
			s, err := NewSigner(signingFields, b, o)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := s.Sign(); err == nil || !strings.Contains(err.Error(), "not complete") {
				t.Errorf("before Close: %v", err)
			}
			b.Close()
			if f, err := s.Sign(); err == nil || !strings.Contains(err.Error(), tt.want) || f != (Field{}) {
				t.Errorf("%v, %v; want an error that says %q", f, err, tt.want)
			}
		})
	}
}

func TestAlgorithmOf(t *testing.T) {
	if a, bits, err := AlgorithmOf(signingRSA().Public()); a != RSASHA256 || bits != 1024 || err != nil {
		t.Errorf("RSA: %v, %d, %v", a, bits, err)
	}
	if a, bits, err := AlgorithmOf(signingEd25519().Public()); a != Ed25519SHA256 || bits != 256 || err != nil {
		t.Errorf("Ed25519: %v, %d, %v", a, bits, err)
	}
	for _, pub := range []crypto.PublicKey{nil, (*rsa.PublicKey)(nil), &rsa.PublicKey{}, ed25519.PublicKey("short"), "text"} {
		if a, _, err := AlgorithmOf(pub); !errors.Is(err, ErrKeyType) || a != "" {
			t.Errorf("%T: %v, %v", pub, a, err)
		}
	}
}
