package milter

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/postseal/postseal/milter/monitor"
	"github.com/postseal/postseal/milter/resolver"
)

// What is kept of a message says what an administrator asks, and of the message
// itself nothing but domains and selectors.
func TestTroubles(t *testing.T) {
	signer, records := signingServer(t, "")
	good := signedHeader(t, signer, plainHeader, plainBody)
	failing := resolver.NewRecords(nil)
	failing.Fail("s1._domainkey.example.com", errors.New("10.0.0.53:53 answered SERVFAIL"))
	const planted = "5ecret"
	mark := func(fields ...string) []string {
		return append(fields, "Subject: "+planted, "X-"+planted+": x")
	}
	const theirs = "the client is not authenticated; client 'c.example [192.0.2.9]' is not in internal_hosts"
	for _, row := range []struct {
		name, settings, addr, from string
		records                    *resolver.Records
		header                     []string
		body                       string
		// What is kept, but for the time: nothing where there is no action.
		decision, action, domain string
		reason                   string // a part of it
	}{
		{name: "signed", addr: "127.0.0.1", settings: "KEY", header: plainHeader},
		{name: "passed", records: records, header: good, body: plainBody},
		{name: "without a signature", header: plainHeader},
		{name: "failed", records: records, header: good, body: planted + "\r\n",
			decision: "verify", action: "accept", domain: "example.com", reason: "fail d=example.com s=s1: body hash did not verify"},
		{name: "rejected", settings: `on_bad_signature = "reject"`, records: records, header: good, body: planted + "\r\n",
			decision: "verify", action: "reject", domain: "example.com", reason: "bad DKIM signature data; fail d=example.com s=s1: body hash did not verify"},
		{name: "no signature", settings: `on_no_signature = "reject"`, header: plainHeader,
			decision: "verify", action: "reject", domain: "example.com", reason: "no DKIM signature data"},
		{name: "deferred for DNS", records: failing, header: good,
			decision: "verify", action: "tempfail", domain: "example.com", reason: "DKIM key retrieval failed; temperror d=example.com s=s1: key unavailable"},
		{name: "above a limit", settings: `maximum_header_fields = 1`, header: mark("From: <" + planted + "@example.com>"),
			decision: "pass", action: "tempfail", reason: "the header exceeds maximum_header_fields (1)"},
		{name: "no certain author", settings: `on_bad_from = "reject"`, header: mark("From: " + planted + " <<" + planted + "@example.com"),
			decision: "bad_from", action: "reject", reason: "the From field '…' cannot be read: '…'; " + theirs},
		{name: "signature that cannot be read", header: mark("From: a@example.com", "DKIM-Signature: v=1; "+planted+"; d="+planted+"@x; i="+planted+"@example.com"),
			decision: "verify", action: "accept", domain: "example.com", reason: "permerror d= s=: signature syntax error"},
		{name: "signature for another domain", header: mark("From: a@example.com",
			"DKIM-Signature: v=1; a=rsa-sha256; d=example.com; s=s; h=from; bh="+strings.Repeat("A", 43)+"=; b=AAAA; i="+planted+"@example.org"),
			decision: "verify", action: "accept", domain: "example.com", reason: "permerror d=example.com s=s: domain mismatch"},
		{name: "stranger with our domain", settings: "KEY", header: mark("From: <"+planted+"@example.com>", "To: "+planted+"@example.net"), from: planted + "@example.net",
			decision: "verify", action: "accept", domain: "example.com", reason: "external client 'c.example [192.0.2.9]' attempted to send as 'example.com'; " + theirs},
		{name: "no such key", addr: "127.0.0.1", header: mark("From: <" + planted + "@example.com>"),
			settings: "key_table = [\"k=example.com:s1:/nowhere\"]\nsigning_table = [\"example.com=other\"]\ncheck_signing_table = false",
			decision: "refuse", action: "tempfail", domain: "example.com", reason: "the tables cannot sign for '…@example.com': '"},
		{name: "bad key", addr: "127.0.0.1", header: mark("From: <" + planted + "@example.com>"),
			settings: "key_table = [\"k=example.com:s1:/nowhere\"]\nsigning_table = [\"example.com=k\"]",
			decision: "sign", action: "tempfail", domain: "example.com", reason: "key 'k' cannot sign: '"},
		{name: "author who is not the login", settings: "KEY\nauthor_must_match = [\"login\"]", addr: "127.0.0.1", from: planted + "@example.net",
			header:   mark("From: <" + planted + "@example.com>"),
			decision: "verify", action: "accept", domain: "example.com",
			reason: "author '…@example.com' is neither the login '…' nor the envelope sender '…@example.net', as author_must_match asks"},
		{name: "domain that is none, to be signed", addr: "127.0.0.1", header: mark("From: <a@" + planted + "!#>"),
			settings: "key_table = [\"k=%:s1:/nowhere\"]\nsigning_table = [\"*=k\"]",
			decision: "refuse", action: "tempfail", domain: "…", reason: "the tables cannot sign for '…@…': '…'; "},
		{name: "domain that is none, without a key", addr: "127.0.0.1", header: mark("From: <a@" + planted + "!#>"),
			settings: "key_table = [\"k=example.com:s1:/nowhere\"]\nsigning_table = [\"*=%\"]",
			decision: "refuse", action: "tempfail", domain: "…", reason: "the tables cannot sign for '…@…': '…'; "},
		{name: "stranger with what is no domain", header: mark("From: <a@" + planted + "!#.example.com>"),
			settings: "key_table = [\"k=example.com:s1:/nowhere\"]\nsigning_table = [\".example.com=k\"]",
			decision: "verify", action: "accept", domain: "…", reason: "attempted to send as '…'; " + theirs},
		{name: "domain that is none", settings: `on_no_signature = "reject"`, header: mark("From: <a@" + planted + "!#>"),
			decision: "verify", action: "reject", domain: "…", reason: "no DKIM signature data"},
	} {
		t.Run(row.name, func(t *testing.T) {
			if row.records == nil {
				row.records = resolver.NewRecords(nil)
			}
			if row.addr == "" {
				row.addr = "192.0.2.9"
			}
			inline, _ := newKey(t, "ed25519")
			settings := strings.ReplaceAll(row.settings, "KEY", "key_table = [\"k=example.com:s1:"+inline+"\"]\nsigning_table = [\"example.com=k\"]")
			srv := startServer(t, loadText(t, settings, row.records))
			srv.connect(t, "c.example", row.addr).deliver(letter{header: row.header, body: row.body, from: row.from})
			kept := srv.troubles.newest()
			if row.action == "" {
				if len(kept) > 0 {
					t.Errorf("kept: %+v", kept)
				}
				return
			}
			if len(kept) != 1 {
				t.Fatalf("%d are kept", len(kept))
			}
			got := kept[0]
			want := monitor.Trouble{Time: got.Time, QueueID: "4XQ1", Times: 1, Decision: row.decision, Action: row.action, Domain: row.domain, Reason: got.Reason}
			if got != want || got.Time.IsZero() || !strings.Contains(got.Reason, row.reason) {
				t.Errorf("kept %+v\nwant %+v with %q", got, want, row.reason)
			}
			if strings.Contains(fmt.Sprint(got), planted) {
				t.Errorf("it has what the mail says: %+v", got)
			}
		})
	}
}

// A new reason says here how much of it may be shown.
func TestShownArgs(t *testing.T) {
	if want, got := slices.Sorted(maps.Keys(reasonWords)), slices.Sorted(maps.Keys(shownArgs)); !slices.Equal(want, got) {
		t.Fatalf("reasons %q\nshown   %q", want, got)
	}
	for code, words := range reasonWords {
		if strings.Count(words, "%s") != len(shownArgs[code]) || strings.Trim(shownArgs[code], "wnda-") != "" || strings.HasPrefix(shownArgs[code], "a") {
			t.Errorf("%s: %q shows %q", code, words, shownArgs[code])
		}
	}
	for _, row := range []struct {
		arg  string
		how  rune
		want string
	}{
		{"user@example.com", domain, "…@example.com"},
		{`"a@b c"@Example.COM`, domain, "…@example.com"},
		{"user@no such domain", domain, "…@…"},
		{"user", domain, "…"},
		{"Example.COM", name, "example.com"},
		{"no such domain", name, "…"},
		{"user@example.com", nothing, "…"},
		{"/etc/key.table:3", whole, "/etc/key.table:3"},
		{"\xff" + strings.Repeat("é", 1000), whole, "\ufffd" + strings.Repeat("é", 198) + "…"},
	} {
		if got := shownArg(row.arg, row.how); got != row.want {
			t.Errorf("of %.50q %c shows %q, want %q", row.arg, row.how, got, row.want)
		}
	}
}

// The last are kept, in order, those that are alike as one, and failed signatures of
// strangers take no place of what the log warns of.
func TestTroublesAreBounded(t *testing.T) {
	var kept troubles
	start := time.Unix(0, 0)
	for i := range 1000 {
		at := start.Add(time.Duration(i) * time.Second)
		kept.warned.add(monitor.Trouble{Time: at, Action: "reject", Reason: fmt.Sprint(i)}, mostTroubles)
		kept.warned.add(monitor.Trouble{Time: at, Action: "tempfail", QueueID: fmt.Sprint(i)}, mostTroubles)
		for n := range 5 {
			kept.failed.add(monitor.Trouble{Time: at, Action: "accept", Reason: fmt.Sprint(i, n)}, mostFailed)
		}
	}
	all := kept.newest()
	if len(all) != mostTroubles+mostFailed {
		t.Fatalf("%d are kept", len(all))
	}
	rejected := 0
	for i, one := range all {
		if i > 0 && one.Time.After(all[i-1].Time) {
			t.Errorf("%d is newer than the one before", i)
		}
		if one.Action == "reject" {
			if want := start.Add(time.Duration(999-rejected) * time.Second); !one.Time.Equal(want) {
				t.Errorf("%d is of %v, want %v", i, one.Time, want)
			}
			rejected++
		}
	}
	again := slices.IndexFunc(all, func(one monitor.Trouble) bool { return one.Action == "tempfail" })
	if want := (monitor.Trouble{Time: start.Add(999 * time.Second), Action: "tempfail", QueueID: "999", Times: 1000}); again < 0 || all[again] != want {
		t.Errorf("what came again and again is not kept as %+v: %+v", want, all)
	}
	if rejected != mostTroubles-1 {
		t.Errorf("%d of what the log warns of", rejected)
	}
}

func TestTroublesUnderLoad(t *testing.T) {
	srv := startServer(t, loadText(t, `on_no_signature = "reject"`, resolver.NewRecords(nil)))
	const senders, mails = 8, 30
	var all sync.WaitGroup
	for range senders {
		m := srv.connect(t, "c.example", "192.0.2.9")
		all.Go(func() {
			for range mails {
				m.deliver(letter{header: plainHeader})
				srv.troubles.newest()
			}
		})
	}
	all.Wait()
	if kept := srv.troubles.newest(); len(kept) != 1 || kept[0].Times != senders*mails {
		t.Errorf("%d messages are kept as %+v", senders*mails, kept)
	}
}
