package milter

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/postseal/postseal/milter/resolver"
	"github.com/postseal/postseal/milter/wire"
)

// removals are the changes that take fields away.
func (e ended) removals() (list []string) {
	for _, c := range e.changes {
		if strings.HasPrefix(c, "m") {
			list = append(list, c)
		}
	}
	return list
}

// Mail that goes through by an action or by a limit, unsigned and not verified,
// brings no results in our name either; mail that is none of our business is
// not touched.
func TestForgedResultsThatAreLetThrough(t *testing.T) {
	const (
		stranger, here = "192.0.2.9", "127.0.0.1"
		mine           = "Authentication-Results: mx.example.org; dkim=pass header.d=bank.example"
		from           = "From: User <user@example.com>"
		foreign        = "From: a@elsewhere.example"
	)
	login := []string{"{auth_type}", "PLAIN", "{auth_authen}", "user"}
	many := slices.Repeat([]string{"X-Many: x"}, 40)
	for _, row := range []struct {
		name, settings, addr string
		macros               []string
		header               []string
		removed              int    // the index of the field that goes, 0: none
		result               string // in Authentication-Results; "": no field
		at                   wire.Command
		code                 byte
		quarantined          bool
	}{
		{name: "limit", settings: `on_security = "accept"`, addr: stranger, header: slices.Concat([]string{mine, foreign}, many),
			removed: 1, result: `dkim=permerror reason="the header exceeds maximum_header_fields (20)"`},
		{name: "behind the limit", settings: `on_security = "accept"`, addr: stranger,
			header: slices.Concat([]string{"Authentication-Results: other.example; none", foreign}, many, []string{mine}), removed: 2, result: "dkim=permerror"},
		{name: "limit, nothing forged", settings: `on_security = "accept"`, addr: stranger, header: append([]string{foreign}, many...), result: "dkim=permerror"},
		{name: "limit, quarantine", settings: `on_security = "quarantine"`, addr: stranger, header: slices.Concat([]string{mine, foreign}, many),
			removed: 1, result: "dkim=permerror", quarantined: true},
		{name: "limit, mail of our hosts", settings: `on_security = "accept"`, addr: here, header: slices.Concat([]string{mine, from}, many), result: "dkim=permerror"},
		{name: "limit, a listener that signs", settings: "on_security = \"accept\"\nmode = \"s\"", addr: stranger, macros: login,
			header: slices.Concat([]string{mine, from}, many), removed: 1},
		{name: "limit, more forged than can be counted", settings: `on_security = "accept"`, addr: stranger,
			header: slices.Concat([]string{foreign}, slices.Repeat([]string{mine}, 21)), at: wire.CmdEOH, code: 'y'},
		{name: "two From fields", addr: stranger, header: []string{mine, foreign, foreign}, removed: 1, result: `dkim=permerror reason="the message has 2 From fields"`},
		{name: "no From field", addr: stranger, header: []string{mine, "Subject: x"}, removed: 1, result: "dkim=permerror"},
		{name: "two From fields, a listener that signs", settings: `mode = "s"`, addr: stranger, macros: login,
			header: []string{mine, from, from}, removed: 1},
		{name: "two From fields, a listener that signs, nothing forged", settings: `mode = "s"`, addr: stranger, macros: login,
			header: []string{from, from}, at: wire.CmdEOH},
		{name: "no key for a customer's mail", settings: "on_internal_error = \"accept\"\nBROKEN", addr: stranger, macros: login,
			header: []string{mine, "From: a@broken.example"}, removed: 1},
		{name: "no key for our own mail", settings: "on_internal_error = \"accept\"\nBROKEN", addr: here,
			header: []string{mine, "From: a@broken.example"}, at: wire.CmdEOH},
		{name: "no key, quarantine", settings: "on_internal_error = \"quarantine\"\nBROKEN", addr: stranger, macros: login,
			header: []string{mine, "From: a@broken.example"}, removed: 1, quarantined: true},
		{name: "not signed for this recipient", settings: `dont_sign_mail_to = ["rcpt@elsewhere.example"]`, addr: stranger, macros: login,
			header: []string{mine, from}, removed: 1},
		{name: "key not found", settings: `on_key_not_found = "accept"`, addr: stranger,
			header:  []string{"DKIM-Signature: v=1; a=rsa-sha256; d=elsewhere.example; s=x; h=from; bh=47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=; b=AAAA", mine, foreign},
			removed: 1, result: "dkim=fail"},
		{name: "malformed signature", addr: stranger, header: []string{"DKIM-Signature: foo", mine, foreign}, removed: 1, result: "dkim=permerror"},
		{name: "unsigned", addr: stranger, header: []string{mine, foreign}, removed: 1},
		{name: "exempt domain", settings: `exempt_domains = ["elsewhere.example"]`, addr: stranger, header: []string{mine, foreign}, at: wire.CmdEOH},
		{name: "a listener that does not verify", settings: `mode = "s"`, addr: stranger, header: []string{mine, foreign}, at: wire.CmdEOH},
	} {
		t.Run(row.name, func(t *testing.T) {
			inline, _ := newKey(t, "ed25519")
			text := strings.ReplaceAll(row.settings, "BROKEN", "") + fmt.Sprintf(`
maximum_header_fields = 20
key_table = ["k=example.com:s1:%s", "broken=broken.example:s1:MIIBroken"]
signing_table = ["example.com=k", "broken.example=broken"]
`, inline)
			srv := startServer(t, loadText(t, text, resolver.NewRecords(nil)))
			if row.at == 0 {
				row.at = wire.CmdEOM
			}
			if row.code == 0 {
				row.code = 'a'
			}
			m := srv.connect(t, "c.example", row.addr)
			for range 2 { // the second on the same connection counts anew
				e := m.deliver(letter{macros: row.macros, header: row.header, body: "x\r\n"})
				if e.code != row.code || e.at != row.at {
					t.Errorf("ended with %q %q at %v, want %q at %v", e.code, e.text, e.at, row.code, row.at)
				}
				var want []string
				if row.removed > 0 {
					want = []string{fmt.Sprintf("m%d Authentication-Results:", row.removed)}
				}
				if got := e.removals(); !slices.Equal(got, want) {
					t.Errorf("removed %q, want %q", got, want)
				}
				ar := strings.ReplaceAll(e.inserted("Authentication-Results"), "\n\t", " ")
				if row.result == "" && ar != "" || !strings.Contains(ar, row.result) {
					t.Errorf("Authentication-Results:%s\nwant %q", ar, row.result)
				}
				if got := slices.ContainsFunc(e.changes, func(c string) bool { return strings.HasPrefix(c, "q ") }); got != row.quarantined {
					t.Errorf("quarantined: %v, want %v", got, row.quarantined)
				}
			}
		})
	}
}

// Old signatures make room for new ones, and for nothing else.
func TestOldSignatures(t *testing.T) {
	srv, records := signingServer(t, "sign_once = true\nremove_old_signatures = true")
	m := srv.connect(t, "localhost", "127.0.0.1")
	old := append([]string{"DKIM-Signature: old"}, plainHeader...)
	e := m.deliver(letter{header: old, body: plainBody})
	if got := e.removals(); !slices.Equal(got, []string{"m1 DKIM-Signature:"}) {
		t.Errorf("removed %q", got)
	}
	wantSigned(t, records, e, plainHeader, plainBody)
	ours := append([]string{"DKIM-Signature:" + e.inserted("DKIM-Signature")}, old...)
	if e := m.deliver(letter{header: ours, body: plainBody}); len(e.changes) > 0 {
		t.Errorf("a valid signature of ours is there, and the changes are %q", e.changes)
	}
}

// An internationalised name of ours is written with A-labels, and known in both
// forms where others write it.
func TestInternationalisedID(t *testing.T) {
	srv, _ := signingServer(t, `authserv_id = "mx.bücher.example"`)
	e := srv.connect(t, "c.example", "192.0.2.9").deliver(letter{header: []string{
		"DKIM-Signature: foo",
		"Authentication-Results: mx.bücher.example; dkim=pass",
		"Authentication-Results: mx.xn--bcher-kva.example; dkim=pass",
		"Authentication-Results: mx.example.org; dkim=pass",
		"From: a@elsewhere.example",
	}})
	if got := e.removals(); !slices.Equal(got, []string{"m2 Authentication-Results:", "m1 Authentication-Results:"}) {
		t.Errorf("removed %q", got)
	}
	if ar := e.inserted("Authentication-Results"); !strings.HasPrefix(ar, " mx.xn--bcher-kva.example;") {
		t.Errorf("Authentication-Results:%s", ar)
	}
}
