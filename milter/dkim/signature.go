package dkim

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"strings"
	"time"
)

// Bounds of a signature's tags.
const (
	maxSignedNames = 4096 // names in h=
	maxTimeDigits  = 12   // t= and x= (RFC 6376 §3.5)
	maxBodyDigits  = 76   // l= (RFC 6376 §3.5)
)

// signature is a parsed DKIM-Signature field (RFC 6376 §3.5).
type signature struct {
	Algorithm  Algorithm
	Domain     string // d= as written
	Selector   string // s= as written
	AUID       string // i= decoded, or "@" and d=
	Headers    []string
	Header     Canonicalization
	Body       Canonicalization
	BodyLength int64     // l=, or -1
	Time       time.Time // t=, or zero
	Expiration time.Time // x=, or zero
	Data       []byte    // b= decoded
	BodyHash   []byte    // bh= decoded
	Text       string    // b= without white space

	// subdomain is whether the domain of i= is below d= and not d= itself.
	subdomain bool
	// keyName is the domain name of the key record (RFC 6376 §3.6.2.1).
	keyName string
	// dataStart and dataEnd enclose the value of b= and the white space around
	// it in the field's value.
	dataStart, dataEnd int
}

// requiredTags are those without which there is no signature (RFC 6376 §3.5).
var requiredTags = [...]string{"v", "a", "b", "bh", "d", "h", "s"}

// parseSignature reads the value of a DKIM-Signature field and makes every check of
// RFC 6376 §6.1.1 that needs no clock. The signature is never nil: together
// with an error it holds what could be read until then.
func parseSignature(value string) (*signature, error) {
	s := &signature{BodyLength: -1}
	tags, err := parseTagList(value)
	s.identify(tags)
	if err != nil {
		return s, fmt.Errorf("%w: %w", ErrSyntax, err)
	}
	// Another version may have other rules for all the rest.
	if v, ok := tags.get("v"); ok && v != "1" {
		return s, fmt.Errorf("%w: v=%s", ErrVersion, excerpt(v))
	}
	for _, name := range requiredTags {
		if v, ok := tags.get(name); !ok || v == "" {
			return s, fmt.Errorf("%w: %s=", ErrMissingTag, name)
		}
	}
	for _, parse := range []func(tagList) error{
		s.parseAlgorithm, s.parseCanonicalization, s.parseQueryMethod, s.parseNames,
		s.parseHeaders, s.parseTimes, s.parseBodyLength, s.parseData,
	} {
		if err := parse(tags); err != nil {
			return s, err
		}
	}
	return s, nil
}

// identify notes what names the signature, whatever else is wrong with it.
func (s *signature) identify(tags tagList) {
	if d, ok := tags.get("d"); ok {
		if _, err := DomainName(d); err == nil {
			s.Domain = d
			s.AUID = "@" + d
		}
	}
	if sel, ok := tags.get("s"); ok {
		if _, err := DomainName(sel); err == nil {
			s.Selector = sel
		}
	}
	for _, t := range tags {
		if t.name == "b" {
			s.Text = stripFWS(t.value)
			s.dataStart, s.dataEnd = t.start, t.end
		}
	}
}

func (s *signature) parseAlgorithm(tags tagList) error {
	a, _ := tags.get("a")
	switch alg := Algorithm(asciiLower(a)); alg {
	case RSASHA256, Ed25519SHA256:
		s.Algorithm = alg
		return nil
	case RSASHA1:
		s.Algorithm = alg
		return fmt.Errorf("%w: rsa-sha1 is not secure and never passes (RFC 8301 §3.1)", ErrAlgorithm)
	}
	return fmt.Errorf("%w: a=%s", ErrAlgorithm, excerpt(a))
}

func (s *signature) parseCanonicalization(tags tagList) error {
	c, ok := tags.get("c")
	if !ok {
		return nil // simple/simple
	}
	var err error
	if s.Header, s.Body, err = ParseCanonicalization(c); err != nil {
		return fmt.Errorf("%w: c=%s", ErrSyntax, excerpt(c))
	}
	return nil
}

// parseQueryMethod wants dns/txt among the methods and ignores the others.
func (s *signature) parseQueryMethod(tags tagList) error {
	q, ok := tags.get("q")
	if !ok {
		return nil
	}
	for _, method := range colonList(q) {
		if asciiEqualFold(method, "dns/txt") {
			return nil
		}
	}
	return fmt.Errorf("%w: q=%s without dns/txt", ErrQueryMethod, excerpt(q))
}

// parseNames reads d=, s= and i= and makes the name of the key record of them.
func (s *signature) parseNames(tags tagList) error {
	d, _ := tags.get("d")
	domain, err := DomainName(d)
	if err != nil {
		return fmt.Errorf("%w: d=: %w", ErrSyntax, err)
	}
	sel, _ := tags.get("s")
	selector, err := DomainName(sel)
	if err != nil {
		return fmt.Errorf("%w: s=: %w", ErrSyntax, err)
	}
	s.keyName = selector + "._domainkey." + domain
	if len(s.keyName) > maxNameBytes {
		return fmt.Errorf("%w: the name of the key has %d octets; a domain name has at most %d", ErrSyntax, len(s.keyName), maxNameBytes)
	}
	i, ok := tags.get("i")
	if !ok {
		return nil // "@" and d=
	}
	auid, err := decodeQuotedPrintable(i)
	if err != nil {
		return fmt.Errorf("%w: i=: %w", ErrSyntax, err)
	}
	at := strings.LastIndexByte(auid, '@')
	if at < 0 {
		return fmt.Errorf("%w: i=%s without @", ErrSyntax, excerpt(auid))
	}
	host, err := DomainName(auid[at+1:])
	if err != nil {
		return fmt.Errorf("%w: i=: %w", ErrSyntax, err)
	}
	s.AUID = auid
	if !Within(host, domain) {
		return fmt.Errorf("%w: i=%s is not d=%s or below it", ErrDomainMismatch, excerpt(auid), excerpt(d))
	}
	s.subdomain = host != domain
	return nil
}

// parseHeaders reads h=; it names From (RFC 6376 §5.4).
func (s *signature) parseHeaders(tags tagList) error {
	h, _ := tags.get("h")
	if strings.Count(h, ":") >= maxSignedNames {
		return fmt.Errorf("%w: more than %d names in h=", ErrSyntax, maxSignedNames)
	}
	names := colonList(h)
	from := false
	for _, name := range names {
		if !isFieldName(name) {
			return fmt.Errorf("%w: %s in h= is no header field name", ErrSyntax, excerpt(name))
		}
		from = from || asciiEqualFold(name, "From")
	}
	s.Headers = names
	if !from {
		return ErrFromNotSigned
	}
	return nil
}

func (s *signature) parseTimes(tags tagList) error {
	var err error
	if s.Time, err = parseTimeTag(tags, "t"); err != nil {
		return err
	}
	if s.Expiration, err = parseTimeTag(tags, "x"); err != nil {
		return err
	}
	if !s.Time.IsZero() && !s.Expiration.IsZero() && !s.Expiration.After(s.Time) {
		return fmt.Errorf("%w: x= is not after t=", ErrSyntax)
	}
	return nil
}

func (s *signature) parseBodyLength(tags tagList) error {
	l, ok := tags.get("l")
	if !ok {
		return nil
	}
	n, err := parseDecimal(l, maxBodyDigits)
	if err != nil {
		return fmt.Errorf("%w: l=%s: %w", ErrSyntax, excerpt(l), err)
	}
	s.BodyLength = n
	return nil
}

// parseData decodes b= and bh=.
func (s *signature) parseData(tags tagList) error {
	var err error
	if s.Data, err = base64.StdEncoding.DecodeString(s.Text); err != nil {
		return fmt.Errorf("%w: b=: %w", ErrSyntax, err)
	}
	bh, _ := tags.get("bh")
	if s.BodyHash, err = base64.StdEncoding.DecodeString(stripFWS(bh)); err != nil {
		return fmt.Errorf("%w: bh=: %w", ErrSyntax, err)
	}
	if len(s.BodyHash) != sha256.Size {
		return fmt.Errorf("%w: bh= has %d octets; SHA-256 has %d", ErrSyntax, len(s.BodyHash), sha256.Size)
	}
	return nil
}

// unsigned returns the DKIM-Signature field f, of which s was parsed, as it
// is hashed: the value of b= and the white space around it are deleted
// (RFC 6376 §3.5, §3.7). They are found by their place: "b=" occurs
// in z= and in names of other tags too.
func (s *signature) unsigned(f Field) Field {
	return Field{Name: f.Name, Value: f.Value[:s.dataStart] + f.Value[s.dataEnd:]}
}
