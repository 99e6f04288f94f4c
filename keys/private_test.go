package keys

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"math/big"
	"strings"
	"testing"
)

func block(kind string, der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
}

func TestParsePrivate(t *testing.T) {
	rsaKey, edKey := generate(t, kindRSA).(*rsa.PrivateKey), generate(t, kindEd25519)
	pkcs1 := x509.MarshalPKCS1PrivateKey(rsaKey)
	rsaPEM := block("RSA PRIVATE KEY", pkcs1)
	for _, tt := range []struct{ name, text string }{
		{"PKCS #1 PEM", rsaPEM},
		{"PKCS #8 PEM", block("PRIVATE KEY", pkcs8(t, rsaKey))},
		{"PKCS #1 DER", string(pkcs1)},
		{"PKCS #8 DER", string(pkcs8(t, rsaKey))},
		{"base64 of DER", base64.StdEncoding.EncodeToString(pkcs1)},
		{"base64 without padding", base64.RawStdEncoding.EncodeToString(pkcs1)},
		{"base64 on lines", strings.ReplaceAll(base64.StdEncoding.EncodeToString(pkcs1), "A", "A\r\n ")},
		{"text before and after", "Bag Attributes\n    localKeyID: 01\n\n" + rsaPEM + "the end\n"},
		{"CRLF", strings.ReplaceAll(rsaPEM, "\n", "\r\n")},
		{"CR", strings.ReplaceAll(rsaPEM, "\n", "\r")},
		{"byte order mark", "\xef\xbb\xbf" + rsaPEM},
		{"indented", strings.ReplaceAll(rsaPEM, "\n", "\n    ")},
		{"on one line", strings.ReplaceAll(rsaPEM, "\n", `\n`)},
		{"after its public key", block("PUBLIC KEY", publicDER(rsaKey)) + rsaPEM},
		{"after a certificate's block", block("CERTIFICATE", []byte("x")) + rsaPEM},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if key, err := ParsePrivate([]byte(tt.text)); err != nil || !same(key, rsaKey) {
				t.Errorf("%v, %v", key, err)
			}
		})
	}
	for name, text := range map[string]string{
		"Ed25519 PEM":    block("PRIVATE KEY", pkcs8(t, edKey)),
		"Ed25519 DER":    string(pkcs8(t, edKey)),
		"Ed25519 base64": base64.StdEncoding.EncodeToString(pkcs8(t, edKey)),
	} {
		if key, err := ParsePrivate([]byte(text)); err != nil || !same(key, edKey) {
			t.Errorf("%s: %v, %v", name, key, err)
		}
	}
}

// The key of RFC 8463 §A.2 as OpenSSL writes it.
func TestParseOpenSSLEd25519(t *testing.T) {
	const text = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g\n-----END PRIVATE KEY-----\n"
	key, err := ParsePrivate([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	if got := RecordText(key.Public()); got != "v=DKIM1; h=sha256; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=" {
		t.Errorf("record %q", got)
	}
}

func TestNoPrivateKey(t *testing.T) {
	rsaKey := generate(t, kindRSA).(*rsa.PrivateKey)
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	sec1, err := x509.MarshalECPrivateKey(ec)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1)}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, ec.Public(), ec)
	if err != nil {
		t.Fatal(err)
	}
	rsaPEM := block("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(rsaKey))
	for _, tt := range []struct{ name, text, want string }{
		{"empty", "", "empty"},
		{"blank", " \r\n", "empty"},
		{"rubbish", "hello", "neither PEM nor DER nor base64"},
		{"relative path", "keys/example.private", "begins with / or ./ or ../"},
		{"base64 of text", base64.StdEncoding.EncodeToString([]byte("hello")), "neither PEM nor DER nor base64"},
		{"DER of something", "\x30\x03\x02\x01\x05", "neither PKCS #8 nor PKCS #1"},
		{"public PEM", block("PUBLIC KEY", publicDER(rsaKey)), "public key"},
		{"public PKCS #1 PEM", block("RSA PUBLIC KEY", x509.MarshalPKCS1PublicKey(&rsaKey.PublicKey)), "public key"},
		{"public DER", string(publicDER(rsaKey)), "public key"},
		{"public PKCS #1 DER", string(x509.MarshalPKCS1PublicKey(&rsaKey.PublicKey)), "public key"},
		{"certificate PEM", block("CERTIFICATE", cert), "certificate"},
		{"certificate DER", string(cert), "certificate"},
		{"EC PEM", block("EC PARAMETERS", []byte("x")) + block("EC PRIVATE KEY", sec1), "another kind"},
		{"EC PKCS #8", block("PRIVATE KEY", pkcs8(t, ec)), "another kind"},
		{"EC DER", string(sec1), "another kind"},
		{"encrypted PKCS #8", block("ENCRYPTED PRIVATE KEY", []byte("x")), "passphrase"},
		{"encrypted PKCS #1", "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00\n\nAAAA\n-----END RSA PRIVATE KEY-----\n", "passphrase"},
		{"SSH", block("OPENSSH PRIVATE KEY", []byte("x")), "SSH"},
		{"cut off", rsaPEM[:len(rsaPEM)/2], "lacks its END line"},
		{"something else", block("PGP MESSAGE", []byte("x")), `"PGP MESSAGE"`},
		{"damaged", block("PRIVATE KEY", []byte("\x30\x03\x02\x01\x05")), "neither PKCS #8 nor PKCS #1"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			key, err := ParsePrivate([]byte(tt.text))
			if key != nil || !errors.Is(err, ErrNoPrivateKey) || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%v, %v; want %q", key, err, tt.want)
			}
		})
	}
}

// A key too small to sign with is read, so that its size can be named.
func TestParseSmallKey(t *testing.T) {
	t.Setenv("GODEBUG", "rsa1024min=0")
	small, err := rsa.GenerateKey(rand.Reader, 512)
	if err != nil {
		t.Fatal(err)
	}
	der := x509.MarshalPKCS1PrivateKey(small)
	t.Setenv("GODEBUG", "")
	key, err := ParsePrivate(der)
	if err != nil {
		t.Fatal(err)
	}
	if err := (policy{minBits: minRSABits, maxBits: maxRSABits}).check(key); !errors.Is(err, ErrKeySize) || !strings.Contains(err.Error(), "RSA of 512 bits") {
		t.Errorf("got %v", err)
	}
}
