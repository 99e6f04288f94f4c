package milter

import (
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/postseal/postseal/config"
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
	signedWith  []signed
	verified    []dkim.Result
	passed      bool             // one of them did
	broken      bool             // the mail is not what a signature was made of, and none passed or may pass later
	results     []authres.Result // what Authentication-Results says
	disposition disposition
}

// unverifiable judges a message whose signatures are not looked at: one without
// a certain author, or with too long a header.
func (o *outcome) unverifiable(why Reason) {
	o.results = []authres.Result{{
		Method: "dkim", Value: string(dkim.PermError), Reason: why.String(),
		Comment: "bad message/signature format", // OpenDKIM's words, which scripts look for
	}}
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
	leftOut := 0
	for i, r := range results {
		o.passed = o.passed || r.Status == dkim.Pass
		if errors.Is(r.Err, dkim.ErrTooManySignatures) || errors.Is(r.Err, dkim.ErrUntrusted) {
			if leftOut++; leftOut > maxLeftOut {
				continue // there may be thousands
			}
		}
		if cfg.NoHeaderB {
			short[i] = ""
		}
		o.results = append(o.results, dkimResult(r, short[i]))
	}
	o.results = fitting(o.results)
	if len(results) == 0 && cfg.AlwaysAddARHeader {
		o.results = []authres.Result{{Method: "dkim", Value: string(dkim.None)}}
	}
	t := tallyOf(results, author)
	o.broken = t.broken && !t.passed && t.temporary == nil
	o.disposition = dispositionFor(t, author, cfg)
}

// maxLeftOut is how many signatures that were not verified are named.
const maxLeftOut = 5

// dkimResult writes one result with the properties of RFC 8601 §2.7.1 and the
// signature's beginning (RFC 6008).
func dkimResult(r dkim.Result, short string) authres.Result {
	a := authres.Result{Method: "dkim", Value: string(r.Status)}
	if r.Err != nil {
		a.Reason = public(r.Err)
	}
	if r.KeyBits > 0 {
		a.Comment = fmt.Sprintf("%d-bit key", r.KeyBits)
	}
	for _, p := range []authres.Property{
		{Type: "header", Name: "d", Value: asciiName(r.Domain)},
		{Type: "header", Name: "i", Value: asciiAddress(r.AUID)},
		{Type: "header", Name: "a", Value: string(r.Algorithm)},
		{Type: "header", Name: "s", Value: asciiName(r.Selector)},
		{Type: "header", Name: "b", Value: short},
	} {
		if p.Value != "" {
			a.Properties = append(a.Properties, p)
		}
	}
	return a
}

// maxResults bounds our Authentication-Results in octets: what is added to a
// message must not grow with what it claims.
const maxResults = 32 << 10

// fitting leaves out results that would make too much of them, those that pass
// last of all.
func fitting(results []authres.Result) []authres.Result {
	left := maxResults
	fits := map[int]bool{}
	for _, passes := range []bool{true, false} {
		for i, r := range results {
			if passes != (r.Value == string(dkim.Pass)) {
				continue
			}
			if n := len(authres.Header{Results: []authres.Result{r}}.String()); n <= left {
				left -= n
				fits[i] = true
			}
		}
	}
	var list []authres.Result
	for i, r := range results {
		if fits[i] {
			list = append(list, r)
		}
	}
	return list
}

// asciiName writes a domain name or selector with A-labels, in which it stands
// in every message and compares with what DNS was asked: the MTA does not say
// whether a message may have UTF-8 in its header (RFC 8601 §2.2, RFC 8616 §3).
func asciiName(s string) string {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			if ascii, err := dkim.DomainName(s); err == nil {
				return ascii
			}
			break
		}
	}
	return s
}

// asciiAddress writes an identity (i=) in ASCII. A local part in UTF-8 keeps the
// encoding that it can have in the signature (RFC 6376 §2.11).
func asciiAddress(s string) string {
	at := strings.LastIndexByte(s, '@')
	if at < 0 {
		return s
	}
	local, domain := s[:at], asciiName(s[at+1:])
	if !strings.ContainsFunc(local, func(r rune) bool { return r >= utf8.RuneSelf }) {
		return local + "@" + domain
	}
	var b strings.Builder
	for i := range len(local) {
		if c := local[i]; c >= utf8.RuneSelf || c == '=' {
			fmt.Fprintf(&b, "=%02X", c)
		} else {
			b.WriteByte(c)
		}
	}
	return b.String() + "@" + domain
}

// tally is what the results of a message come to.
type tally struct {
	// The first of each kind, or nil.
	temporary, bad, noKey *dkim.Result
	passed                bool
	aligned               bool // a pass is aligned with the author
	alignedLater          bool // one that is temporary could have been
	onTrial               bool // every signature that did not pass is of a domain that tests DKIM
	broken                bool // one of a domain that does not, is not that of this mail
}

func tallyOf(results []dkim.Result, author mailbox.Address) tally {
	t := tally{onTrial: true}
	for i := range results {
		r := &results[i]
		switch {
		case r.Status == dkim.Pass:
			t.passed = true
			t.aligned = t.aligned || Aligned(r.Domain, author.Domain)
			continue
		case r.Status == dkim.TempError:
			t.temporary = first(t.temporary, r)
			t.alignedLater = t.alignedLater || Aligned(r.Domain, author.Domain)
		case r.Status == dkim.Neutral: // left out of account
			continue
		case errors.Is(r.Err, dkim.ErrNoKey):
			t.noKey = first(t.noKey, r)
		default:
			t.bad = first(t.bad, r)
		}
		t.onTrial = t.onTrial && r.Testing
		t.broken = t.broken || !r.Testing && isMismatch(r.Err)
	}
	return t
}

// isMismatch reports whether a signature could be checked and is not that of
// the mail.
func isMismatch(err error) bool {
	return errors.Is(err, dkim.ErrBodyHash) || errors.Is(err, dkim.ErrSignature) || errors.Is(err, dkim.ErrUnprotectedField)
}

// failed reports whether a signature is wrong and nothing may still make the
// message good.
func (t tally) failed() bool {
	return !t.passed && t.temporary == nil && t.bad != nil && !t.onTrial
}

// dispositionFor chooses the action. One passing signature makes the message
// good. Without one, trouble that may pass comes first, since the answer may
// turn out well later; then what is wrong with a signature; then a key that is
// not there. A domain that tests DKIM (t=y) is treated as if it did not sign
// (RFC 6376 §3.6.1). An aligned pass that may still come defers what would be
// rejected without one.
func dispositionFor(t tally, author mailbox.Address, cfg *config.Config) disposition {
	var d disposition
	switch {
	case t.passed:
	case t.temporary != nil:
		d = keyTrouble(cfg.OnDNSError, t.temporary)
	case t.failed():
		text := "bad DKIM signature data"
		if errors.Is(t.bad.Err, dkim.ErrSyntax) {
			text = "DKIM signature syntax error"
		}
		d = disposition{cfg.OnBadSignature, "7.0", text + what(t.bad)}
	case t.noKey != nil:
		d = keyTrouble(cfg.OnKeyNotFound, t.noKey)
	case !cfg.AlwaysAddARHeader:
		d = disposition{cfg.OnNoSignature, "7.0", "no DKIM signature data"}
	}
	if d.action == config.Accept && !t.aligned && cfg.OnNoAlignedPass != config.Accept {
		d = disposition{cfg.OnNoAlignedPass, "7.22", "no valid DKIM signature of the author's domain " + author.Domain}
		if t.alignedLater && d.action == config.Reject {
			d = keyTrouble(config.Tempfail, t.temporary)
		}
	}
	return d
}

// keyTrouble answers for a key that cannot be had, with OpenDKIM's codes and
// words; what it was follows them.
func keyTrouble(a config.Action, r *dkim.Result) disposition {
	enhanced := "7.0"
	if a == config.Tempfail {
		enhanced = "7.5" // RFC 3463 §3.8: cryptographic algorithm or key trouble
	}
	return disposition{a, enhanced, "DKIM key retrieval failed" + what(r)}
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
		return " (" + public(r.Err) + ")"
	}
	return fmt.Sprintf(" (d=%s: %s)", asciiName(r.Domain), public(r.Err))
}

// public is what others may read of an error: not whom we ask for keys and what
// went wrong there, which is for the log alone.
func public(err error) string {
	if errors.Is(err, dkim.ErrKeyUnavailable) {
		return dkim.ErrKeyUnavailable.Error()
	}
	return err.Error()
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
