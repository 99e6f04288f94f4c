package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/postseal/postseal/cmd/postseal/terminal"
	"github.com/postseal/postseal/milter/dkim"
	"github.com/postseal/postseal/milter/dmarc"
	"github.com/postseal/postseal/milter/resolver"
	"github.com/postseal/postseal/milter/spf"
)

// spfCheck is what SPF says of who delivered the message.
type spfCheck struct {
	// Result is in the words of RFC 8601 §2.7.2, "" where it was not checked.
	Result spf.Status `json:"result,omitempty"`
	Reason string     `json:"reason"`
	// Identity is mailfrom or helo, and Domain whose record was asked.
	Identity string `json:"identity,omitempty"`
	Domain   string `json:"domain,omitempty"`
	Client   string `json:"client,omitempty"`
}

// dmarcCheck is what DMARC says of the message.
type dmarcCheck struct {
	Result dmarc.Status `json:"result"`
	Reason string       `json:"reason"`
	// Domain is that of From, Policy what is asked for mail that fails, by the tag Tag
	// of the record of the domain Record.
	Domain       string       `json:"domain,omitempty"`
	Policy       dmarc.Policy `json:"policy,omitempty"`
	Tag          string       `json:"tag,omitempty"`
	Record       string       `json:"record,omitempty"`
	Organization string       `json:"organization,omitempty"`
	// SPF and DKIM are the domains that are aligned, "" for none.
	SPF  string `json:"aligned_spf,omitempty"`
	DKIM string `json:"aligned_dkim,omitempty"`
	// ASPF and ADKIM say how they are compared: r (relaxed) or s (strict).
	ASPF  dmarc.Mode `json:"aspf,omitempty"`
	ADKIM dmarc.Mode `json:"adkim,omitempty"`
	// WithoutSPF: SPF was not checked and might change the result.
	WithoutSPF bool `json:"without_spf,omitempty"`
}

// how says how SPF gets to be checked.
const how = "give --client ADDRESS and --mail-from SENDER (and --helo NAME), or --received 1 where the topmost Received field is yours"

// judge asks SPF and DMARC about the message. With ok there is somebody to ask SPF
// about.
func (v *verification) judge(asker resolver.Asker, q spf.Query, ok bool) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*lookupTimeout) // RFC 7208 §4.6.4
	defer cancel()
	lookup := resolver.Lookup{Asker: asker}
	m := dmarc.Message{}
	v.SPF.Reason = "not checked: " + how
	if ok {
		r := spf.Check(ctx, lookup, q)
		v.SPF = spfCheck{Result: r.Status, Reason: r.Reason(), Identity: r.Identity, Domain: r.Domain, Client: q.Client.String()}
		m.SPF = dmarc.Identifier{Domain: r.Domain, Result: string(r.Status)}
	}
	if v.authorDomain != "" {
		m.From = []string{v.authorDomain}
	}
	for _, s := range v.Signatures {
		m.DKIM = append(m.DKIM, dmarc.Identifier{Domain: s.Domain, Result: string(s.Result)})
	}
	r := dmarc.Evaluate(ctx, lookup, m)
	v.DMARC = dmarcCheck{
		Result: r.Status, Reason: r.Reason, Domain: r.From, Policy: r.Policy, Tag: r.Tag, Record: r.Record,
		Organization: r.Organization, SPF: r.SPF.Domain, DKIM: r.DKIM.Domain, ASPF: r.SPF.Mode, ADKIM: r.DKIM.Mode,
		WithoutSPF: !ok && r.Status == dmarc.Fail,
	}
}

// maxSummed is how many signatures the summary has.
const maxSummed = 10

// summary prints what the checks come to, a line each.
func (v *verification) summary(b *strings.Builder, colors terminal.Palette, width int) {
	line := func(name, result, words string) {
		paint := colors.Warn
		switch result {
		case "pass":
			paint = colors.Good
		case "fail", "permerror", "policy", "softfail":
			paint = colors.Bad
		case "none", "neutral", "not checked":
			paint = colors.Bold
		}
		head := fmt.Sprintf("%-20s", name+" check:")
		text := head + paint(result)
		if words != "" {
			text += " (" + printable(words) + ")"
		}
		b.WriteString(terminal.Wrap(text, width, strings.Repeat(" ", len(head))) + "\n")
	}
	b.WriteString(colors.Bold("Summary of Results") + "\n")
	switch s := v.SPF; s.Result {
	case "":
		line("SPF", "not checked", how)
	default:
		line("SPF", string(s.Result), s.Reason)
	}
	for i, s := range v.Signatures {
		words := fmt.Sprintf("d=%s s=%s", shown(s.Domain), shown(s.Selector))
		if s.Reason != "" {
			words += ": " + s.Reason
		}
		if i == maxSummed {
			line("DKIM", string(dkim.Neutral), fmt.Sprintf("and %d more signatures", len(v.Signatures)-maxSummed))
			break
		}
		line("DKIM", string(s.Result), words)
	}
	if len(v.Signatures) == 0 {
		line("DKIM", string(dkim.None), "the message has no signature")
	}
	line("DMARC", string(v.DMARC.Result), v.DMARC.words())
	b.WriteByte('\n')
}

// words are what decided.
func (d *dmarcCheck) words() string {
	text := d.Reason
	switch {
	case d.DKIM != "":
		text += fmt.Sprintf(" (adkim=%s)", d.ADKIM)
	case d.SPF != "":
		text += fmt.Sprintf(" (aspf=%s)", d.ASPF)
	case d.ADKIM != "":
		text += fmt.Sprintf(" (adkim=%s, aspf=%s)", d.ADKIM, d.ASPF)
	}
	if d.Policy != "" {
		text += fmt.Sprintf("; the record of %s asks for the policy %s (%s)", shown(d.Record), d.Policy, d.Tag)
	}
	if d.WithoutSPF {
		text += "; SPF was not checked, and would change that if it passes for the author's domain"
	}
	return text
}
