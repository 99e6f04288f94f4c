package published

import (
	"crypto"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"encoding/asn1"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	"github.com/postseal/postseal/milter/dkim"
)

// spoiledKey says what is wrong with p= of a record that cannot be read. It
// returns false if it is nothing that it knows.
func (r *Report) spoiledKey(tags tagList, p string) bool {
	const again = "Publish the record as genkey prints it."
	if upper := strings.ToUpper(p); strings.Contains(upper, "-----") || strings.Contains(upper, "BEGIN") {
		if strings.Contains(upper, "PRIVATE") {
			r.privateKey()
			return true
		}
		r.add(PEM, Problem, fmt.Sprintf("p= holds the lines around the key in a PEM file: %s.", Excerpt(p)),
			"Take out \"-----BEGIN PUBLIC KEY-----\" and \"-----END PUBLIC KEY-----\": only what is between them belongs into p=.")
		return true
	}
	data, err := decode(p)
	if err != nil {
		var at base64.CorruptInputError
		text := stripBlanks(p)
		if errors.As(err, &at) && int(at) < len(text) && !isBase64(text[at]) {
			r.add(KeyData, Problem, fmt.Sprintf("p= is no base64: %q stands after %d characters of it.", text[at], int(at)), again)
		} else {
			r.add(Truncated, Problem, fmt.Sprintf("p= ends in the middle of a group of base64: a part of the key is missing (%d characters are there).", len(text)), truncatedFix)
		}
		return true
	}
	k, _ := tags.get("k")
	_, wrapped := pkixKey(data).(ed25519.PublicKey)
	switch {
	case wrapped:
		r.add(KeyForm, Problem, "The Ed25519 key is wrapped in ASN.1; RFC 8463 §4 wants its 32 octets alone.", again)
	case isPrivate(data):
		r.privateKey()
	case truncated(data):
		r.add(Truncated, Problem, fmt.Sprintf("The end of the key is missing: %d octets of it are there.", len(data)), truncatedFix)
	case strings.EqualFold(k, "ed25519") && isRSA(data):
		r.add(KeyData, Problem, "k=ed25519, and p= holds an RSA key.", "Write k=rsa, or publish the Ed25519 key.")
	case !strings.EqualFold(k, "ed25519") && len(data) == ed25519.PublicKeySize:
		r.add(KeyData, Problem, "p= has the size of an Ed25519 key, and k= does not say so: without k= it means rsa.", "Write k=ed25519.")
	case isRSA(data) || len(data) == ed25519.PublicKeySize:
		return false
	default:
		r.add(KeyData, Problem, fmt.Sprintf("p= holds no public key that DKIM knows (%d octets).", len(data)), again)
	}
	return true
}

const truncatedFix = "A string in DNS holds 255 characters: write the value as several strings in one record (genkey prints it so), or look whether the form cut it off."

func (r *Report) privateKey() {
	r.add(PrivateKey, Problem, "p= holds a PRIVATE key.",
		"Delete the record at once, and make a new key under a new selector. Do not use this key again.")
}

// form warns of keys that stand in a form that some verifiers do not read.
func (r *Report) form(tags tagList) {
	p, _ := tags.get("p")
	if strings.ContainsAny(p, blanks) {
		r.add(KeySpaces, Warning, "There are blanks in p=, probably where the strings of the record meet.",
			"Publish the value without blanks in the key.")
	}
	data, err := decode(p)
	if err != nil {
		return // it was read before
	}
	if r.Key.Type == dkim.KeyRSA && pkixKey(data) == nil {
		r.add(KeyForm, Warning, "The RSA key stands in the bare form of RFC 6376 (RSAPublicKey), not as SubjectPublicKeyInfo.",
			"Publish it as genkey prints it.")
	}
}

// decode reads base64 with blanks in it and with or without its padding, as
// verifiers do.
func decode(p string) ([]byte, error) {
	return base64.RawStdEncoding.DecodeString(strings.TrimRight(stripBlanks(p), "="))
}

func stripBlanks(s string) string {
	return strings.Join(strings.Fields(s), "")
}

func isPrivate(data []byte) bool {
	if _, err := x509.ParsePKCS1PrivateKey(data); err == nil {
		return true
	}
	_, err := x509.ParsePKCS8PrivateKey(data)
	return err == nil
}

// pkixKey reads a SubjectPublicKeyInfo; nil: data is none.
func pkixKey(data []byte) crypto.PublicKey {
	key, err := x509.ParsePKIXPublicKey(data)
	if err != nil {
		return nil
	}
	return key
}

func isRSA(data []byte) bool {
	if _, err := x509.ParsePKCS1PublicKey(data); err == nil {
		return true
	}
	_, ok := pkixKey(data).(*rsa.PublicKey)
	return ok
}

// truncated reports whether data begins like an ASN.1 sequence that announces
// more octets than there are.
func truncated(data []byte) bool {
	if len(data) < 4 || data[0] != 0x30 {
		return false
	}
	var raw asn1.RawValue
	_, err := asn1.Unmarshal(data, &raw)
	var syntax asn1.SyntaxError
	return errors.As(err, &syntax) && strings.Contains(syntax.Msg, "truncated")
}

// looksLikeKeyData reports whether a text is the rest of a key: base64 and
// nothing else, of some length.
func looksLikeKeyData(txt string) bool {
	txt = strings.Trim(stripBlanks(txt), `"`)
	if len(txt) < 40 {
		return false
	}
	txt = strings.TrimRight(txt, "=;")
	for i := 0; i < len(txt); i++ {
		if !isBase64(txt[i]) {
			return false
		}
	}
	return true
}

func isBase64(c byte) bool {
	return 'A' <= c && c <= 'Z' || 'a' <= c && c <= 'z' || '0' <= c && c <= '9' || c == '+' || c == '/'
}
