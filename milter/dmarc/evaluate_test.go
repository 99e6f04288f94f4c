package dmarc

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestNames(t *testing.T) {
	for domain, want := range map[string]string{
		"a": "a", "b.a": "b.a a",
		"g.f.e.d.c.b.a":             "g.f.e.d.c.b.a f.e.d.c.b.a e.d.c.b.a d.c.b.a c.b.a b.a a",
		"h.g.f.e.d.c.b.a":           "h.g.f.e.d.c.b.a g.f.e.d.c.b.a f.e.d.c.b.a e.d.c.b.a d.c.b.a c.b.a b.a a",
		"i.h.g.f.e.d.c.b.a":         "i.h.g.f.e.d.c.b.a g.f.e.d.c.b.a f.e.d.c.b.a e.d.c.b.a d.c.b.a c.b.a b.a a",
		"m.l.k.j.i.h.g.f.e.d.c.b.a": "m.l.k.j.i.h.g.f.e.d.c.b.a g.f.e.d.c.b.a f.e.d.c.b.a e.d.c.b.a d.c.b.a c.b.a b.a a",
	} {
		if got := strings.Join(Names(domain), " "); got != want {
			t.Errorf("%s: %s", domain, got)
		}
	}
}

// The organizational domain below a suffix is one label longer, also where the walk left
// that name out; a record at the start that says psd=y is not one of a suffix above.
func TestOrganization(t *testing.T) {
	for _, tt := range []struct {
		zone, domain, want string
		rule               Rule
		asked              int
	}{
		{"", "a.b.test", "a.b.test", RuleNone, 3},
		{"b.test: p=none", "a.b.test", "b.test", RuleShortest, 3},
		{"b.test: p=none\na.b.test: p=none", "a.b.test", "b.test", RuleShortest, 3},
		{"b.test: p=none; psd=n\ntest: p=none", "a.b.test", "b.test", RuleOwn, 2},
		{"b.test: psd=y", "a.b.test", "a.b.test", RuleSuffix, 2},
		{"a.b.test: psd=y\nb.test: p=none", "a.b.test", "a.b.test", RuleShortest, 1},
		{"3.4.5.6.7.8.test: psd=y", "0.1.2.3.4.5.6.7.8.test", "2.3.4.5.6.7.8.test", RuleSuffix, 2},
		{"2.3.4.5.6.7.8.test: p=none", "0.1.2.3.4.5.6.7.8.test", "0.1.2.3.4.5.6.7.8.test", RuleNone, 8},
		{"test: p=none\na.b.test: raw v=DMARC1", "a.b.test", "test", RuleShortest, 3},
	} {
		z := newZone(tt.zone)
		o := newWalker(z).organization(t.Context(), tt.domain)
		if o.Domain != tt.want || o.Rule != tt.rule || len(z.asked) != tt.asked || len(o.Walk) != tt.asked {
			t.Errorf("%s with %q: %s by %q, asked %q", tt.domain, tt.zone, o.Domain, o.Rule, z.asked)
		}
	}
}

func TestEvaluate(t *testing.T) {
	for _, tt := range []struct {
		name, zone string
		from       []string
		spf, dkim  string
		want       string // the result as text
		reason     string
	}{
		{"no From", "", nil, "q +", "", "dmarc=permerror", "no domain in From"},
		{"bad From", "", []string{"a..b"}, "", "", "dmarc=permerror", "is none"},
		{"bad From beside a good one", "q: p=reject", []string{"quay.example", "a b"}, "q +", "", "dmarc=permerror", "is none"},
		{"one domain of two mailboxes", "q: p=reject", []string{"quay.example", "QUAY.example."}, "q +", "", "dmarc=pass header.from=quay.example policy.dmarc=reject", "SPF passes for quay.example"},
		{"U-label and A-label", "xn--bcher-kva.example: p=reject", []string{"B\u00fccher.example", "xn--bcher-kva.example"}, "b\u00fccher.example +", "", "dmarc=pass header.from=xn--bcher-kva.example policy.dmarc=reject", ""},
		{"no record", "", []string{"quay.example"}, "q +", "", "dmarc=none header.from=quay.example", "neither quay.example nor"},
		{"no use", "q: p=x", []string{"quay.example"}, "q +", "", "dmarc=none header.from=quay.example", "no valid policy"},
		{"same organization", "q: p=reject", []string{"quay.example"}, "", "mail.q +", "dmarc=pass header.from=quay.example policy.dmarc=reject", "DKIM passes for mail.quay.example, of the same organization"},
		{"bad identifiers", "q: p=reject", []string{"quay.example"}, "q..x +", " +, .q +", "dmarc=fail header.from=quay.example policy.dmarc=reject", "no SPF or DKIM pass"},
		{"other results", "q: p=reject", []string{"quay.example"}, "q softfail", "q neutral, q policy, q permerror, q none, q PASS", "dmarc=fail header.from=quay.example policy.dmarc=reject", ""},
		{"temperror of a stranger", "q: p=reject", []string{"quay.example"}, "f temperror", "", "dmarc=fail header.from=quay.example policy.dmarc=reject", ""},
		{"temperror of SPF", "q: p=reject", []string{"quay.example"}, "mail.q temperror", "f +", "dmarc=temperror header.from=quay.example", "whether mail.quay.example speaks for"},
		{"temperror beside a pass", "q: p=reject", []string{"quay.example"}, "q temperror", "q temperror, mail.q +", "dmarc=pass header.from=quay.example policy.dmarc=reject", ""},
		{"identifier unknown", "q: p=reject\nmail.q: SERVFAIL", []string{"quay.example"}, "", "mail.q +", "dmarc=temperror header.from=quay.example", ""},
		{"identifier unknown, strict", "q: p=reject; adkim=s\nmail.q: SERVFAIL", []string{"quay.example"}, "", "mail.q +", "dmarc=fail header.from=quay.example policy.dmarc=reject", ""},
		{"identifier apart", "q: p=reject\nmail.q: p=none; psd=n", []string{"quay.example"}, "", "mail.q +", "dmarc=fail header.from=quay.example policy.dmarc=reject", ""},
		{"whether it exists unknown", "q: p=none; np=reject", []string{"news.quay.example"}, "", "", "dmarc=temperror header.from=news.quay.example", "whether news.quay.example exists"},
		{"whether it exists unknown, pass", "q: p=none; np=reject", []string{"news.quay.example"}, "", "q +", "dmarc=pass header.from=news.quay.example", ""},
		{"two records prove that it exists", "q: p=none; np=reject\nnews.q: p=none\nnews.q: p=none", []string{"news.quay.example"}, "", "", "dmarc=fail header.from=news.quay.example policy.dmarc=none", ""},
		{"np as sp after t", "q: p=none; np=quarantine; t=y", []string{"news.quay.example"}, "", "", "dmarc=fail header.from=news.quay.example policy.dmarc=none", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m := Message{From: tt.from, DKIM: identifiers(tt.dkim)}
			if spf := identifiers(tt.spf); len(spf) > 0 {
				m.SPF = spf[0]
			}
			got := Evaluate(t.Context(), newZone(tt.zone), m)
			if got.String() != tt.want || !strings.Contains(got.Reason, tt.reason) || got.Reason == "" {
				t.Errorf("%s: %s; want %s", got, got.Reason, tt.want)
			}
		})
	}
}

func TestResult(t *testing.T) {
	z := newZone("q: p=reject; sp=quarantine; aspf=s")
	got := Evaluate(t.Context(), z, Message{From: []string{"news.quay.example"}, SPF: Identifier{"quay.example", "pass"}, DKIM: []Identifier{{"mail.quay.example", "pass"}}})
	got.Reason = ""
	want := Result{Status: Pass, From: "news.quay.example", Policy: Quarantine, Record: "quay.example", Tag: "sp", Organization: "quay.example",
		SPF: Alignment{Mode: Strict}, DKIM: Alignment{Mode: Relaxed, Domain: "mail.quay.example"}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("result (-want +got):\n%s", diff)
	}
}

// A message with signatures for a thousand names below one costs MaxWalks walks.
func TestManyIdentifiers(t *testing.T) {
	zone := "q: p=reject\n"
	m := Message{From: []string{"quay.example"}}
	for n := range 1000 {
		name := fmt.Sprintf("a.b.c.d.e.f%d.quay.example", n)
		m.DKIM = append(m.DKIM, Identifier{name, "pass"})
		zone += name + ": p=none; psd=n\n"
	}
	z := newZone(zone)
	if got := Evaluate(t.Context(), z, m); got.Status != Fail {
		t.Errorf("%s: %s", got, got.Reason)
	}
	if want := 2 + MaxWalks; len(z.asked) != want {
		t.Errorf("%d questions, want %d", len(z.asked), want)
	}
	m.DKIM = append(m.DKIM, Identifier{"quay.example", "pass"})
	if got := Evaluate(t.Context(), z, m); got.Status != Pass {
		t.Errorf("the domain itself behind them: %s: %s", got, got.Reason)
	}
}

func TestDiscoverBadName(t *testing.T) {
	z := newZone("")
	if d, err := Discover(t.Context(), z, "a..b"); err == nil || d != nil || len(z.asked) > 0 {
		t.Errorf("%+v, %v, asked %q", d, err, z.asked)
	}
}
