package milter

import (
	"fmt"
	"strings"
	"testing"

	"github.com/postseal/postseal/config"
	"github.com/postseal/postseal/milter/authres"
	"github.com/postseal/postseal/milter/dkim"
	"github.com/postseal/postseal/milter/mailbox"
)

func TestAligned(t *testing.T) {
	for _, tt := range []struct {
		domain, author string
		want           bool
	}{
		{"example.com", "example.com", true},
		{"Example.COM", "example.com", true},
		{"example.com", "mail.example.com", true},
		{"mail.example.com", "example.com", true},
		{"badexample.com", "example.com", false},
		{"example.com", "badexample.com", false},
		{"a.example.com", "b.example.com", false},
		{"com", "example.com", false},
		{"co.uk", "example.co.uk", false},
		{"com", "com", true},
		{"xn--bcher-kva.example", "bücher.example", true},
		{"", "example.com", false},
		{"example.com", "", false},
	} {
		if got := Aligned(tt.domain, tt.author); got != tt.want {
			t.Errorf("Aligned(%q, %q) = %v", tt.domain, tt.author, got)
		}
	}
}

// Authentication-Results of any message is ASCII: domains have A-labels.
func TestResultIsASCII(t *testing.T) {
	for _, tt := range []struct {
		name string
		in   dkim.Result
		want string
	}{
		{"A-labels", dkim.Result{Domain: "example.com", AUID: "user@Sub.example.com", Selector: "s1"},
			"header.d=example.com header.i=user@Sub.example.com header.s=s1"},
		{"U-labels", dkim.Result{Domain: "bücher.example", AUID: "@lesen.bücher.example", Selector: "grün"},
			"header.d=xn--bcher-kva.example header.i=@lesen.xn--bcher-kva.example header.s=xn--grn-ioa"},
		{"local part", dkim.Result{Domain: "example.com", AUID: "jörg=1@example.com"},
			`header.d=example.com header.i="j=C3=B6rg=3D1@example.com"`},
		{"ASCII local part with an equals sign", dkim.Result{AUID: "a=b@example.com"}, `header.i="a=b@example.com"`},
		{"quotes and a result in i=", dkim.Result{AUID: `"; dkim=pass header.d=bank.example (@example.com`},
			`header.i="\"; dkim=pass header.d=bank.example (@example.com"`},
		{"no domain at all", dkim.Result{Domain: "\xff.example"}, `header.d="?.example"`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.in.Status = dkim.Pass
			h := authres.Header{AuthservID: "mx", Results: []authres.Result{dkimResult(tt.in, "")}}
			got := strings.ReplaceAll(h.String(), "\r\n\t", " ")
			if want := " mx; dkim=pass " + tt.want; got != want {
				t.Errorf("got  %s\nwant %s", got, want)
			}
		})
	}
}

// What went wrong at which name server is for the log, not for the world.
func TestPublicReason(t *testing.T) {
	r := dkim.Result{Status: dkim.TempError, Domain: "example.com",
		Err: fmt.Errorf("%w: s._domainkey.example.com: 10.0.0.53:53 answered SERVFAIL", dkim.ErrKeyUnavailable)}
	o := outcome{}
	cfg := config.Default()
	o.judged([]dkim.Result{r}, mailbox.Address{Local: "a", Domain: "example.com"}, cfg)
	for what, text := range map[string]string{"reply": o.disposition.text, "result": o.results[0].Reason} {
		if strings.Contains(text, "10.0.0.53") || !strings.Contains(text, "key unavailable") {
			t.Errorf("%s: %q", what, text)
		}
	}
	if words := o.words(); !strings.Contains(words, "10.0.0.53:53 answered SERVFAIL") {
		t.Errorf("the log says %q", words)
	}
}

// However many signatures there are, the field can be sent, and a pass is in it.
func TestManyResults(t *testing.T) {
	var rs []dkim.Result
	for i := range 3000 {
		r := dkim.Result{Status: dkim.Fail, Err: dkim.ErrSignature, Domain: strings.Repeat("d", 60) + ".example",
			AUID: strings.Repeat("i", 900) + "@example", Signature: fmt.Sprintf("%08d", i)}
		switch {
		case i >= 1000:
			r.Status, r.Err = dkim.Neutral, fmt.Errorf("%w: only the first 1000 are verified", dkim.ErrTooManySignatures)
		case i == 999:
			r.Status, r.Err = dkim.Pass, nil
		}
		rs = append(rs, r)
	}
	var o outcome
	cfg := config.Default()
	o.judged(rs, mailbox.Address{}, cfg)
	h := authres.Header{AuthservID: "mx.example.org", Results: o.results}
	if n := len(h.String()); n > maxResults+1000 {
		t.Errorf("%d octets", n)
	}
	if n := len(o.results); n < 10 || o.results[n-1].Value != "pass" {
		t.Errorf("%d results, the last is %q, want the pass", n, o.results[n-1].Value)
	}
	o = outcome{}
	o.judged(rs[990:], mailbox.Address{}, cfg)
	if n := len(o.results); n != 10+maxLeftOut || o.results[10].Value != "neutral" {
		t.Errorf("%d results, want ten and a few of the rest", n)
	}
}

func TestDisposition(t *testing.T) {
	result := func(s dkim.Status, err error, domain string) dkim.Result {
		return dkim.Result{Status: s, Err: err, Domain: domain}
	}
	const ours, other = "example.com", "other.example"
	pass, temp := result(dkim.Pass, nil, ours), result(dkim.TempError, dkim.ErrKeyUnavailable, ours)
	bad, noKey := result(dkim.Fail, dkim.ErrSignature, ours), result(dkim.Fail, dkim.ErrNoKey, ours)
	trial := bad
	trial.Testing = true
	neutral := result(dkim.Neutral, dkim.ErrTooManySignatures, ours)
	const discard, quarantine, reject, tempfail = config.Discard, config.Quarantine, config.Reject, config.Tempfail
	each := func(c *config.Config) {
		c.OnDNSError, c.OnBadSignature, c.OnKeyNotFound, c.OnNoSignature = tempfail, reject, quarantine, discard
	}
	aligned := func(c *config.Config) { c.OnDNSError, c.OnNoAlignedPass = config.Accept, reject }
	for _, tt := range []struct {
		name string
		set  func(*config.Config)
		in   []dkim.Result
		want config.Action
		text string // the beginning
	}{
		{"none", each, nil, discard, "no DKIM"},
		{"pass", each, []dkim.Result{pass}, config.Accept, ""},
		{"pass among everything", each, []dkim.Result{bad, temp, noKey, pass}, config.Accept, ""},
		{"bad", each, []dkim.Result{bad}, reject, "bad DKIM signature data (d=example.com: signature did not verify)"},
		{"no key", each, []dkim.Result{noKey}, quarantine, "DKIM key retrieval failed (d=example.com: no key for signature)"},
		{"temporary before bad", each, []dkim.Result{bad, noKey, temp}, tempfail, "DKIM key retrieval failed (d=example.com: key unavailable)"},
		{"bad before no key", each, []dkim.Result{noKey, bad}, reject, "bad DKIM"},
		{"left out of account", each, []dkim.Result{neutral}, discard, "no DKIM"},
		{"a domain on trial is as one that does not sign", each, []dkim.Result{trial}, discard, "no DKIM"},
		{"on trial and not", each, []dkim.Result{trial, bad}, reject, "bad DKIM"},
		{"on trial and temporary", each, []dkim.Result{trial, temp}, tempfail, "DKIM key retrieval"},
		{"aligned pass", aligned, []dkim.Result{pass}, config.Accept, ""},
		{"pass of another", aligned, []dkim.Result{result(dkim.Pass, nil, other)}, reject, "no valid DKIM signature of the author's domain example.com"},
		{"aligned pass may come later", aligned, []dkim.Result{temp}, tempfail, "DKIM key retrieval failed"},
		{"another's pass may come later", aligned, []dkim.Result{result(dkim.TempError, dkim.ErrKeyUnavailable, other)}, reject, "no valid DKIM"},
		{"another's pass, and ours may come", aligned, []dkim.Result{result(dkim.Pass, nil, other), temp}, tempfail, "DKIM key retrieval failed"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			cfg := config.Default()
			tt.set(cfg)
			author := mailbox.Address{Local: "a", Domain: ours}
			d := dispositionFor(tallyOf(tt.in, author), author, cfg)
			if d.action != tt.want || !strings.HasPrefix(d.text, tt.text) {
				t.Errorf("got %v %q, want %v %q", d.action, d.text, tt.want, tt.text)
			}
		})
	}
}
