package milter

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/postseal/postseal/milter/dkim"
	"github.com/postseal/postseal/milter/resolver"
	"github.com/postseal/postseal/milter/wire"
)

// signedHeader is a message of example.com that a stranger brings: its header
// with the signature on top.
func signedHeader(t testing.TB, srv *testServer, header []string, body string) []string {
	t.Helper()
	e := srv.connect(t, "localhost", "127.0.0.1").deliver(letter{header: header, body: body})
	sig := e.inserted("DKIM-Signature")
	if sig == "" {
		t.Fatalf("not signed: %q %q", e.code, e.changes)
	}
	return append([]string{"DKIM-Signature:" + sig}, header...)
}

func TestActions(t *testing.T) {
	signer, records := signingServer(t, "")
	good := signedHeader(t, signer, plainHeader, plainBody)
	foreign := []string{"From: a@elsewhere.example", "Subject: x"}
	failing := resolver.NewRecords(nil)
	failing.Fail("s1._domainkey.example.com", errors.New("SERVFAIL"))
	none := resolver.NewRecords(nil)
	onTrial := resolver.NewRecords(map[string][]string{
		"s1._domainkey.example.com": {strings.Replace(records.Answer("s1._domainkey.example.com").TXT[0], "v=DKIM1;", "v=DKIM1; t=y;", 1)},
	})
	revoked := resolver.NewRecords(map[string][]string{"s1._domainkey.example.com": {"v=DKIM1; k=ed25519; p="}})
	for _, row := range []struct {
		name     string
		settings string
		records  *resolver.Records
		header   []string
		body     string
		code     byte
		reply    string // the beginning of it
		result   string // in Authentication-Results; "": no field
		quarant  bool
	}{
		{name: "pass", header: good, body: plainBody, code: 'a', result: "dkim=pass"},
		{name: "pass with every action set", settings: `on_default = "reject"`, header: good, body: plainBody, code: 'a', result: "dkim=pass"},
		{name: "changed body", header: good, body: "other\r\n", code: 'a', result: "dkim=fail"},
		{name: "changed body, reject", settings: `on_bad_signature = "reject"`, header: good, body: "other\r\n", code: 'y',
			reply: "550 5.7.0 bad DKIM signature data (d=example.com: body hash did not verify)"},
		{name: "changed body, tempfail", settings: `on_bad_signature = "tempfail"`, header: good, body: "other\r\n", code: 'y', reply: "451 4.7.0 bad DKIM"},
		{name: "changed body, discard", settings: `on_bad_signature = "discard"`, header: good, body: "other\r\n", code: 'd'},
		{name: "changed body, quarantine", settings: `on_bad_signature = "quarantine"`, header: good, body: "other\r\n", code: 'a',
			result: "dkim=fail", quarant: true},
		{name: "changed body, reject, key on trial", settings: `on_bad_signature = "reject"`, records: onTrial, header: good, body: "other\r\n", code: 'a', result: "dkim=fail"},
		{name: "revoked key, reject", settings: `on_bad_signature = "reject"`, records: revoked, header: good, body: plainBody, code: 'y', reply: "550 5.7.0 bad DKIM signature data (d=example.com: key revoked"},
		{name: "no key", records: none, header: good, body: plainBody, code: 'a', result: "dkim=fail"},
		{name: "no key, reject", settings: `on_key_not_found = "reject"`, records: none, header: good, body: plainBody, code: 'y', reply: "550 5.7.0 DKIM key retrieval failed (d=example.com: no key for signature"},
		{name: "DNS trouble defers", records: failing, header: good, body: plainBody, code: 'y', reply: "451 4.7.5 DKIM key retrieval failed"},
		{name: "DNS trouble, accept", settings: `on_dns_error = "accept"`, records: failing, header: good, body: plainBody, code: 'a', result: "dkim=temperror"},
		{name: "unsigned", header: foreign, code: 'a'},
		{name: "unsigned, always a result", settings: `always_add_ar_header = true`, header: foreign, code: 'a', result: "dkim=none"},
		{name: "unsigned, reject", settings: `on_no_signature = "reject"`, header: foreign, code: 'y', reply: "550 5.7.0 no DKIM signature data"},
		{name: "malformed signature", header: append([]string{"DKIM-Signature: foo"}, foreign...), code: 'a', result: "dkim=permerror"},
		{name: "malformed signature, reject", settings: `on_bad_signature = "reject"`, header: append([]string{"DKIM-Signature: foo"}, foreign...), code: 'y', reply: "550 5.7.0 DKIM signature syntax error"},
		{name: "no aligned pass", settings: `on_no_aligned_pass = "reject"`, header: append(good[:1:1], foreign...), body: plainBody, code: 'y',
			reply: "550 5.7.22 no valid DKIM signature of the author's domain elsewhere.example"},
		{name: "aligned pass", settings: `on_no_aligned_pass = "reject"`, header: good, body: plainBody, code: 'a', result: "dkim=pass"},
		{name: "two From fields never pass", header: append(good[:len(good):len(good)], "From: b@elsewhere.example"), body: plainBody, code: 'a', result: "dkim=permerror"},
		{name: "two From fields, reject", settings: `on_bad_from = "reject"`, header: append(good[:len(good):len(good)], "From: b@elsewhere.example"), body: plainBody, code: 'y',
			reply: "550 5.7.0 the message has 2 From fields"},
	} {
		t.Run(row.name, func(t *testing.T) {
			r := row.records
			if r == nil {
				r = records
			}
			srv := startServer(t, loadText(t, `authserv_id = "mx.example.org"`+"\n"+row.settings, r))
			e := srv.connect(t, "mail.elsewhere.example", "192.0.2.9").deliver(letter{header: row.header, body: row.body})
			if e.code != row.code || !strings.HasPrefix(e.text, row.reply) {
				t.Errorf("ended with %q %q, want %q %q", e.code, e.text, row.code, row.reply)
			}
			ar := e.inserted("Authentication-Results")
			if row.result == "" && ar != "" || !strings.Contains(ar, row.result) {
				t.Errorf("Authentication-Results:%s\nwant %q", ar, row.result)
			}
			if ar != "" && !strings.HasPrefix(ar, " mx.example.org;") {
				t.Errorf("Authentication-Results:%s\nis not ours", ar)
			}
			if got := strings.Contains(strings.Join(e.changes, "\n"), "q "); got != row.quarant {
				t.Errorf("quarantine: %v, want %v", got, row.quarant)
			}
		})
	}
}

// Fields that claim to be ours go, the highest index first, however broken, and
// others stay (CVE-2022-48521).
func TestForgedResults(t *testing.T) {
	header := []string{
		"Authentication-Results: mx.example.org; dkim=pass header.d=bank.example",
		"Authentication-Results: other.example; dkim=pass",
		"authentication-results: MX.EXAMPLE.ORG/4; spf=pass",
		"From: User <user@example.com>",
		"Authentication-Results: (c) \"mx.example.org\" 1; dkim=pass",
		"Authentication-Results : mx.example.org; dkim=pass reason=\"never ends",
		"ARC-Authentication-Results: i=1; mx.example.org; dkim=pass",
		"Authentication-Results: mx.example.org.evil.example; dkim=pass",
	}
	all := []string{"m5 Authentication-Results:", "m4 Authentication-Results:", "m3 Authentication-Results:", "m1 Authentication-Results:"}
	for _, row := range []struct {
		name, settings, addr string
		login                bool
		want                 []string
	}{
		{name: "a stranger's mail", addr: "192.0.2.9", want: all},
		{name: "a customer's mail that we sign", addr: "192.0.2.9", login: true, want: all},
		{name: "our own mail", addr: "127.0.0.1", want: nil},
		{name: "kept where told", settings: "keep_auth_results = true", addr: "192.0.2.9", want: nil},
		{name: "only results of DKIM", settings: "remove_ar_all = false", addr: "192.0.2.9",
			want: []string{"m5 Authentication-Results:", "m4 Authentication-Results:", "m1 Authentication-Results:"}},
		{name: "another name of ours", settings: `remove_ar_from = ["other.example"]`, addr: "192.0.2.9",
			want: []string{"m5 Authentication-Results:", "m4 Authentication-Results:", "m3 Authentication-Results:", "m2 Authentication-Results:", "m1 Authentication-Results:"}},
	} {
		t.Run(row.name, func(t *testing.T) {
			srv, _ := signingServer(t, row.settings)
			l := letter{header: header, body: "x\r\n"}
			if row.login {
				l.macros = []string{"{auth_type}", "PLAIN", "{auth_authen}", "user"}
			}
			e := srv.connect(t, "c.example", row.addr).deliver(l)
			var got []string
			for _, c := range e.changes {
				if strings.HasPrefix(c, "m") {
					got = append(got, c)
				}
			}
			if strings.Join(got, "|") != strings.Join(row.want, "|") {
				t.Errorf("removed %q, want %q", got, row.want)
			}
		})
	}
}

// While DNS is slow, the MTA is told to wait.
func TestProgress(t *testing.T) {
	signer, records := signingServer(t, "")
	good := signedHeader(t, signer, plainHeader, plainBody)
	slow := slowResolver{records, 3 * progressInterval / 2}
	s := loadText(t, "dns_timeout = 60", records)
	s.resolver = slow
	srv := startServer(t, s)
	e := srv.connect(t, "mail.elsewhere.example", "192.0.2.9").deliver(letter{header: good, body: plainBody})
	if e.progress == 0 {
		t.Error("no PROGRESS while the answer was awaited")
	}
	if ar := e.inserted("Authentication-Results"); !strings.Contains(ar, "dkim=pass") {
		t.Errorf("Authentication-Results:%s", ar)
	}
}

// Mail is refused at the end of its header where its signatures cannot pass
// whatever follows, and at the end of the message where a key is awaited.
func TestRefusedEarly(t *testing.T) {
	signer, records := signingServer(t, "")
	good := signedHeader(t, signer, plainHeader, plainBody)
	malformed := append([]string{"DKIM-Signature: v=1; rubbish"}, plainHeader...)
	srv := startServer(t, loadText(t, "on_default = \"reject\"", records))
	for _, row := range []struct {
		name   string
		header []string
		at     wire.Command
	}{
		{"malformed", malformed, wire.CmdEOH},
		{"malformed beside one that may pass", append([]string{malformed[0]}, good...), wire.CmdEOM},
		{"not signed", plainHeader, wire.CmdEOM},
	} {
		e := srv.connect(t, "mail.elsewhere.example", "192.0.2.9").deliver(letter{header: row.header, body: "other\r\n"})
		if e.at != row.at || e.code != 'y' {
			t.Errorf("%s: ended at %v with %q %q, want %v", row.name, e.at, e.code, e.text, row.at)
		}
	}
}

// An answer that does not come in time is a temporary error.
func TestDNSTimeout(t *testing.T) {
	signer, records := signingServer(t, "")
	good := signedHeader(t, signer, plainHeader, plainBody)
	s := loadText(t, "dns_timeout = \"200ms\"", records)
	s.resolver = slowResolver{records, time.Minute}
	srv := startServer(t, s)
	e := srv.connect(t, "mail.elsewhere.example", "192.0.2.9").deliver(letter{header: good, body: plainBody})
	if e.code != 'y' || !strings.HasPrefix(e.text, "451 4.7.5 ") {
		t.Errorf("ended with %q %q, want 451 4.7.5", e.code, e.text)
	}
}

// slowResolver answers late.
type slowResolver struct {
	dkim.Resolver
	delay time.Duration
}

func (r slowResolver) LookupTXT(ctx context.Context, name string) ([]string, bool, error) {
	select {
	case <-time.After(r.delay):
		return r.Resolver.LookupTXT(ctx, name)
	case <-ctx.Done():
		return nil, false, ctx.Err()
	}
}

// With sign_once, mail that carries a valid signature of ours gets no second.
func TestSignOnce(t *testing.T) {
	srv, records := signingServer(t, "sign_once = true")
	good := signedHeader(t, srv, plainHeader, plainBody)
	m := srv.connect(t, "localhost", "127.0.0.1")
	if e := m.deliver(letter{header: good, body: plainBody}); e.inserted("DKIM-Signature") != "" {
		t.Errorf("signed again: %q", e.changes)
	}
	if srv.Counts().Reasons[ReasonAlreadySigned] != 1 {
		t.Errorf("the reason is not counted: %v", srv.Counts().Reasons)
	}
	e := m.deliver(letter{header: good, body: "changed\r\n"})
	wantSigned(t, records, e, plainHeader, "changed\r\n")
}

// Several rows sign with several keys, RSA beside Ed25519.
func TestTwoKeys(t *testing.T) {
	rsa, rsaRecord := newKey(t, "rsa")
	ed, edRecord := newKey(t, "ed25519")
	records := resolver.NewRecords(map[string][]string{"r._domainkey.example.com": {rsaRecord}, "e._domainkey.example.com": {edRecord}})
	s := loadText(t, fmt.Sprintf(`key_table = ["r=example.com:r:%s", "e=example.com:e:%s"]
signing_table = ["user@example.com=r", "example.com=e"]
multiple_signatures = true
remove_old_signatures = true
`, rsa, ed), records)
	srv := startServer(t, s)
	m := srv.connect(t, "localhost", "127.0.0.1")
	e := m.deliver(letter{header: append([]string{"DKIM-Signature: old", "DKIM-Signature: older"}, plainHeader...), body: plainBody})
	var values []string
	var removed []string
	for _, c := range e.changes {
		if v, ok := strings.CutPrefix(c, "i0 DKIM-Signature:"); ok {
			values = append(values, v)
		} else {
			removed = append(removed, c)
		}
	}
	if strings.Join(removed, "|") != "m2 DKIM-Signature:|m1 DKIM-Signature:" {
		t.Errorf("removed %q", removed)
	}
	algorithms := map[dkim.Algorithm]bool{}
	for _, v := range values {
		r := verified(t, records, plainHeader, v, plainBody)
		if r.Status != dkim.Pass {
			t.Errorf("%v %v:\n%s", r.Status, r.Err, v)
		}
		algorithms[r.Algorithm] = true
	}
	if len(values) != 2 || !algorithms[dkim.RSASHA256] || !algorithms[dkim.Ed25519SHA256] {
		t.Errorf("%d signatures, algorithms %v", len(values), algorithms)
	}
}
