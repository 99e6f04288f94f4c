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
	const whose, time = `client="c.example \[192\.0\.2\.9\]" from_domain=example.com `, ` duration=[0-9.]+[mnµ]?s\n`
	stranger := `reason="client 'c.example \[192\.0\.2\.9\]' is not in internal_hosts; the client is not authenticated" `
	for _, row := range []struct {
		name, settings, addr string
		records              *resolver.Records
		header               []string
		body                 string
		want                 string // a regular expression
	}{
		{name: "signed", addr: "127.0.0.1", header: plainHeader,
			want: `level=INFO .* from_domain=example.com decision=sign reason=".*signing table row '.*' names key 'k'" signed=s1._domainkey.example.com` + time},
		{name: "passed", records: records, header: good, body: plainBody,
			want: `level=INFO msg=message conn=1 queue_id=4XQ1 ` + whose + `decision=verify ` + stranger + `results="pass d=example.com s=s1 a=ed25519-sha256"` + time},
		{name: "failed", records: records, header: good, body: "changed\r\n",
			want: `level=INFO .*results="fail d=example.com s=s1 a=ed25519-sha256 'body hash did not verify'"` + time},
		{name: "rejected", settings: `on_bad_signature = "reject"`, records: records, header: good, body: "changed\r\n",
			want: `level=WARN .*'body hash did not verify'" action=reject reply="bad DKIM signature data \(d=example.com: body hash did not verify\)"` + time},
		{name: "deferred for DNS", records: failing, header: good,
			want: `level=WARN .*results="temperror d=example.com s=s1 a=ed25519-sha256 'key unavailable: .*10\.0\.0\.53:53 answered SERVFAIL'" action=tempfail reply="DKIM key retrieval failed \(d=example.com: key unavailable\)"` + time},
		{name: "above a limit", settings: `maximum_header_fields = 1`, header: plainHeader,
			want: `level=WARN .*decision=pass reason="the header exceeds maximum_header_fields \(1\)" action=tempfail reply="message exceeds a limit of this filter"` + time},
		{name: "text from mail", header: []string{"From: <a@b\x1b[31m\" decision=sign>", "DKIM-Signature: v=1; d=x y\" level=ERROR; s='; pass"},
			want: `level=INFO .*decision=bad_from .*reason="[^\n]*"` + time},
		{name: "text from a signature", header: append([]string{"DKIM-Signature: v=1; d='; pass d=bank.example; s=\x1b[31m"}, plainHeader...),
			want: `level=INFO .*results="permerror d='' s='' a='' 'signature .*'"` + time},
		{name: "unsigned", header: plainHeader, want: `level=INFO .*results=none` + time},
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
			srv.connect(t, "c.example", row.addr).deliver(letter{header: row.header, body: row.body})
			var lines []string
			for line := range strings.Lines(srv.log.String()) {
				if strings.Contains(line, "msg=message") {
					lines = append(lines, line)
				}
			}
			if len(lines) != 1 {
				t.Fatalf("%d lines", len(lines))
			}
			if !regexp.MustCompile(`^time=\S+ ` + row.want + `$`).MatchString(lines[0]) {
				t.Errorf("got  %swant %s", lines[0], row.want)
			}
			if slices.Contains([]byte(lines[0]), 0x1b) {
				t.Errorf("a terminal would obey %q", lines[0])
			}
		})
	}
}
