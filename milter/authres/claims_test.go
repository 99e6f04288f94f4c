package authres

import (
	"strings"
	"testing"
)

func TestClaims(t *testing.T) {
	const id = "mx.example.org"
	for _, tt := range []struct {
		name, value string
		want        bool
	}{
		{"plain", " mx.example.org; dkim=pass", true},
		{"no result", "mx.example.org; none", true},
		{"id alone", "mx.example.org", true},
		{"case", "MX.Example.ORG; none", true},
		{"version", "mx.example.org 1; none", true},
		{"job id", "mx.example.org/4Fq; none", true},
		{"final dot", "mx.example.org.; none", true},
		{"quoted", `"mx.example.org"; none`, true},
		{"quoted with escapes", `"m\x.example\.org"; none`, true},
		{"quoted with blanks", `" mx.example.org "; none`, true},
		{"quoted, after an empty one", `"" mx.example.org; none`, true},
		{"quote in the middle", `mx."example".org; none`, true},
		{"quote without end", `"mx.example.org; none`, true},
		{"escaped quote", `\"mx.example.org; none`, true},
		{"comment before", "(a (b) c) mx.example.org; none", true},
		{"comment with escapes before", `(a \) b)mx.example.org; none`, true},
		{"comment glued behind", "mx.example.org(c); none", true},
		{"comment in the middle", "mx.(c)example.org; none", true},
		{"comment in a quote", `"(mx.example.org"; none`, true},
		{"comment without end behind", "mx.example.org (c; dkim=pass", true},
		{"comment without end in the middle", "mx.(example.org; dkim=pass", true},
		{"comment without end before", "(c mx.example.org; dkim=pass", true},
		{"comment without end about another", "(c mx.example.net; dkim=pass", false},
		{"folded before", "\r\n\tmx.example.org; none", true},
		{"folded in the middle", "mx.exam\r\n ple.org; none", true},
		{"broken rest", "mx.example.org; dkim=pass;;;=", true},
		{"broken version", "mx.example.org evil; none", true},
		{"punctuation before", ";,<mx.example.org>; none", true},
		{"punctuation behind", "mx.example.org,x; none", true},
		{"NUL behind", "mx.example.org\x00.evil.com; none", true},
		{"NUL inside", "mx.exa\x00mple.org; none", true},
		{"zero-width space", "mx.exa\u200bmple.org; none", true},
		{"ideographic full stop", "mx。example.org; none", true},
		{"8-bit before", "\xffmx.example.org; none", true},
		{"encoded word", "=?utf-8?q?mx=2Eexample.org?=; none", true},
		{"encoded word in Base64", "=?x-any?b?bXguZXhhbXBsZS5vcmc=?=; none", true},
		{"encoded word inside", "mx.=?utf-8?q?example?=.org; none", true},
		{"encoded word after a comment", "(c)\r\n =?utf-8?q?mx.example.org?=; none", true},
		{"encoded word for another", "=?utf-8?q?mx.example.net?=; none", false},

		{"empty", "", false},
		{"blanks", " \r\n\t", false},
		{"another", " mx.example.net; dkim=pass", false},
		{"longer at the end", "mx.example.org.evil.com; none", false},
		{"longer at the end, comment and version", "mx.example.org.evil.com (c) 1; none", false},
		{"longer label", "mx.example.organic; none", false},
		{"longer with a hyphen", "mx.example.org-evil.com; none", false},
		{"longer at the beginning", "notmx.example.org; none", false},
		{"quoted longer", `"notmx.example.org"; none`, false},
		{"underscore before", "_mx.example.org; none", false},
		{"host below", "a.mx.example.org; none", false},
		{"parent", "example.org; none", false},
		{"other separators", "mx-example.org; none", false},
		{"no separators", "mxexample.org; none", false},
		{"named later", "other.example; dkim=pass header.d=mx.example.org", false},
		{"named in a comment", "(mx.example.org) other.example; none", false},
		{"split by a semicolon", "mx.exam;ple.org; none", false},
		{"split by a slash", "mx.exam/ple.org; none", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := Claims(tt.value, id); got != tt.want {
				t.Errorf("Claims(%q, %q) = %t", tt.value, id, got)
			}
		})
	}
}

func TestClaimsIDs(t *testing.T) {
	for _, tt := range []struct {
		name, value, id string
		want            bool
	}{
		{"empty id", "mx; none", "", false},
		{"id of punctuation", "-; none", "-", false},
		{"id in capitals", "mx.example.org; none", "MX.EXAMPLE.ORG", true},
		{"id with final dot", "mx.example.org; none", "mx.example.org.", true},
		{"id with job id", "mx.example.org/1; none", "mx.example.org/2", true},
		{"id with blank", "mx; none", "mx two", true},
		{"id with underscore", "a_b; none", "a_b", true},
		{"8-bit id", "mx.bücher.example; none", "mx.bücher.example", true},
		{"8-bit id, other 8-bit name", "mx.bäcker.example; none", "mx.bücher.example", false},
		{"8-bit id, quoted", `"日本.example"; none`, "日本.example", true},
		{"below", "a.b.example.com; none", ".example.com", true},
		{"below, job id", "a.example.com/1; none", ".example.com", true},
		{"below, version", "a.example.com 1; none", ".Example.Com", true},
		{"below, fold inside", "a.exam\r\n ple.com 1; none", ".example.com", true},
		{"below, quoted", `"a.example.com"; none`, ".example.com", true},
		{"below, final dot", "a.example.com.; none", ".example.com", true},
		{"below, comment without end", "(a.example.com; none", ".example.com", true},
		{"not below itself", "example.com; none", ".example.com", false},
		{"not below a longer label", "a.notexample.com; none", ".example.com", false},
		{"not below a longer name", "a.example.com.evil.net; none", ".example.com", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := Claims(tt.value, tt.id); got != tt.want {
				t.Errorf("Claims(%q, %q) = %t", tt.value, tt.id, got)
			}
		})
	}
}

func TestClaimsAny(t *testing.T) {
	ids := []string{"mx.example.org", ".example.com"}
	for value, want := range map[string]bool{
		"mx.example.org; none": true,
		"a.example.com; none":  true,
		"a.example.net; none":  false,
	} {
		if got := ClaimsAny(value, ids); got != want {
			t.Errorf("ClaimsAny(%q) = %t", value, got)
		}
	}
	if ClaimsAny("mx; none", nil) {
		t.Error("no ids, yet one is claimed")
	}
}

// Names far longer than any host's are looked at up to a bound, and hostile
// repetition does not multiply the work: these would not end in square time.
func TestClaimsHostile(t *testing.T) {
	const n = 1 << 20
	for name, value := range map[string]string{
		"open comments":   "mx." + strings.Repeat("(", n),
		"leading opens":   strings.Repeat("(", n),
		"closed comments": strings.Repeat("()", n) + "other",
		"quotes":          strings.Repeat(`"`, n),
		"dots":            strings.Repeat("a.", n),
		"encoded words":   strings.Repeat("=?a?q?", n),
	} {
		if ClaimsAny(value, []string{"mx.example.org", ".example.com"}) {
			t.Errorf("%s: claimed", name)
		}
	}
	long := strings.Repeat("a", maxClaim)
	if !Claims(long+"; none", long) || Claims(long+"a; none", long) {
		t.Error("a name as long as the bound is not compared to its end")
	}
}
