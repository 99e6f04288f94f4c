package keys

import (
	"crypto"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"github.com/postseal/postseal/milter/dkim"
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

// maxString is the longest character-string of a TXT record (RFC 1035 §3.3).
const maxString = 255

// ZoneRecord is a TXT record in zone-file form: value cut into strings of at
// most 255 octets, on a line each. Without a domain the name is relative to
// the zone. A domain in U-label form is written in A-label form.
func ZoneRecord(selector, domain, value string) string {
	owner := ascii(selector) + "._domainkey"
	if domain != "" {
		owner += "." + ascii(strings.TrimSuffix(domain, ".")) + "."
	}
	var parts []string
	if p := strings.Index(value, "p="); p > 0 && p <= maxString {
		parts, value = append(parts, zoneString(value[:p])), value[p:]
	}
	for len(value) > maxString {
		parts, value = append(parts, zoneString(value[:maxString])), value[maxString:]
	}
	parts = append(parts, zoneString(value))
	return owner + "\tIN\tTXT\t( " + strings.Join(parts, "\n\t\t") + " )\n"
}

// ascii is dkim.DomainName for what may also be no name: that stays as it is.
func ascii(s string) string {
	if a, err := dkim.DomainName(s); err == nil {
		return a
	}
	return s
}

// zoneString quotes a character-string (RFC 1035 §5.1).
func zoneString(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '"' || c == '\\':
			b.WriteByte('\\')
			b.WriteByte(c)
		case c < ' ' || c > '~':
			fmt.Fprintf(&b, `\%03d`, c)
		default:
			b.WriteByte(c)
		}
	}
	b.WriteByte('"')
	return b.String()
}
