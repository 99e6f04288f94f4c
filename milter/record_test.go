package milter

import (
	"errors"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/postseal/postseal/milter/resolver"
)

// One line a message says what an administrator asks: whose it is, what was done
// and why, with which key or with which results, who was refused, how long it took.
func TestLogLine(t *testing.T) {
	signer, records := signingServer(t, "")
	good := signedHeader(t, signer, plainHeader, plainBody)
	failing := resolver.NewRecords(nil)
	failing.Fail("s1._domainkey.example.com", errors.New("10.0.0.53:53 answered SERVFAIL"))
	const (
		took  = ` duration=[0-9.]+[mnµ]?s`
		whose = took + ` from_domain=example.com client="c.example \[192\.0\.2\.9\]"`
		why   = ` reason="client 'c.example \[192\.0\.2\.9\]' is not in internal_hosts; the client is not authenticated"`
	)
	for _, row := range []struct {
		name, settings, addr string
		records              *resolver.Records
		macros               []string // of the sender
		header               []string
		body                 string
		want                 string // a regular expression
	}{
		{name: "signed", addr: "127.0.0.1", header: plainHeader,
			want: `level=INFO msg=message conn=1 queue_id=4XQ1 decision=sign result=signed` + took + ` from_domain=example.com signed=s1._domainkey.example.com client=.* reason=".*signing table row '.*' names key 'k'"`},
		{name: "signed for a login", macros: []string{"{auth_type}", "PLAIN", "{auth_authen}", "user@example.com"}, addr: "192.0.2.8", header: plainHeader,
			want: `level=INFO .* decision=sign .* signed=s1._domainkey.example.com client="c.example \[192\.0\.2\.8\]" login=user@example.com reason="the client is authenticated as 'user@example.com'.*"`},
		{name: "a login that imitates attributes", macros: []string{"{auth_type}", "PLAIN", "{auth_authen}", `x" action=reject`}, addr: "192.0.2.8", header: plainHeader,
			want: `level=INFO .* decision=sign .* login="x\\" action=reject" reason=.*`},
		{name: "passed", records: records, header: good, body: plainBody,
			want: `level=INFO msg=message conn=1 queue_id=4XQ1 decision=verify result=pass` + whose + why + ` results="pass d=example.com s=s1 a=ed25519-sha256"`},
		{name: "failed", records: records, header: good, body: "changed\r\n",
			want: `level=INFO .* decision=verify result=fail` + whose + why + ` results="fail d=example.com s=s1 a=ed25519-sha256 'body hash did not verify'"`},
		{name: "rejected", settings: `on_bad_signature = "reject"`, records: records, header: good, body: "changed\r\n",
			want: `level=WARN .* result=fail action=reject` + whose + why + ` results=".* 'body hash did not verify'" reply="bad DKIM signature data \(d=example.com: body hash did not verify\)"`},
		{name: "deferred for DNS", records: failing, header: good,
			want: `level=WARN .* result=temperror action=tempfail` + whose + why + ` results="temperror d=example.com s=s1 a=ed25519-sha256 'key unavailable: .*10\.0\.0\.53:53 answered SERVFAIL'" reply="DKIM key retrieval failed \(d=example.com: key unavailable\)"`},
		{name: "above a limit", settings: `maximum_header_fields = 1`, header: plainHeader,
			want: `level=WARN .* decision=pass result=none action=tempfail.* reason="the header exceeds maximum_header_fields \(1\)" reply="message exceeds a limit of this filter"`},
		{name: "text from mail", header: []string{"From: <a@b\x1b[31m\" decision=sign>", "DKIM-Signature: v=1; d=x y\" level=ERROR; s='; pass"},
			want: `level=INFO [^"]* decision=bad_from result=none` + took + ` from_domain=(""|"[^ ]*) client=.* reason="[^\n]*"`},
		{name: "text from a signature", header: append([]string{"DKIM-Signature: v=1; d='; pass d=bank.example; s=\x1b[31m"}, plainHeader...),
			want: `level=INFO .* result=permerror` + whose + why + ` results="permerror d='' s='' a='' 'signature .*'"`},
		{name: "unsigned", header: plainHeader, want: `level=INFO .* result=none` + whose + why + ` results=none`},
	} {
		t.Run(row.name, func(t *testing.T) {
			r := row.records
			if r == nil {
				r = resolver.NewRecords(nil)
			}
			text := row.settings
			if row.addr != "" {
				inline, _ := newKey(t, "ed25519")
				text = "key_table = [\"k=example.com:s1:" + inline + "\"]\nsigning_table = [\"example.com=k\"]\n"
			} else {
				row.addr = "192.0.2.9"
			}
			srv := startServer(t, loadText(t, text, r))
			srv.connect(t, "c.example", row.addr).deliver(letter{macros: row.macros, header: row.header, body: row.body})
			var lines []string
			for line := range strings.Lines(srv.log.String()) {
				if strings.Contains(line, "msg=message") {
					lines = append(lines, line)
				}
			}
			if len(lines) != 1 {
				t.Fatalf("%d lines", len(lines))
			}
			if !regexp.MustCompile(`^time=\S+ ` + row.want + `\n$`).MatchString(lines[0]) {
				t.Errorf("got  %swant %s", lines[0], row.want)
			}
			if slices.Contains([]byte(lines[0]), 0x1b) {
				t.Errorf("a terminal would obey %q", lines[0])
			}
		})
	}
}
