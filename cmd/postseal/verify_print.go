package main

import (
	"errors"
	"fmt"
	"io"
	"math"
	"strings"
	"time"

	"github.com/postseal/postseal/cmd/postseal/terminal"
	"github.com/postseal/postseal/milter/dkim"
)

func (v *verification) print(w io.Writer, dns *dnsFlags) error {
	var b strings.Builder
	colors, width := terminal.Colors(w), math.MaxInt // in a pipe a line stays one
	if terminal.Is(w) {
		width = terminal.Width(w)
	}
	for i := range v.Signatures {
		v.Signatures[i].print(&b, i+1, dns, colors)
	}
	v.summary(&b, colors, width)
	fmt.Fprintf(&b, "%s: %s\n", v.Verdict, printable(v.words()))
	_, err := io.WriteString(w, b.String())
	return err
}

// words is the verdict in a sentence.
func (v *verification) words() string {
	switch {
	case v.Verdict != dkim.Pass:
		return v.Reason
	case !v.Aligned:
		return fmt.Sprintf("a signature is valid, but of another domain than the author's (%s)", shown(v.authorDomain))
	case strings.EqualFold(v.AlignedWith, v.authorDomain):
		return fmt.Sprintf("signed by the author's domain, %s", shown(v.AlignedWith))
	}
	return fmt.Sprintf("signed by %s, which is related to the author's domain, %s", shown(v.AlignedWith), shown(v.authorDomain))
}

func (s *verifiedSignature) print(b *strings.Builder, number int, dns *dnsFlags, colors terminal.Palette) {
	line := func(name, format string, args ...any) {
		fmt.Fprintf(b, "  %-11s%s\n", name, printable(fmt.Sprintf(format, args...)))
	}
	fmt.Fprintf(b, "signature %d: %s\n", number, s.Result)
	if s.Reason != "" {
		line("reason", "%s", s.Reason)
	}
	if hint := explainFailure(s); hint != "" {
		line("", "%s", hint)
	}
	line("domain", "d=%s", shown(s.Domain))
	line("selector", "s=%s", shown(s.Selector))
	line("identity", "i=%s", shown(s.AUID))
	line("algorithm", "a=%s, canonicalization %s", shown(string(s.Algorithm)), s.Canonicalization)
	if s.KeyBits > 0 {
		line("key", "%d bits", s.KeyBits)
		line("DNSSEC", "%s", dns.dnssec(s.DNSSEC))
	}
	if s.Testing {
		line("testing", "yes: the domain says that it only tests DKIM (t=y)")
	}
	if s.Time != nil {
		line("signed", "%s", s.Time.UTC().Format(time.RFC3339))
	}
	if s.Expiration != nil {
		line("expires", "%s", s.Expiration.UTC().Format(time.RFC3339))
	}
	if s.BodyLength != nil {
		line("length", "only the first %d bytes of the body are signed (l=)", *s.BodyLength)
	}
	if s.Explanation != nil {
		s.Explanation.print(b, colors)
	}
	b.WriteByte('\n')
}

// failureWords say what a result means to somebody who does not know RFC 6376.
var failureWords = []struct {
	err   error
	words string
}{
	{dkim.ErrBodyHash, "The body is not the one that was signed: something changed it on the way."},
	{dkim.ErrSignature, "A signed header field was changed, or the key in DNS is not the one that signed."},
	{dkim.ErrNoKey, "The signing domain does not publish this key."},
	{dkim.ErrKeyUnavailable, "This says nothing about the message; try again later, or with --nameserver."},
	{dkim.ErrKeyRevoked, "The signing domain has withdrawn this key."},
	{dkim.ErrExpired, "The sender set a time limit, and it is over; --now judges by another time."},
	{dkim.ErrFuture, "The sender's clock or ours is wrong; --now judges by another time."},
	{dkim.ErrFromNotSigned, "Without From the signature says nothing about the author."},
	{dkim.ErrUnsignedContent, "Anybody may have added what follows the signed part."},
}

func explainFailure(s *verifiedSignature) string {
	for _, f := range failureWords {
		if errors.Is(s.err, f.err) {
			return f.words
		}
	}
	return ""
}
