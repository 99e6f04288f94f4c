package main

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/postseal/postseal/keys/published"
	"github.com/postseal/postseal/keys/zone"
	"github.com/postseal/postseal/milter/dkim"
	"github.com/postseal/postseal/milter/finding"
)

func (t *keyTests) print(w io.Writer, dns *dnsFlags) error {
	var b strings.Builder
	bad := 0
	for i, k := range t.Keys {
		if i > 0 {
			b.WriteByte('\n')
		}
		k.print(&b, dns)
		if !k.Usable {
			bad++
		}
	}
	for _, name := range t.Skipped {
		fmt.Fprintf(&b, "\nkey %s signs for each sender's own domain (%%); test one of them with -d DOMAIN -s SELECTOR\n", shown(name))
	}
	if len(t.Keys)+len(t.Skipped) > 1 {
		fmt.Fprintf(&b, "\n%d keys tested: %d usable, %d not\n", len(t.Keys), len(t.Keys)-bad, bad)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func (k *keyTest) print(b *strings.Builder, dns *dnsFlags) {
	name := k.Name
	if name == "" {
		name = fmt.Sprintf("selector %q, domain %q", k.Selector, k.Domain)
	}
	if k.Usable {
		fmt.Fprintf(b, "%s: usable\n", name)
	} else {
		fmt.Fprintf(b, "%s: NOT USABLE\n", name)
	}
	line := func(name, text string) { fmt.Fprintf(b, "  %-9s%s\n", name, printable(text)) }
	for _, f := range k.Findings {
		line(string(f.Level), f.Text)
		if f.Effect != "" {
			line("", f.Effect)
		}
		line("", "→ "+f.Fix)
	}
	if k.Type != "" {
		line("record", recordWords(k))
	}
	if k.Key != "" {
		line("key", shown(k.Key))
	}
	switch {
	case k.Compared && k.Same:
		line("private", k.File+" is the record's private key")
	case k.Compared:
		line("private", k.File+" is NOT the record's private key")
	case k.public != nil:
		line("private", k.File+" could not be compared")
	case k.Key != "" && k.File == "":
		line("private", "not compared: it stands in key_table itself")
	case k.File != "":
		line("private", k.File+" could not be read")
	default:
		line("private", "not compared; name its file with -k")
	}
	if len(k.Records) > 0 {
		line("DNSSEC", dns.dnssec(k.DNSSEC))
	}
	if k.public != nil && !k.Usable && k.asked() {
		fmt.Fprintf(b, "\nThe record for %s is:\n\n%s", k.File, zone.Key(k.Selector, k.Domain, k.Publish))
	}
}

// asked reports whether the look-up had an answer.
func (k *keyTest) asked() bool {
	return !slices.ContainsFunc(k.Findings, func(f finding.Finding) bool {
		return f.Code == published.BadName || f.Code == published.LookupFailed
	})
}

func recordWords(k *keyTest) string {
	if k.Type == string(dkim.KeyRSA) {
		return fmt.Sprintf("RSA, %d bits", k.Bits)
	}
	return "Ed25519"
}
