package check

import (
	"context"
	"crypto"
	"fmt"
	"slices"
	"strings"

	"github.com/postseal/postseal/milter"
	"github.com/postseal/postseal/milter/dkim"
	"github.com/postseal/postseal/milter/finding"
	"golang.org/x/sync/errgroup"
)

// The kinds of findings about DKIM, beside those of package published.
const (
	// NotSigned: mail of the domain leaves without a signature.
	NotSigned finding.Code = "not-signed"
	// NotOurs: mail that this machine itself sends leaves without a signature.
	NotOurs finding.Code = "not-ours"
	// LeftAlone: so it does, because the machine is in peer_list.
	LeftAlone finding.Code = "left-alone"
	// SomeSigned: mail of some of the domain's addresses alone is signed.
	SomeSigned finding.Code = "some-signed"
	// TableError: a row for the domain's mail cannot be used.
	TableError finding.Code = "table-error"
	// NoRow: no row has mail signed with a key of key_table.
	NoRow finding.Code = "no-row"
	// Ed25519Alone: there is no RSA signature.
	Ed25519Alone finding.Code = "ed25519-alone"
	// KeyFile: a private key cannot be used.
	KeyFile finding.Code = "key-file"
	// KeyFolder: so it is because of a folder above it.
	KeyFolder finding.Code = "key-folder"
	// UnsafeFile: others may read or replace a private key.
	UnsafeFile finding.Code = "unsafe-file"
	// Resting: rotation has the key, which signs not yet or no more.
	Resting finding.Code = "resting"
	// NotEverywhere: one of the domain's own name servers does not show the record.
	NotEverywhere finding.Code = "not-everywhere"
	// NotSeen: the domain's own name servers show the record, the one that was asked does
	// not.
	NotSeen finding.Code = "not-seen"
	// NotTaken: the running daemon does not have the key, or cannot sign with it.
	NotTaken finding.Code = "not-taken"
	// LongTTL and ShortTTL: how long the record is remembered.
	LongTTL  finding.Code = "long-ttl"
	ShortTTL finding.Code = "short-ttl"
	// OldKey: the date in the selector is long ago.
	OldKey finding.Code = "old-key"
)

// Key is a key that signs, or might sign, mail of the domain.
type Key struct {
	// Key is its name in key_table, Row the row of signing_table that names it.
	Key string `json:"key"`
	Row string `json:"row,omitempty"`
	// File is the private key.
	File     string `json:"file,omitempty"`
	Domain   string `json:"domain"`
	Selector string `json:"selector"`
	// Name is where the record stands.
	Name string `json:"name"`
	// Algorithm is rsa-sha256 or ed25519-sha256; it and Bits are the private key's.
	Algorithm dkim.Algorithm `json:"algorithm,omitempty"`
	Bits      int            `json:"bits,omitempty"`
	// Signs: mail of the domain is signed with it; Sender is whose.
	Signs  bool   `json:"signs"`
	Sender string `json:"sender,omitempty"`
	// Usable: verifiers can use the record; Same: it is the private key's.
	Usable bool `json:"usable"`
	Same   bool `json:"same"`
	// DNSSEC is "secure", "insecure", or "" where the name server does not tell.
	DNSSEC string `json:"dnssec,omitempty"`
	// TTL is how long the answer may be remembered, in seconds.
	TTL int `json:"ttl,omitempty"`
	// Publish is the record's value for the private key, Zone the record for a zone
	// file.
	Publish string `json:"publish,omitempty"`
	Zone    string `json:"zone,omitempty"`

	public    crypto.PublicKey
	err       error // why it cannot sign
	candidate bool  // it signs if none before it does (unpublished_keys)
	resting   bool  // rotation has it: it signs not yet, or no more
}

// parallel is how many records are looked up at once.
const parallel = 8

// dkim looks at the keys of a domain: those that sign its mail, and the others that
// key_table has for it.
func (c *Checker) dkim(ctx context.Context, domain string, s *Section) {
	if c.Snapshot == nil {
		s.State, s.Summary = Skipped, "not looked at: the configuration has problems"
		return
	}
	if _, ours := c.index().byDomain[domain]; !ours && !c.Signs() {
		s.State, s.Summary = Skipped, "not looked at: the daemon only verifies (mode)"
		return
	}
	c.signs(domain, s)
	c.findIdle(domain, s)
	lists := make([]Section, len(s.Keys))
	var group errgroup.Group
	group.SetLimit(parallel)
	for i, k := range s.Keys {
		group.Go(func() error {
			c.key(ctx, k, &lists[i])
			return nil
		})
	}
	_ = group.Wait() // none returns an error
	c.firstOnly(s.Keys, lists)
	for _, l := range lists {
		for _, f := range l.Findings {
			if f.Subject != "" || !slices.Contains(s.Findings, f) { // one without is about all keys
				s.add(f.Subject, f.Finding)
			}
		}
	}
	c.algorithms(domain, s)
	c.dnssec(ctx, s)
	s.Summary = summary(s.Keys)
}

// firstOnly is for rows of which one counts, the first whose key DNS shows: the keys of
// those behind it do not sign now.
func (c *Checker) firstOnly(keys []*Key, lists []Section) {
	found := false
	for i, k := range keys {
		if !k.candidate {
			continue
		}
		if found {
			k.Signs, lists[i].Findings = false, nil
		}
		found = found || k.Usable && k.Same
	}
}

// algorithms wants an RSA signature: the verifiers that know no Ed25519 are many, and
// every one knows RSA (RFC 8463 §1, RFC 8301 §3.1).
func (c *Checker) algorithms(domain string, s *Section) {
	var signing, other *Key
	for _, k := range s.Keys {
		switch {
		case k.Signs && (k.Algorithm == dkim.RSASHA256 || k.Algorithm == ""):
			return // the other is not known: another finding says so
		case k.Signs:
			signing = k
		case k.Algorithm == dkim.RSASHA256:
			other = k
		}
	}
	if signing == nil {
		return
	}
	f := finding.Finding{
		Code: Ed25519Alone, Level: finding.Problem,
		Text:   fmt.Sprintf("Mail of %s is signed with Ed25519 alone.", domain),
		Effect: "Receivers that know RSA alone, and they are many, take it for unsigned.",
		Fix:    fmt.Sprintf("Have it signed with RSA beside it:\n  postseal setup %s", domain),
	}
	if other != nil {
		// That no row names that key has the same cause.
		s.drop(func(f Finding) bool { return f.Code == NoRow && f.Subject == other.Name })
		f.Text = fmt.Sprintf("Mail of %s is signed with Ed25519 alone; no row of signing_table has it signed with the RSA key %q.", domain, other.Key)
		f.Fix = rowFix(domain, other)
	}
	s.add("", f)
}

// rowFix says how a key gets mail to sign.
func rowFix(domain string, k *Key) string {
	return fmt.Sprintf("Add a row to signing_table, and set multiple_signatures = true where it is to sign beside another key:\n  *@%s %s", domain, k.Key)
}

// summary says in a line which keys sign and how they stand.
func summary(keys []*Key) string {
	var words []string
	same, secure, insecure := 0, 0, 0
	for _, k := range keys {
		if !k.Signs {
			continue
		}
		word := k.Selector
		switch {
		case k.Algorithm == dkim.RSASHA256:
			word += fmt.Sprintf(" RSA %d", k.Bits)
		case k.Algorithm == dkim.Ed25519SHA256:
			word += " Ed25519"
		}
		words = append(words, word)
		if k.Usable && k.Same {
			same++
		}
		switch k.DNSSEC {
		case "secure":
			secure++
		case "insecure":
			insecure++
		}
	}
	switch n := len(words); {
	case n == 0:
		return "no key signs"
	case same < n:
		return strings.Join(words, ", ")
	case secure == n:
		return strings.Join(words, ", ") + ": published, match, DNSSEC"
	case secure+insecure == n:
		return strings.Join(words, ", ") + ": published, match, no DNSSEC"
	}
	return strings.Join(words, ", ") + ": published, match"
}

// notSigned says why mail of a sender is not signed and what changes that. keyed is
// whether key_table has keys of the domain, as it has while a set-up waits for DNS.
func notSigned(domain, sender string, keyed bool, d milter.Decision) finding.Finding {
	f := finding.Finding{
		Code: NotSigned, Level: finding.Problem,
		Text:   fmt.Sprintf("Mail from %s leaves without a signature: %s.", sender, milter.Words(d.Reasons)),
		Effect: "Receivers cannot tell it from forged mail: much of it ends up as spam, and with a strict DMARC policy it is refused.",
		Fix:    "To see the whole decision:\n  postseal explain " + sender,
	}
	for _, r := range d.Reasons {
		switch r.Code {
		case milter.ReasonNoRow:
			f.Text = fmt.Sprintf("Mail from %s leaves without a signature: no row of signing_table is for it.", sender)
			if f.Fix = "Make keys and rows for the domain:\n  postseal setup " + domain; keyed {
				f.Fix = "Have it signed with the keys that it has once DNS shows them, or at once without --wait:\n  postseal setup --wait " + domain
			}
		case milter.ReasonExemptDomain:
			f.Fix = fmt.Sprintf("Take %s out of exempt_domains.", domain)
		case milter.ReasonModeNoSign:
			f.Fix = "In the configuration:\n  mode = \"sv\""
		case milter.ReasonUnknownKey, milter.ReasonRowError:
			f.Code = TableError
			f.Text = fmt.Sprintf("Mail from %s cannot be signed: %s.", sender, r)
			f.Effect = "It is deferred (on_internal_error)."
			f.Fix = "Correct the row, or make new keys and rows:\n  postseal setup " + domain
		}
	}
	return f
}
