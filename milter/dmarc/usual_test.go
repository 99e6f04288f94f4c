package dmarc

import (
	"strings"
	"testing"

	"github.com/postseal/postseal/milter/resolver"
)

// usual are set-ups as most domains have them.
const usual = `
_dmarc.begins.test v=DMARC1; p=none; rua=mailto:postmaster@begins.test
_dmarc.done.test v=DMARC1; p=reject; rua=mailto:dmarc@done.test
news.done.test v=spf1 -all
_dmarc.old.test v=DMARC1; p=quarantine; sp=quarantine; pct=100; adkim=r; aspf=r; rf=afrf; ri=86400; fo=1; rua=mailto:d@old.test; ruf=mailto:d@old.test
_dmarc.service.test v=DMARC1; p=reject; rua=mailto:abc@rua.reports.test,mailto:d@service.test; ruf=mailto:abc@ruf.reports.test; fo=1;
service.test._report._dmarc.rua.reports.test v=DMARC1;
service.test._report._dmarc.ruf.reports.test v=DMARC1
_dmarc.parked.test v=DMARC1; p=reject; sp=reject; adkim=s; aspf=s;
_dmarc.alias.test CNAME alias.test.policies.reports.test
alias.test.policies.reports.test v=DMARC1; p=reject; np=reject; rua=mailto:d@alias.test
_dmarc.co.uk v=DMARC1; p=none; psd=y; rua=mailto:d@co.uk
_dmarc.shop.co.uk v=DMARC1; p=reject; rua=mailto:d@shop.co.uk

_dmarc.alone.test v=DMARC1; p=none
_dmarc.refused.test v=DMARC1; p=none; rua=mailto:abc@rua.reports.test
_dmarc.typo.test v=DMARC1; p=rejct; rua=mailto:d@typo.test
_dmarc.spf.test v=spf1 -all
_dmarc.comma.test v=DMARC1, p=none, rua=mailto:d@comma.test
none.test v=spf1 -all
`

// Nothing is wrong with what is right, and of usual faults each is told once.
func TestUsual(t *testing.T) {
	records, err := resolver.ParseRecords(strings.NewReader(usual))
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		domain string
		policy Policy
		codes  string
	}{
		{"begins.test", NoPolicy, "policy-none note"},
		{"done.test", Reject, ""},
		{"news.done.test", Reject, ""},
		{"no.such.done.test", Reject, ""},
		{"old.test", Quarantine, "historic-tag note"},
		{"service.test", Reject, ""},
		{"news.service.test", Reject, ""},
		{"parked.test", Reject, "no-rua note"},
		{"alias.test", Reject, ""},
		{"shop.co.uk", Reject, ""},
		{"news.shop.co.uk", Reject, ""},

		{"none.test", "", "no-record problem"},
		{"alone.test", NoPolicy, "no-rua warning, policy-none note"},
		{"refused.test", NoPolicy, "unauthorized-destination warning, policy-none note"},
		{"typo.test", NoPolicy, "bad-policy problem"},
		{"spf.test", "", "other-text note, no-record problem"},
		{"comma.test", "", "not-a-record problem"},
	} {
		r := Inspect(t.Context(), resolver.Lookup{Asker: records}, tt.domain)
		var codes []string
		for _, f := range r.Findings {
			codes = append(codes, string(f.Code)+" "+string(f.Level))
		}
		if got := strings.Join(codes, ", "); got != tt.codes || r.Policy != tt.policy {
			t.Errorf("%s: policy %q, %s: %+v", tt.domain, r.Policy, got, r.Findings)
		}
	}
}
