package milter

import (
	"errors"
	"fmt"
	"time"

	"github.com/postseal/postseal/config"
	"github.com/postseal/postseal/keys"
	"github.com/postseal/postseal/milter/authres"
	"github.com/postseal/postseal/milter/dkim"
	"github.com/postseal/postseal/milter/mailbox"
	"golang.org/x/net/publicsuffix"
)

// outcome is what becomes of a message: the fields that it gets and the action
// that is taken on it.
type outcome struct {
	began       time.Time // of the work at the end of message
	signatures  []dkim.Field
	signedWith  []keys.Request
	verified    []dkim.Result
	passed      bool             // one of them did
	results     []authres.Result // what Authentication-Results says
	disposition disposition
}

// badFrom judges a message without a certain author.
func (o *outcome) badFrom(why Reason) {
	o.results = []authres.Result{{Method: "dkim", Value: string(dkim.PermError), Reason: why.String()}}
}

// judged turns the results of the verifier into Authentication-Results and an
// action.
func (o *outcome) judged(results []dkim.Result, author mailbox.Address, cfg *config.Config) {
	o.verified = results
	signatures := make([]string, len(results))
	for i, r := range results {
		signatures[i] = r.Signature
	}
	short := authres.ShortSignatures(signatures)
	for i, r := range results {
		o.results = append(o.results, dkimResult(r, short[i]))
		o.passed = o.passed || r.Status == dkim.Pass
	}
	if len(results) == 0 && cfg.AlwaysAddARHeader {
		o.results = []authres.Result{{Method: "dkim", Value: string(dkim.None)}}
	}
	o.disposition = dispositionFor(results, author, cfg)
}

// dkimResult writes one result with the properties of RFC 8601 §2.7.1 and the
// signature's beginning (RFC 6008).
func dkimResult(r dkim.Result, short string) authres.Result {
	a := authres.Result{Method: "dkim", Value: string(r.Status)}
	if r.Err != nil {
		a.Reason = r.Err.Error()
	}
	if r.KeyBits > 0 {
		a.Comment = fmt.Sprintf("%d-bit key", r.KeyBits)
	}
	for _, p := range []authres.Property{
		{Type: "header", Name: "d", Value: r.Domain},
		{Type: "header", Name: "i", Value: r.AUID},
		{Type: "header", Name: "a", Value: string(r.Algorithm)},
		{Type: "header", Name: "s", Value: r.Selector},
		{Type: "header", Name: "b", Value: short},
	} {
		if p.Value != "" {
			a.Properties = append(a.Properties, p)
		}
	}
	return a
}

// dispositionFor chooses the action. One passing signature makes the message
// good. Without one, trouble that may pass comes first, since the answer may
// turn out well later; then what is wrong with a signature; then a key that is
// not there.
func dispositionFor(results []dkim.Result, author mailbox.Address, cfg *config.Config) disposition {
	var temporary, bad, noKey *dkim.Result
	passed, aligned, onTrial := false, false, true
	for i := range results {
		r := &results[i]
		switch {
		case r.Status == dkim.Pass:
			passed = true
			aligned = aligned || Aligned(r.Domain, author.Domain)
			continue
		case r.Status == dkim.TempError:
			temporary = first(temporary, r)
		case r.Status == dkim.Neutral: // left out of account
			continue
		case errors.Is(r.Err, dkim.ErrNoKey):
			noKey = first(noKey, r)
		default:
			bad = first(bad, r)
		}
		onTrial = onTrial && r.Testing
	}
	var d disposition
	switch {
	case passed:
	case temporary != nil:
		d = disposition{cfg.OnDNSError, "7.5", "DKIM key retrieval failed" + what(temporary)}
	case bad != nil:
		d = disposition{cfg.OnBadSignature, "7.0", "bad DKIM signature data" + what(bad)}
		if onTrial && d.action == config.Reject {
			d.action = config.Accept // t=y: RFC 6376 §3.6.1
		}
	case noKey != nil:
		d = disposition{cfg.OnKeyNotFound, "7.0", "DKIM key not found" + what(noKey)}
	case !cfg.AlwaysAddARHeader:
		d = disposition{cfg.OnNoSignature, "7.0", "no DKIM signature data"}
	}
	if d.action == config.Accept && !aligned && cfg.OnNoAlignedPass != config.Accept {
		d = disposition{cfg.OnNoAlignedPass, "7.22", "no valid DKIM signature of the author's domain " + author.Domain}
	}
	return d
}

func first(a, b *dkim.Result) *dkim.Result {
	if a != nil {
		return a
	}
	return b
}

// what names a signature and its trouble for the SMTP peer.
func what(r *dkim.Result) string {
	if r.Domain == "" {
		return fmt.Sprintf(" (%v)", r.Err)
	}
	return fmt.Sprintf(" (d=%s: %v)", r.Domain, r.Err)
}

// Aligned reports whether a signing domain is the author's domain, or a parent
// or child of it that is no public suffix: d=com speaks for nobody.
func Aligned(domain, author string) bool {
	d, err1 := dkim.DomainName(domain)
	a, err2 := dkim.DomainName(author)
	switch {
	case err1 != nil || err2 != nil:
		return false
	case d == a:
		return true
	case dkim.Within(a, d):
		return !isPublicSuffix(d)
	}
	return dkim.Within(d, a) && !isPublicSuffix(a)
}

func isPublicSuffix(domain string) bool {
	suffix, _ := publicsuffix.PublicSuffix(domain)
	return suffix == domain
}
