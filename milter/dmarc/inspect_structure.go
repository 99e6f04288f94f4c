package dmarc

import (
	"cmp"
	"context"
	"fmt"

	"github.com/postseal/postseal/milter/dkim"
	"github.com/postseal/postseal/milter/finding"
	"golang.org/x/net/publicsuffix"
)

// probe is a label that nobody has.
const probe = "postseal-asks-for-a-name-that-does-not-exist"

// structure looks at what the record means where it stands: which tags have an effect
// there, and what the organization is.
func (i *inspection) structure(ctx context.Context) {
	d := i.policy
	if labels(i.Domain) > MaxQueries && d.Source != Own {
		i.add(TooDeep, finding.Warning, fmt.Sprintf("%s has %d labels and no record of its own.", i.Domain, labels(i.Domain)),
			"The search for records leaves names between out, and RFC 9989 wants one at a name with more than eight labels.",
			fmt.Sprintf("Publish %s", d.Record.mended(i.Domain).without("sp", "np", "psd", "t").with("p", string(cmp.Or(d.Policy, NoPolicy)))))
	}
	if d.Unsure != nil {
		i.unsure(finding.Warning, d.Unsure, "Which of the policies sp and np applies is unknown.")
	}
	if d.Organization.Err == nil {
		i.org()
	}
	if d.Record.bad || i.foreign() {
		return
	}
	i.testing()
	if d.Source == Own && d.Organization.Err == nil && d.Organization.Domain != i.Domain {
		i.idle()
		return
	}
	i.subdomains(ctx)
}

// foreign reports whether the record that applies is that of a public suffix above: who
// looks at the domain cannot mend it.
func (i *inspection) foreign() bool { return i.From != i.Domain && isSuffix(i.From) }

// org looks at the organizational domain, and at what receivers of before RFC 9989 take
// for it: the registered domain of the public suffix list.
func (i *inspection) org() {
	d, o := i.policy, i.policy.Organization
	registered, err := publicsuffix.EffectiveTLDPlusOne(i.Domain)
	mended := d.Record.mended(i.From)
	switch {
	case d.Record.PSD == "y" && !isSuffix(d.From):
		i.add(BadSuffix, finding.Problem, fmt.Sprintf("The record of %s has psd=y, which says that independent organizations register names below it.", d.From),
			fmt.Sprintf("Each name below %s is an organization of its own: a pass for the one does not count for the other.", d.From),
			fmt.Sprintf("Publish in its place %s", mended.without("psd")))
	case err != nil || o.Domain == registered:
		// A public suffix, or nothing to say.
	case isSuffix(o.Domain) && o.Domain != i.Domain:
		i.add(SuffixRecord, finding.Warning, fmt.Sprintf("%s, below which independent organizations register names, has a DMARC record without psd=y.", o.Domain),
			fmt.Sprintf("All of them are one organization to receivers: mail that passes for another name below %s counts as yours.", o.Domain),
			fmt.Sprintf("Say that %s is an organization: publish %s", registered, i.apart(registered)))
	case o.Rule == RuleOwn && dkim.Within(o.Domain, registered):
		i.add(Apart, finding.Note, fmt.Sprintf("psd=n makes %s an organization of its own, apart from %s.", o.Domain, registered),
			"A pass for the one does not count for the other.",
			fmt.Sprintf("If that is not meant, publish in its place %s", mended.without("psd")))
	case dkim.Within(o.Domain, registered):
		name, text, _ := Propose(registered, "")
		i.add(OrganizationDiffers, finding.Warning, fmt.Sprintf("There is a record for %s and none for %s above it.", o.Domain, registered),
			fmt.Sprintf("Receivers by RFC 9989 take %s for the organization, older ones %s: whether a pass for %s counts depends on the receiver.", o.Domain, registered, registered),
			"Publish one there, too: "+finding.Record(name, text))
	}
}

// apart is the record that makes a registered domain an organization: its own with
// psd=n, or one to begin with.
func (i *inspection) apart(registered string) draft {
	if s := i.steps[registered]; s != nil && s.Record != nil {
		return s.Record.mended(registered).with("psd", "n")
	}
	r, _ := ParseRecord("v=DMARC1; p=none; psd=n")
	return r.mended(registered)
}

// isSuffix reports whether the public suffix list has a domain.
func isSuffix(domain string) bool {
	suffix, _ := publicsuffix.PublicSuffix(domain)
	return suffix == domain
}

// testing tells of t=y and of a policy that asks for nothing.
func (i *inspection) testing() {
	d := i.policy
	if d.Tag == "" {
		return
	}
	p, sp, np, _ := d.Record.Policies()
	said := map[string]Policy{"p": p, "sp": sp, "np": np}[d.Tag]
	mended := d.Record.mended(i.From)
	switch {
	case said == NoPolicy:
		i.add(PolicyNone, finding.Note, fmt.Sprintf("The policy for mail from %s is none (%s of %s).", i.Domain, d.Tag, i.From),
			"Receivers only report: forged mail is not stopped.",
			fmt.Sprintf("Once the reports show that your own mail passes, publish %s", mended.with(d.Tag, string(Quarantine))))
	case d.Record.Test:
		i.add(Testing, finding.Warning, fmt.Sprintf("The record of %s has t=y, for testing.", i.From),
			fmt.Sprintf("Receivers apply %s in place of %s.", d.Policy, said),
			fmt.Sprintf("When the tests are over, publish %s", mended.without("t")))
	}
}

// idle tells of tags for subdomains at a name whose subdomains go by another record.
func (i *inspection) idle() {
	if r := i.policy.Record; r.SP != "" || r.NP != "" {
		i.add(SubdomainsIdle, finding.Warning, fmt.Sprintf("The record of %s has policies for subdomains (sp, np).", i.From),
			fmt.Sprintf("They have no effect: subdomains without a record go by that of %s.", i.policy.Organization.Domain),
			fmt.Sprintf("Publish %s", r.mended(i.From).without("sp", "np")))
	}
}

// subdomains looks at what guards them, and whether np ever applies.
func (i *inspection) subdomains(ctx context.Context) {
	r := i.policy.Record
	p, sp, np, _ := r.Policies()
	mended := r.mended(i.From)
	if weakest := min(sp.rank(), np.rank()); weakest < p.rank() {
		level := finding.Note
		if weakest == 0 {
			level = finding.Warning
		}
		i.add(WeakSubdomains, level, fmt.Sprintf("%s has the policy %s, and its subdomains %s, or %s if they do not exist.", i.From, p, sp, np),
			"Who forges mail takes a subdomain.", fmt.Sprintf("Once mail from subdomains passes, publish %s", mended.without("sp", "np")))
	}
	if np == sp {
		return
	}
	switch exists, err := i.resolver.Exists(ctx, probe+"."+i.From); {
	case err != nil:
		i.unsure(finding.Warning, err, "Whether np ever applies is unknown.")
	case exists:
		i.add(NPIdle, finding.Warning, fmt.Sprintf("Every name below %s exists: by a wildcard, or since the signed zone answers for missing names in the compact way (RFC 9824).", i.From),
			fmt.Sprintf("np has no effect: sp, %s, applies to names that nobody has made.", sp),
			fmt.Sprintf("Give sp what np has: publish %s", mended.with("sp", string(np)).without("np")))
	}
}
