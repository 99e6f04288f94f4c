package dmarc

import (
	"strings"
	"testing"
	"time"

	"github.com/postseal/postseal/milter/resolver"
	"github.com/postseal/postseal/testdata/nameserver"
)

// A real name server and a real resolver: which names exist, in a signed zone and in one
// that is not, below a wildcard, and where aliases lead.
func TestRealNameServers(t *testing.T) {
	records := func(tags string) string {
		return "_dmarc TXT \"v=DMARC1; \" \"" + tags + "\"\nb.ent A 192.0.2.1\nmail A 192.0.2.1\nastray CNAME nowhere\n_dmarc.moved CNAME record.vendor.test.\n"
	}
	ns := nameserver.Start(t,
		nameserver.Zone{Name: "signed.test", Signed: true, Records: records("p=none; np=reject; rua=mailto:r@signed.test")},
		nameserver.Zone{Name: "plain.test", Records: records("p=none; np=reject; rua=mailto:r@plain.test")},
		nameserver.Zone{Name: "wild.test", Records: records("p=none; np=reject; rua=mailto:r@vendor.test") + "* TXT \"v=spf1 -all\"\n"},
		nameserver.Zone{Name: "vendor.test", Records: "record TXT \"v=DMARC1; p=quarantine\"\n*._report._dmarc TXT \"v=DMARC1\"\n"})
	client, err := resolver.New(resolver.Options{Nameservers: []string{ns.Resolver(t).Addr}, Timeout: 2 * time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	r := resolver.Lookup{Asker: client}
	for _, tt := range []struct {
		domain, from, tag string
		policy            Policy
	}{
		{"signed.test", "signed.test", "p", NoPolicy}, {"plain.test", "plain.test", "p", NoPolicy},
		{"mail.signed.test", "signed.test", "p", NoPolicy}, {"mail.plain.test", "plain.test", "p", NoPolicy},
		{"ent.signed.test", "signed.test", "p", NoPolicy}, {"ent.plain.test", "plain.test", "p", NoPolicy},
		{"astray.signed.test", "signed.test", "p", NoPolicy}, {"astray.plain.test", "plain.test", "p", NoPolicy},
		{"no.signed.test", "signed.test", "np", Reject}, {"no.plain.test", "plain.test", "np", Reject},
		{"below.no.signed.test", "signed.test", "np", Reject},
		{"no.wild.test", "wild.test", "p", NoPolicy},
		{"moved.signed.test", "moved.signed.test", "p", Quarantine},
	} {
		d, err := Discover(t.Context(), r, tt.domain)
		if err != nil || d.Organization.Err != nil || d.Unsure != nil {
			t.Errorf("%s: %+v, %v", tt.domain, d, err)
			continue
		}
		if d.From != tt.from || d.Tag != tt.tag || d.Policy != tt.policy {
			t.Errorf("%s: %s of %s is %s; want %s of %s, %s", tt.domain, d.Tag, d.From, d.Policy, tt.tag, tt.from, tt.policy)
		}
	}
	for domain, want := range map[string]string{
		"signed.test": "policy-none", "plain.test": "policy-none", "wild.test": "policy-none np-idle", "none.test": "no-record", "vendor.test": "no-record",
	} {
		var codes []string
		report := Inspect(t.Context(), r, domain)
		for _, f := range report.Findings {
			codes = append(codes, string(f.Code))
		}
		if got := strings.Join(codes, " "); got != want {
			t.Errorf("%s: %s; want %s: %+v", domain, got, want, report.Findings)
		}
	}
}
