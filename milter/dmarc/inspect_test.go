package dmarc

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/postseal/postseal/milter/finding"
)

// published is a record in a Fix.
var published = regexp.MustCompile(`(\S+)\. TXT ("(?:[^"\\]|\\.)*"(?: "(?:[^"\\]|\\.)*")*)$`)

// publish does what a fix says.
func (z *zone) publish(t *testing.T, fix string) (done bool) {
	m := published.FindStringSubmatch(fix)
	if m == nil {
		return false
	}
	text := strings.NewReplacer(`" "`, "", `\"`, `"`, `\\`, `\`).Replace(m[2])
	if text = text[1 : len(text)-1]; !IsRecord(text) {
		t.Errorf("%q is no record", text)
	}
	z.txt[m[1]] = []string{text}
	return true
}

const good = "; rua=mailto:r@quay.example"

// Each row has one thing wrong: exactly that is found, with what it causes, and the
// record in its Fix mends it and brings nothing worse.
func TestInspect(t *testing.T) {
	for _, tt := range []struct {
		name, zone, domain string
		want               string // codes with their levels, in order
		text, effect, fix  string // parts
	}{
		{"all is well", "q: p=reject" + good, "q", "", "", "", ""},
		{"all is well below", "q: p=reject" + good, "news.q", "", "", "", ""},
		{"no name", "", "a..b", "bad-name problem", "", "", "Correct the domain"},
		{"none", "", "q", "no-record problem", "_dmarc.quay.example", "", `_dmarc.quay.example. TXT "v=DMARC1; p=none; rua=mailto:postmaster@quay.example"`},
		{"none, umlaut", "", "Bücher.example.", "no-record problem", "_dmarc.xn--bcher-kva.example", "", "_dmarc.xn--bcher-kva.example. TXT"},
		{"at the domain itself", "@quay.example: v=DMARC1; p=reject" + good, "q", "misplaced problem", "quay.example, where no receiver looks", "no DMARC", `_dmarc.quay.example. TXT "v=DMARC1; p=reject; rua=`},
		{"at the domain twice", "@_dmarc.quay.example.quay.example: v=DMARC1; p=reject" + good, "q", "misplaced problem", "appends the domain by itself", "", "_dmarc.quay.example. TXT"},
		{"misplaced, with one above", "q: p=reject" + good + "\n@news.quay.example: v=DMARC1; p=none" + good, "news.q", "misplaced warning", "", "go by the record of quay.example", "_dmarc.news.quay.example. TXT"},
		{"two", "q: p=none" + good + "\nq: p=reject" + good, "q", "several-records problem", "2 DMARC records", "drop all of them: there is no DMARC", `TXT "v=DMARC1; p=none; rua=`},
		{"two, with one above", "news.q: p=none\nnews.q: p=reject\nq: p=quarantine" + good, "news.q", "several-records problem", "", "go by the record of quay.example", "_dmarc.news.quay.example. TXT"},
		{"wrong case", "q: raw v=dmarc1; p=reject" + good, "q", "not-a-record problem", "in capital letters", "", `TXT "v=DMARC1; p=reject;`},
		{"v not first", "q: raw p=reject; v=DMARC1" + good, "q", "not-a-record problem", "has to stand first", "", `TXT "v=DMARC1; p=reject;`},
		{"no v", "q: raw p=reject" + good, "q", "not-a-record problem", "does not begin with v=DMARC1", "", `TXT "v=DMARC1; p=reject;`},
		{"another version", "q: raw v=DMARC2; p=reject" + good, "q", "not-a-record problem", "does not begin with v=DMARC1", "", `TXT "v=DMARC1; p=reject;`},
		{"no semicolon", "q: raw v=DMARC1 p=reject" + good, "q", "not-a-record problem", "no semicolon behind", "", `TXT "v=DMARC1; p=reject;`},
		{"quotation marks", `q: raw "v=DMARC1; p=reject` + good + `"`, "q", "not-a-record problem", "quotation marks", "", `TXT "v=DMARC1; p=reject;`},
		{"backslashes", `q: raw v=DMARC1\; p=reject\` + good, "q", "not-a-record problem", "backslashes", "", `TXT "v=DMARC1; p=reject;`},
		{"leading blank", "q: raw  v=DMARC1; p=reject" + good, "q", "not-a-record problem", "begins with a blank", "", `TXT "v=DMARC1; p=reject;`},
		{"no-break space", "q: raw v=DMARC1\u00a0; p=reject" + good, "q", "not-a-record problem", "outside printable ASCII", "", `TXT "v=DMARC1; p=reject;`},
		{"spoiled, with one above", "news.q: raw v=dmarc1; p=none\nq: p=reject" + good, "news.q", "not-a-record problem", "", "go by that of quay.example", ""},
		{"another text", "q: raw site-check=1\nq: p=reject" + good, "q", "other-text note", `"site-check=1"`, "", ""},
		{"a spoiled one beside it", "q: raw v=dmarc1; p=none\nq: p=reject" + good, "q", "other-text note", "", "", ""},
		{"a wildcard's text", "q: raw v=spf1 -all", "q", "other-text note, no-record problem", "", "", ""},

		{"no p, rua", "q: psd=u" + good, "q", "no-policy warning", "", "said none, for quay.example itself", `"v=DMARC1; p=none; psd=u; rua=`},
		{"no p, no rua", "q: adkim=s", "q", "no-policy problem, no-rua warning", "neither", "as if there were no DMARC", `"v=DMARC1; p=none; adkim=s; rua=mailto:postmaster@quay.example"`},
		{"bad p, rua", "q: p=quarantin" + good, "q", "bad-policy problem", `"p=quarantin"`, "said none", `p=quarantine`},
		{"bad p, no guess", "q: p=block" + good, "q", "bad-policy problem", "", "", `p=none`},
		{"bad sp, rua", "q: p=reject; sp=" + good, "q", "bad-policy problem", `"sp="`, "said none, for quay.example itself", `"v=DMARC1; p=reject; rua=`},
		{"bad np, no rua", "q: p=reject; np=no", "q", "bad-policy problem, no-rua warning", "", "had no DMARC", "np=none"},
		{"bad adkim", "q: p=reject; adkim=strict" + good, "q", "bad-value warning", `"adkim=strict"`, "relaxed", "adkim=s;"},
		{"bad aspf", "q: p=reject; aspf=x" + good, "q", "bad-value warning", "", "relaxed", `p=reject; rua`},
		{"bad t", "q: p=reject; t=yes" + good, "q", "bad-value warning", "", "in full", "t=y"},
		{"bad psd", "q: p=reject; psd=no" + good, "q", "bad-value warning", "", "", "psd=n;"},
		{"bad fo", "q: p=reject; fo=0:1; ruf=mailto:r@quay.example" + good, "q", "bad-value warning", "", "", "p=reject; ruf="},
		{"bad text", "q: p=reject; x=\u00e4" + good, "q", "bad-value warning", "printable ASCII", "", ""},
		{"syntax", "q: p=reject; hello" + good, "q", "syntax warning", `"hello"`, "pass over", ""},
		{"twice", "q: p=reject; adkim=s; adkim=r" + good, "q", "duplicate-tag warning", "adkim", "take the first, some the last", ""},
		{"capital letters", "q: P=reject" + good, "q", "tag-case warning", `"P=reject"`, "", ""},
		{"pct=0", "q: p=reject; pct=0" + good, "q", "historic-tag warning", `"pct=0"`, "t=y says now", "p=reject; t=y;"},
		{"pct=5", "q: p=reject; pct=5" + good, "q", "historic-tag warning", "", "to all mail", ""},
		{"pct=100, rf, ri", "q: p=reject; pct=100; rf=afrf; ri=86400" + good, "q", "historic-tag note", `"pct=100", "rf=afrf", "ri=86400"`, "pass over", "p=reject; rua"},
		{"unknown", "q: p=reject; zz=1" + good, "q", "unknown-tag note", `"zz"`, "", ""},

		{"no rua, sends nothing", "q: p=reject; sp=reject; adkim=s; aspf=s", "q", "no-rua note", "", "", "aspf=s; rua=mailto:postmaster@quay.example"},
		{"no rua, test", "q: p=reject; t=y", "q", "no-rua warning, testing warning", "", "", ""},
		{"no rua", "q: p=quarantine", "q", "no-rua warning", "", "Nobody tells you", "rua=mailto:postmaster@quay.example"},
		{"no URI", "q: p=reject; rua=reports@quay.example", "q", "bad-uri warning", `"reports@quay.example" in rua`, "", "rua=mailto:reports@quay.example"},
		{"one bad URI", "q: p=reject; rua=https:bad uri,mailto:r@quay.example", "q", "bad-uri warning", `"https:bad uri"`, "", "rua=mailto:r@quay.example"},
		{"scheme beside mailto", "q: p=reject; rua=https://quay.example/r,mailto:r@quay.example", "q", "other-scheme note", "", "", "p=reject; rua=mailto:r@quay.example\""},
		{"scheme", "q: p=reject; rua=https://quay.example/r", "q", "other-scheme warning", "", "", "p=reject; rua=mailto:postmaster@quay.example"},
		{"scheme of ruf", "q: p=reject; fo=1; ruf=https://quay.example/r" + good, "q", "other-scheme warning", "", "", "p=reject; rua="},
		{"size", "q: p=reject; rua=mailto:r@quay.example!10m", "q", "size-limit note", "", "", "mailto:r@quay.example\""},
		{"fo alone", "q: p=reject; fo=1" + good, "q", "fo-idle note", "", "", ""},
		{"another organization", "q: p=reject; rua=mailto:r@news.fen.example", "q", "unauthorized-destination warning", "no DMARC record at quay.example._report._dmarc.news.fen.example", "no reports", `quay.example._report._dmarc.news.fen.example. TXT "v=DMARC1"`},
		{"another organization, ruf", "q: p=reject; ruf=mailto:r@fen.example" + good, "q", "unauthorized-destination warning", "", "", "quay.example._report._dmarc.fen.example. TXT"},
		{"below the same", "q: p=reject; rua=mailto:r@dmarc.quay.example", "q", "", "", "", ""},
		{"above, inherited", "q: p=reject; rua=mailto:r@fen.example\n@quay.example._report._dmarc.fen.example: v=DMARC1;", "news.q", "", "", "", ""},
		{"consent, several", "q: p=reject; rua=mailto:r@fen.example\n@quay.example._report._dmarc.fen.example: v=DMARC1\n@quay.example._report._dmarc.fen.example: v=DMARC1; p=none", "q", "", "", "", ""},
		{"consent, spoiled", "q: p=reject; rua=mailto:r@fen.example\n@quay.example._report._dmarc.fen.example: v=dmarc1", "q", "unauthorized-destination warning", "", "", ""},
		{"consent, on the same host", "q: p=reject; rua=mailto:r@fen.example\n@quay.example._report._dmarc.fen.example: v=DMARC1; rua=mailto:other@fen.example", "q", "", "", "", ""},
		{"consent, on another host", "q: p=reject; rua=mailto:r@fen.example\n@quay.example._report._dmarc.fen.example: v=DMARC1; rua=mailto:r@else.example", "q", "other-destination warning", "", "to neither", ""},
		{"consent, name too long", "q: p=reject; rua=mailto:r@" + strings.Repeat("abcdefg.", 29) + "example", "q", "unauthorized-destination warning", "longer than DNS allows", "", "shorter"},

		{"sp below the organization", "q: p=none" + good + "\nnews.q: p=reject; sp=none" + good, "news.q", "subdomains-idle warning", "", "that of quay.example", `"v=DMARC1; p=reject; rua=`},
		{"np idle", "q: p=quarantine; np=reject" + good, "q", "np-idle warning", "", "np has no effect", "sp=reject"},
		{"weak subdomains", "q: p=reject; sp=none" + good, "q", "weak-subdomains warning", "", "", `"v=DMARC1; p=reject; rua=`},
		{"less weak subdomains", "q: p=reject; sp=quarantine" + good, "q", "weak-subdomains note", "", "", ""},
		{"weak np", "q: p=reject; np=none" + good, "q", "weak-subdomains warning, np-idle warning", "", "", ""},
		{"t=y", "q: p=reject; t=y" + good, "q", "testing warning", "", "quarantine in place of reject", `"v=DMARC1; p=reject; rua=`},
		{"p=none", "q: p=none" + good, "q", "policy-none note", "", "", "p=quarantine"},
		{"sp=none from below", "q: p=reject; sp=none" + good, "news.q", "policy-none note, weak-subdomains warning", "sp of quay.example", "", "sp=quarantine"},
		{"psd=y", "q: p=reject; psd=y" + good, "q", "bad-suffix problem", "", "does not count for the other", `"v=DMARC1; p=reject; rua=`},
		{"psd=y above", "q: p=reject; psd=y" + good, "news.q", "no-record warning, bad-suffix problem", "", "", ""},
		{"psd=n at the organization", "q: p=reject; psd=n" + good, "q", "", "", "", ""},
		{"psd=n below it", "news.q: p=reject; psd=n; rua=mailto:r@news.quay.example", "news.q", "apart note", "apart from quay.example", "", ""},
		{"only below", "news.q: p=reject; rua=mailto:r@news.quay.example", "news.q", "organization-differs warning", "none for quay.example above", "older ones quay.example", "_dmarc.quay.example. TXT"},
		{"record at a suffix", "co.uk: p=none\nshop.co.uk: p=reject; rua=mailto:r@shop.co.uk", "shop.co.uk", "suffix-record warning", "co.uk", "counts as yours", `_dmarc.shop.co.uk. TXT "v=DMARC1; p=reject; rua=mailto:r@shop.co.uk; psd=n"`},
		{"record at a suffix alone", "co.uk: p=none", "shop.co.uk", "suffix-record warning", "", "", `_dmarc.shop.co.uk. TXT "v=DMARC1; p=none; psd=n; rua=`},
		{"below a suffix", "co.uk: p=none; psd=y\nshop.co.uk: p=reject; rua=mailto:r@shop.co.uk", "shop.co.uk", "", "", "", ""},
		{"below a suffix without a record", "co.uk: p=none; psd=y", "shop.co.uk", "no-record warning", "the policy is that of co.uk", "", `_dmarc.shop.co.uk. TXT`},
		{"a suffix", "co.uk: p=reject; psd=y; rua=mailto:r@co.uk", "co.uk", "", "", "", ""},
		{"nine labels", "q: p=reject" + good, "a.b.c.d.e.f.g.q", "too-deep warning", "9 labels", "", "_dmarc.a.b.c.d.e.f.g.quay.example. TXT"},
		{"eight labels", "q: p=reject" + good, "b.c.d.e.f.g.q", "", "", "", ""},
		{"nine labels with a record", "q: p=reject" + good + "\na.b.c.d.e.f.g.q: p=reject" + good, "a.b.c.d.e.f.g.q", "", "", "", ""},

		{"unknown at the domain", "q: SERVFAIL", "q", "lookup-failed problem", "SERVFAIL", "is unknown", "says nothing about the record"},
		{"unknown above", "q: SERVFAIL", "news.q", "lookup-failed problem", "_dmarc.quay.example", "Which record applies to news.quay.example is unknown", ""},
		{"unknown above a record", "q: SERVFAIL\nnews.q: p=reject" + good, "news.q", "lookup-failed warning", "", "The organization of news.quay.example is unknown", ""},
		{"unknown consent", "q: p=reject; rua=mailto:r@fen.example\n@quay.example._report._dmarc.fen.example: SERVFAIL", "q", "lookup-failed warning", "", "Whether fen.example agrees", ""},
		{"unknown organization of reports", "q: p=reject; rua=mailto:r@fen.example\nf: SERVFAIL", "q", "lookup-failed warning", "", "Whether reports to fen.example need", ""},
		{"unknown np", "q: p=quarantine; np=reject" + good, "unknown.q", "lookup-failed warning, lookup-failed warning", "", "Which of the policies sp and np applies", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			z := newZone(tt.zone)
			z.exists[probe+".quay.example"] = strings.Contains(tt.want, "np-idle")
			if strings.HasPrefix(tt.domain, "unknown") {
				clear(z.exists)
			}
			r := Inspect(t.Context(), z, full(tt.domain))
			var got []string
			for _, f := range r.Findings {
				got = append(got, string(f.Code)+" "+string(f.Level))
				if f.Text == "" || f.Effect == "" || f.Fix == "" {
					t.Errorf("something is left out: %+v", f)
				}
			}
			if diff := cmp.Diff(tt.want, strings.Join(got, ", ")); diff != "" {
				t.Fatalf("findings (-want +got):\n%s\n%+v", diff, r.Findings)
			}
			for _, f := range r.Findings[:min(1, len(r.Findings))] {
				if !strings.Contains(f.Text, tt.text) || !strings.Contains(f.Effect, tt.effect) || !strings.Contains(f.Fix, tt.fix) {
					t.Errorf("%q\n%q\n%q", f.Text, f.Effect, f.Fix)
				}
			}
			for _, f := range r.Findings {
				z := newZone(tt.zone)
				z.exists[probe+".quay.example"] = strings.Contains(tt.want, "np-idle")
				if !z.publish(t, f.Fix) {
					continue
				}
				after := Inspect(t.Context(), z, full(tt.domain))
				if after.Has(f.Code) || after.Findings.Worst() == finding.Problem && r.Findings.Worst() != finding.Problem {
					t.Errorf("%s: %s\nleaves %+v", f.Code, f.Fix, after.Findings)
				}
			}
		})
	}
}

// What a summary on one screen is made of.
func TestReport(t *testing.T) {
	z := newZone("q: p=reject; sp=quarantine; t=y; ruf=mailto:f@quay.example" + good)
	r := Inspect(t.Context(), z, "News.Quay.Example")
	want := &Report{
		Domain: "news.quay.example", Record: z.txt["_dmarc.quay.example"][0], From: "quay.example", Source: Inherited,
		Tag: "sp", Policy: NoPolicy, Organization: "quay.example", Rule: RuleShortest,
		RUA: []string{"mailto:r@quay.example"}, RUF: []string{"mailto:f@quay.example"},
	}
	var walk []string
	for _, s := range r.Walk {
		walk = append(walk, s.Name)
	}
	if diff := cmp.Diff([]string{"_dmarc.news.quay.example", "_dmarc.quay.example", "_dmarc.example"}, walk); diff != "" {
		t.Errorf("walk (-want +got):\n%s", diff)
	}
	if !r.Has(Testing) {
		t.Errorf("findings %+v", r.Findings)
	}
	r.Walk, r.Findings = nil, nil
	if diff := cmp.Diff(want, r); diff != "" {
		t.Errorf("report (-want +got):\n%s", diff)
	}
}

// However many hosts get reports and however deep they lie, so much is asked and no more.
func TestInspectAsksLittle(t *testing.T) {
	var list []string
	for c := 'a'; c <= 'z'; c++ {
		list = append(list, "mailto:r@1.2.3.4.5.6.7.8.9."+string(c)+".test")
	}
	z := newZone("q: p=none; np=reject; rua=" + strings.Join(list, ","))
	Inspect(t.Context(), z, "a.b.c.d.e.f.g.h.i.quay.example")
	if most := MaxQueries + 4 + MaxWalks*(MaxQueries+1) + MaxQueries; len(z.asked) > most {
		t.Errorf("%d questions, want %d at most", len(z.asked), most)
	}
	if sorted := slices.Sorted(slices.Values(z.asked)); len(slices.Compact(sorted)) != len(z.asked) {
		t.Errorf("asked twice: %q", z.asked)
	}
}
