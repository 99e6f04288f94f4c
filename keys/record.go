package keys

import (
	"crypto"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"strings"
)

// Record is the DNS record of a key (RFC 6376 §3.6.1). The zero options are
// what nearly everybody wants.
type Record struct {
	Public crypto.PublicKey
	// Note is n=, for people.
	Note string
	// Testing is t=y: verifiers shall not act on failures.
	Testing bool
	// Strict is t=s: i= must have the very domain of d=.
	Strict bool
	// EmailOnly is s=email.
	EmailOnly bool
}

// RecordText is the TXT value of a public key without any option, empty if the
// key is neither RSA nor Ed25519.
func RecordText(pub crypto.PublicKey) string { return Record{Public: pub}.Text() }

// Text is the value of the TXT record, in one piece. It is empty if the key is
// neither RSA nor Ed25519.
func (r Record) Text() string {
	kind, data := kindRSA, []byte(nil)
	switch pub := r.Public.(type) {
	case *rsa.PublicKey:
		// RFC 6376 erratum 3758: SubjectPublicKeyInfo, as everybody publishes.
		der, err := x509.MarshalPKIXPublicKey(pub)
		if err != nil {
			return ""
		}
		data = der
	case ed25519.PublicKey:
		kind, data = kindEd25519, pub // RFC 8463 §4: the bare key
	default:
		return ""
	}
	var b strings.Builder
	b.WriteString("v=DKIM1; ")
	if r.Note != "" {
		b.WriteString("n=" + qpSection(r.Note) + "; ")
	}
	b.WriteString("h=sha256; k=" + kind + "; ")
	var flags []string
	if r.Testing {
		flags = append(flags, "y")
	}
	if r.Strict {
		flags = append(flags, "s")
	}
	if len(flags) > 0 {
		b.WriteString("t=" + strings.Join(flags, ":") + "; ")
	}
	if r.EmailOnly {
		b.WriteString("s=email; ")
	}
	return b.String() + "p=" + base64.StdEncoding.EncodeToString(data)
}

// qpSection encodes text for n= (RFC 2045 §6.7, with ";" encoded as well).
func qpSection(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if c := s[i]; c > ' ' && c < 0x7f && c != '=' && c != ';' || c == ' ' && i > 0 && i < len(s)-1 {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "=%02X", c)
		}
	}
	return b.String()
}
