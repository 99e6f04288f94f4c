package milter

import (
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
		{name: "more recipients than can be kept", body: "x\r\n", rcpt: slices.Repeat([]string{strings.Repeat("a", 60000) + "@elsewhere.example"}, 20),
			code: 'y', answer: "451 4.5.3 too many recipients"},
		{name: "more recipients than can be kept, pass", body: plainBody, rcpt: slices.Repeat([]string{strings.Repeat("a", 60000) + "@elsewhere.example"}, 20), code: 'a'},
	} {
		t.Run(tt.name, func(t *testing.T) {
			e := m.deliver(letter{header: good, body: tt.body, rcpt: tt.rcpt})
			if got := e.redirects(); !slices.Equal(got, tt.want) || e.code != tt.code || e.text != tt.answer {
				t.Errorf("got %q, %q %q; want %q, %q %q", got, e.code, e.text, tt.want, tt.code, tt.answer)
			}
		})
	}
	if m.actions&0xc != 0xc {
		t.Errorf("actions %#x lack those of recipients", m.actions)
	}
	if other := signer.connect(t, "localhost", "127.0.0.1"); other.actions&0xc != 0 {
		t.Errorf("actions %#x have those of recipients although nothing is redirected", other.actions)
	}
}
