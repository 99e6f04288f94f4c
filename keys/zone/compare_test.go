package zone

import (
	"slices"
	"testing"

	"github.com/postseal/postseal/keys"
)

// What stands at a name beside a record, and what shall stand there.
func TestCompare(t *testing.T) {
	key, err := keys.Generate("ed25519", 0)
	if err != nil {
		t.Fatal(err)
	}
	mine := keys.RecordText(key.Public())
	withTags := keys.Record{Public: key.Public(), Note: "by hand", Strict: true}.Text()
	const other = "v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="
	const revoked = "v=DKIM1; p="
	at := func(text string) Record { return Key("s1", "example.com", text) }
	spf := Record{Name: "example.com", Text: "v=spf1 mx -all"}
	for _, tt := range []struct {
		name            string
		r               Record
		standing, after []string
		state           State
	}{
		{"none", at(mine), nil, []string{mine}, Missing},
		{"there", at(mine), []string{mine}, []string{mine}, Published},
		{"the same key with other tags", at(mine), []string{withTags}, []string{withTags}, Published},
		{"another key", at(mine), []string{other}, []string{mine}, Different},
		{"beside another key", at(mine), []string{mine, other}, []string{mine}, Different},
		{"revoked", at(mine), []string{revoked}, []string{mine}, Different},
		{"to be revoked", at(revoked), []string{mine}, []string{revoked}, Different},
		{"is revoked", at(revoked), []string{revoked}, []string{revoked}, Published},
		{"no key at all", at(mine), []string{"hello"}, []string{mine}, Different},
		{"SPF beside others", spf, []string{"google-site-verification=x", "v=DMARC1; p=none"}, []string{"google-site-verification=x", "v=DMARC1; p=none", spf.Text}, Missing},
		{"another SPF", spf, []string{"x", "V=SPF1 -all"}, []string{"x", spf.Text}, Different},
		{"SPF twice", spf, []string{spf.Text, "v=spf1 -all"}, []string{spf.Text}, Different},
		{"SPF there", spf, []string{"x", spf.Text}, []string{"x", spf.Text}, Published},
		{"like SPF", spf, []string{"v=spf10 all"}, []string{"v=spf10 all", spf.Text}, Missing},
		{"DMARC", Record{Name: "_dmarc.example.com", Text: "v=DMARC1; p=none"}, []string{"v=DMARC1;p=reject"}, []string{"v=DMARC1; p=none"}, Different},
	} {
		t.Run(tt.name, func(t *testing.T) {
			state, c := tt.r.Compare(tt.standing)
			if state != tt.state || !slices.Equal(c.After, tt.after) || !slices.Equal(c.Before, tt.standing) || c.Name != tt.r.Name {
				t.Errorf("%s, %q; want %s, %q", state, c.After, tt.state, tt.after)
			}
		})
	}
}

func TestHost(t *testing.T) {
	for _, tt := range []struct{ name, domain, want string }{
		{"s1._domainkey.example.com", "example.com", "s1._domainkey"},
		{"s1._domainkey.xn--bcher-kva.example", "Bücher.example.", "s1._domainkey"},
		{"example.com", "example.com", "@"},
		{"s1._domainkey.notexample.com", "example.com", "s1._domainkey.notexample.com"},
	} {
		if got := (Record{Name: tt.name}).Host(tt.domain); got != tt.want {
			t.Errorf("%s for %s: %q, want %q", tt.name, tt.domain, got, tt.want)
		}
	}
}
