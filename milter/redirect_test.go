package milter

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// redirects are the changes to recipients, and the fields that name them.
func (e ended) redirects() []string {
	return slices.DeleteFunc(slices.Clone(e.changes), func(c string) bool { return !strings.ContainsAny(c[:1], "+-h") })
}

func TestRedirect(t *testing.T) {
	signer, records := signingServer(t, "")
	good := signedHeader(t, signer, plainHeader, plainBody)
	srv := startServer(t, loadText(t, `redirect_failures_to = "bad@example.org"`, records))
	m := srv.connect(t, "mail.elsewhere.example", "192.0.2.9")
	many := make([]string, 35_000) // more than maxRedirected bytes of them
	for i := range many {
		many[i] = fmt.Sprintf("a%d@elsewhere.example", i)
	}
	for _, tt := range []struct {
		name   string
		body   string
		rcpt   []string
		want   []string
		code   byte
		answer string
	}{
		{name: "pass", body: plainBody, code: 'a'},
		{name: "changed", body: "x\r\n", rcpt: []string{`"a b"@elsewhere.example`, "jörg@elsewhere.example"}, code: 'a', want: []string{
			"-rcpt@elsewhere.example", "h Original-Recipient: rfc822;rcpt@elsewhere.example",
			`-"a b"@elsewhere.example`, `h Original-Recipient: rfc822;"a b"@elsewhere.example`,
			"-jörg@elsewhere.example", "h Original-Recipient: utf-8;jörg@elsewhere.example",
			"+bad@example.org",
		}},
		{name: "more recipients than can be kept", body: "x\r\n", rcpt: many,
			code: 'y', answer: "451 4.5.3 too many recipients"},
		{name: "no address", body: "x\r\n", rcpt: []string{""}, code: 'y', answer: "451 4.1.3 a recipient's address cannot be replaced"},
		{name: "an address of two lines", body: "x\r\n", rcpt: []string{"a\r\n@elsewhere.example"}, code: 'y', answer: "451 4.1.3 a recipient's address cannot be replaced"},
		{name: "a long address", body: "x\r\n", rcpt: []string{strings.Repeat("a", 60_000) + "@elsewhere.example"}, code: 'y', answer: "451 4.1.3 a recipient's address cannot be replaced"},
		{name: "an address that is no UTF-8", body: "x\r\n", rcpt: []string{"\xff;@elsewhere.example"}, code: 'a', want: []string{
			"-rcpt@elsewhere.example", "h Original-Recipient: rfc822;rcpt@elsewhere.example",
			"-\xff;@elsewhere.example", "h Original-Recipient: utf-8;\xff;@elsewhere.example", "+bad@example.org",
		}},
		{name: "more recipients than can be kept, pass", body: plainBody, rcpt: many, code: 'a'},
	} {
		t.Run(tt.name, func(t *testing.T) {
			e := m.deliver(letter{header: good, body: tt.body, rcpt: tt.rcpt})
			if got := e.redirects(); !slices.Equal(got, tt.want) || e.code != tt.code || e.text != tt.answer {
				t.Errorf("got %q, %q %q; want %q, %q %q", got, e.code, e.text, tt.want, tt.code, tt.answer)
			}
		})
	}
	refusing := startServer(t, loadText(t, "redirect_failures_to = \"bad@example.org\"\non_bad_signature = \"reject\"\n", records))
	e := refusing.connect(t, "mail.elsewhere.example", "192.0.2.9").deliver(letter{header: good, body: "x\r\n", rcpt: []string{""}})
	if e.code != 'y' || !strings.HasPrefix(e.text, "550 5.7.0 bad DKIM signature") {
		t.Errorf("refused mail with a recipient that cannot be replaced: %q %q", e.code, e.text)
	}
	if m.actions&0xc != 0xc {
		t.Errorf("actions %#x lack those of recipients", m.actions)
	}
	if other := signer.connect(t, "localhost", "127.0.0.1"); other.actions&0xc != 0 {
		t.Errorf("actions %#x have those of recipients although nothing is redirected", other.actions)
	}
}
