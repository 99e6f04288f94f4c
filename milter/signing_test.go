package milter

import (
	"fmt"
	"strings"
	"testing"

	"github.com/postseal/postseal/milter/resolver"
)

// A key that should sign and cannot defers the message; where the administrator
// lets mail through all the same, the keys that can sign it do.
func TestUnusableKey(t *testing.T) {
	inline, record := newKey(t, "ed25519")
	records := resolver.NewRecords(map[string][]string{"s2._domainkey.example.com": {record}})
	tables := fmt.Sprintf(`
multiple_signatures = true
key_table = ["broken=example.com:s1:/does/not/exist", "good=example.com:s2:%s"]
signing_table = ["user@example.com=broken", "example.com=good", "other.example=broken"]
`, inline)
	for _, row := range []struct {
		action      string
		from        string
		code        byte
		signed      bool
		quarantined bool
	}{
		{"tempfail", "user@example.com", 't', false, false},
		{"reject", "user@example.com", 'y', false, false},
		{"accept", "user@example.com", 'a', true, false},
		{"quarantine", "user@example.com", 'a', true, true},
		{"accept", "user@other.example", 'a', false, false},
		{"quarantine", "user@other.example", 'a', false, true},
	} {
		t.Run(row.action+" "+row.from, func(t *testing.T) {
			srv := startServer(t, loadText(t, fmt.Sprintf("on_internal_error = %q\n", row.action)+tables, records))
			header := append([]string{"From: " + row.from}, plainHeader[1:]...)
			e := srv.connect(t, "localhost", "127.0.0.1").deliver(letter{header: header, body: plainBody})
			if row.signed {
				wantSigned(t, records, e, header, plainBody)
			} else if e.inserted("DKIM-Signature") != "" {
				t.Errorf("signed: %q", e.changes)
			}
			quarantined := strings.Contains(strings.Join(e.changes, "\n"), "q DKIM signing")
			if e.code != row.code || quarantined != row.quarantined {
				t.Errorf("ended with %q, quarantined %t: %q", e.code, quarantined, e.changes)
			}
			srv.log.wait(t, "key 'broken' cannot sign")
		})
	}
}
