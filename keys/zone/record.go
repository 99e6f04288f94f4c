// Package zone hands TXT records to DNS: as the text of a zone file (RFC 1035 §5.1),
// as what web forms want, and by dynamic update (RFC 2136) with TSIG (RFC 8945).
package zone

import (
	"fmt"
	"strings"
	"time"

	"github.com/postseal/postseal/milter/dkim"
	"github.com/postseal/postseal/milter/resolver"
)

// Record is a TXT record to be published.
type Record struct {
	// Name is its full name, in lower case and A-labels, without a final dot.
	Name string
	// Text is its value in one piece: what a web form wants.
	Text string
	// TTL is how long it may be remembered, 0 for the zone's default. It is whole
	// seconds.
	TTL time.Duration
}

// Key is the record of a DKIM key (RFC 6376 §3.6.2.1): text, as keys.RecordText makes
// it, at SELECTOR._domainkey.DOMAIN. A name in U-labels is written in A-labels.
func Key(selector, domain, text string) Record {
	return Record{Name: ascii(selector) + "._domainkey." + ascii(strings.TrimSuffix(domain, ".")), Text: text}
}

// ascii is dkim.DomainName for what may also be no name: that stays as it is.
func ascii(s string) string {
	if a, err := dkim.DomainName(s); err == nil {
		return a
	}
	return s
}

// Host is the name as web forms for a domain want it: without the domain, and "@" for
// the domain itself. A name outside of the domain stays whole.
func (r Record) Host(domain string) string {
	domain = ascii(strings.TrimSuffix(domain, "."))
	if r.Name == domain {
		return "@"
	}
	return strings.TrimSuffix(r.Name, "."+domain)
}

// maxString is the longest character-string of a TXT record (RFC 1035 §3.3).
const maxString = 255

// String is the record in a zone file, with its full name, whatever $ORIGIN says, and a
// line end: a value of at most 255 octets on one line, a longer one as strings on a line
// each.
func (r Record) String() string {
	ttl := ""
	if r.TTL > 0 {
		ttl = fmt.Sprintf("%d\t", int(r.TTL.Seconds()))
	}
	parts := Strings(r.Text)
	for i, p := range parts {
		parts[i] = `"` + resolver.Escape(p) + `"`
	}
	text := parts[0]
	if len(parts) > 1 {
		text = "( " + strings.Join(parts, "\n\t\t") + " )"
	}
	return r.Name + ".\t" + ttl + "IN\tTXT\t" + text + "\n"
}

// Strings cuts a value into the character-strings of its record, at least one, and none
// of more than 255 octets. Where it takes several, the data of a key begin a new one,
// where a person looks for them.
func Strings(value string) []string {
	if len(value) <= maxString {
		return []string{value}
	}
	var parts []string
	if p := strings.Index(value, "p="); p > 0 && p <= maxString {
		parts, value = append(parts, value[:p]), value[p:]
	}
	for len(value) > maxString {
		parts, value = append(parts, value[:maxString]), value[maxString:]
	}
	return append(parts, value)
}
