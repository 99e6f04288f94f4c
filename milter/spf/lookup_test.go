package spf

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/postseal/postseal/milter/resolver"
)

// The project's own look-ups answer as SPF wants it.
func TestLookup(t *testing.T) {
	records, err := resolver.ParseRecords(strings.NewReader(`
example.com v=spf1 mx include:other.example.net -all
example.com MX 10 mail.example.com
mail.example.com A 192.0.2.1
mail.example.com AAAA 2001:db8::1
other.example.net v=spf1 mx a -all
other.example.net MX 0 .
other.example.net A 192.0.2.2
`))
	if err != nil {
		t.Fatal(err)
	}
	dns := resolver.Lookup{Asker: records}
	for client, want := range map[string]string{
		"192.0.2.1":   "mx in the record of example.com",
		"2001:db8::1": "mx in the record of example.com",
		"192.0.2.2":   "a in the record of other.example.net",
		"192.0.2.3":   "-all in the record of example.com",
	} {
		if got := Check(t.Context(), dns, Query{Client: netip.MustParseAddr(client), MailFrom: "user@example.com"}); got.Reason() != want {
			t.Errorf("%s: %s (%s)", client, got.Status, got.Reason())
		}
	}
	r := Inspect(t.Context(), dns, "example.com")
	if len(r.Findings) > 0 || r.Lookups != 4 || r.Voids != 0 {
		t.Errorf("%d look-ups, %d void, %s", r.Lookups, r.Voids, told(r.Findings))
	}
}
