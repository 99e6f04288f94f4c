package spf

import (
	"strings"
	"testing"

	"github.com/postseal/postseal/milter/resolver"
)

// usual are set-ups as most domains have them.
const usual = `
workspace.example v=spf1 include:_spf.google.example ~all
workspace.example google-site-verification=abc
_spf.google.example v=spf1 include:_netblocks.google.example include:_netblocks2.google.example include:_netblocks3.google.example ~all
_netblocks.google.example v=spf1 ip4:35.190.247.0/24 ip4:74.125.0.0/16 ip4:209.85.128.0/17 ~all
_netblocks2.google.example v=spf1 ip6:2001:4860:4000::/36 ip6:2404:6800:4000::/36 ~all
_netblocks3.google.example v=spf1 ip4:172.217.0.0/19 ip4:172.217.32.0/20 ~all

m365.example v=spf1 include:spf.protection.outlook.example -all
m365.example MS=ms12345678
spf.protection.outlook.example v=spf1 ip4:40.92.0.0/15 ip4:52.100.0.0/15 ip4:104.47.0.0/17 ip6:2a01:111:f400::/48 -all

services.example v=spf1 mx ip4:192.0.2.1 include:_spf.google.example include:mail.service.example include:%{d}.hosted.example ~all
services.example MX 10 mx1.services.example
services.example MX 20 mx2.services.example
mx1.services.example A 192.0.2.2
mx2.services.example A 192.0.2.3
mail.service.example v=spf1 ip4:205.201.128.0/20 ?all
sendgrid.example v=spf1 ip4:167.89.0.0/17 ip4:208.117.48.0/20 ~all
services.example.hosted.example v=spf1 exists:%{i}.spf.hosted.example -all

nomail.example v=spf1 -all
nomail.example MX 0 .

own.example v=spf1 a mx -all
own.example A 192.0.2.1
own.example AAAA 2001:db8::1
own.example MX 10 own.example

moved.example v=spf1 redirect=_spf.provider.example
_spf.provider.example v=spf1 include:_spf4.provider.example include:_spf6.provider.example ~all
_spf4.provider.example v=spf1 ip4:213.180.223.192/26 ~all
_spf6.provider.example v=spf1 ip6:2a02:6b8::/32 ~all

guarded.example v=spf1 include:%{ir}.%{v}.%{d}.spf.guard.example ~all
by-user.example v=spf1 ip4:192.0.2.1 exists:%{l}.%{o}._spf.%{d} -all

signed-up-wrong.example v=spf1 include:_spf.google.example ~all include:sendgrid.example
twice.example v=spf1 include:_spf.google.example ~all
twice.example v=spf1 include:sendgrid.example ~all
gone.example v=spf1 include:closed.example a:old.gone.example ~all
private.example v=spf1 ip4:192.168.0.0/16 mx -all
private.example MX 10 mx1.services.example
stale.example v=spf1 a mx ptr ip4:192.0.2.1 -all
stale.example A 192.0.2.1
many.example v=spf1 a mx include:_spf.google.example include:services.example ~all
many.example A 192.0.2.1
many.example MX 10 mx1.services.example
`

// Nothing is wrong with what is right, and of usual faults each is told once.
func TestUsual(t *testing.T) {
	records, err := resolver.ParseRecords(strings.NewReader(usual))
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		domain  string
		lookups int
		codes   string
		fix     string
	}{
		{"workspace.example", 4, "", ""},
		{"m365.example", 1, "", ""},
		{"services.example", 8, "", ""},
		{"nomail.example", 0, "", ""},
		{"own.example", 2, "", ""},
		{"moved.example", 3, "", ""},
		{"guarded.example", 1, "", ""},
		{"by-user.example", 1, "", ""},

		{"signed-up-wrong.example", 4, "W after-all", `"v=spf1 include:_spf.google.example include:sendgrid.example ~all"`},
		{"twice.example", 0, "P several-records", `"v=spf1 include:_spf.google.example include:sendgrid.example ~all"`},
		{"gone.example", 2, "P bad-include, W void", `"v=spf1 a:old.gone.example ~all"`},
		{"private.example", 1, "W not-public", `"v=spf1 mx -all"`},
		{"stale.example", 3, "W void, W ptr", `"v=spf1 a ptr ip4:192.0.2.1 -all"`},
		{"many.example", 15, "P too-many-lookups", "include:services.example takes most: 9."},
	} {
		r := Inspect(t.Context(), resolver.Lookup{Asker: records}, tc.domain)
		if got := codes(r.Findings); got != tc.codes || r.Lookups != tc.lookups {
			t.Errorf("%s: %d look-ups, %s\n%s", tc.domain, r.Lookups, got, told(r.Findings))
		} else if tc.codes != "" && !strings.Contains(r.Findings[0].Fix, tc.fix) {
			t.Errorf("%s: the fix is %s", tc.domain, r.Findings[0].Fix)
		}
	}
}
