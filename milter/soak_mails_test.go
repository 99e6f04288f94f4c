package milter

import (
	"bytes"
	"fmt"
	"os/exec"
	"strings"
	"testing"

	"github.com/postseal/postseal/milter/load"
)

// mails makes the messages of the soak, each with what must become of it.
func (d *soak) mails(t *testing.T, program string) {
	t.Helper()
	sample := func(domain string) load.Message { return load.Sample("user@"+domain, 2000) }
	of := func(m load.Message, judge func(load.Answer) error) load.Message {
		m.Judge = judge
		return m
	}
	field := func(m load.Message, name, value string) load.Message {
		m.Fields = append([]load.Field{{Name: name, Value: value}}, m.Fields...)
		return m
	}
	large := load.Sample("user@both.example", 1<<20)
	signatures := func(algorithms ...string) func(load.Answer) error { return wantFields("DKIM-Signature", algorithms...) }
	results := func(texts ...string) func(load.Answer) error { return wantFields("Authentication-Results", texts...) }
	signed := signedFor(t, program, sample("both.example"), "both.example", "rsa", d.path("rsa.private"))
	signed2 := signedFor(t, program, signed, "both.example", "ed25519", d.path("ed25519.private"))
	altered := signed2
	altered.Body = append([]byte("One more line.\r\n"), altered.Body...)
	oversize := sample("rsa.example")
	for range 300 {
		oversize = field(oversize, "X-Long", " "+strings.Repeat("x", 1000))
	}

	inside := []load.Message{
		of(sample("rsa.example"), signatures("a=rsa-sha256")),
		of(sample("ed25519.example"), signatures("a=ed25519-sha256")),
		of(sample("both.example"), signatures("a=rsa-sha256", "a=ed25519-sha256")),
		of(sample("ed25519.example"), signatures("a=ed25519-sha256")),
		of(sample("nobody.example"), signatures()),
		of(field(sample("rsa.example"), "From", " other@rsa.example"), signatures()),
		of(field(field(sample("ed25519.example"), "X-Fold", " a\r\n\tb"), "X-8bit", " \xff"), signatures("a=ed25519-sha256")),
	}
	strangers := []load.Message{
		of(signed, results("dkim=pass")),
		of(signed2, results("dkim=pass")),
		of(altered, results("dkim=fail")),
		of(sample("nobody.example"), results("dkim=none")),
		of(field(signed2, "Authentication-Results", " mx.soak.example; dkim=pass header.d=bank.example"), wantForgedGone),
		of(field(sample("rsa.example"), "DKIM-Signature", " v=1; a=rsa-sha256; d=rsa.example; s=rsa; h=from; bh=x; b=!"), results("dkim=")),
		of(load.Message{From: "x", Fields: []load.Field{{Name: "From", Value: " \"<@,;"}}, Body: []byte("x\r\n")}, results("dkim=permerror")),
	}
	// Every fiftieth is large or too large.
	for range 7 {
		d.outbound = append(d.outbound, inside...)
		d.inbound = append(d.inbound, strangers...)
	}
	d.outbound = append(d.outbound, of(large, signatures("a=rsa-sha256", "a=ed25519-sha256")))
	d.inbound = append(d.inbound, of(oversize, wantDeferred))
	for i := range d.inbound {
		d.inbound[i].Client = load.Client{Host: "mail.elsewhere.example", Addr: "192.0.2.1"}
	}
}

// signedFor signs a message with the program.
func signedFor(t *testing.T, program string, m load.Message, domain, selector, key string) load.Message {
	t.Helper()
	var text bytes.Buffer
	for _, f := range m.Fields {
		fmt.Fprintf(&text, "%s:%s\r\n", f.Name, f.Value)
	}
	text.WriteString("\r\n")
	text.Write(m.Body)
	cmd := exec.Command(program, "sign", "-d", domain, "-s", selector, "-k", key)
	cmd.Stdin = &text
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("postseal sign: %v", err)
	}
	signed, err := load.ReadMessage(out)
	if err != nil {
		t.Fatal(err)
	}
	return signed
}

// wantFields wants the message to pass with one inserted field of a name for each
// text, which is in it, and no other.
func wantFields(name string, texts ...string) func(load.Answer) error {
	return func(a load.Answer) error {
		var values []string
		for _, c := range a.Changes {
			if c.Code == 'i' && c.Name == name {
				values = append(values, c.Value)
			}
		}
		all := strings.Join(values, "\n")
		wrong := a.Code != 'a' && a.Code != 'c' || len(values) != len(texts)
		for _, text := range texts {
			wrong = wrong || !strings.Contains(all, text)
		}
		if wrong {
			return fmt.Errorf("%v, with %s %q; want %q", a, name, values, texts)
		}
		return nil
	}
}

// wantForgedGone wants the field in our name deleted and our own inserted.
func wantForgedGone(a load.Answer) error {
	for _, c := range a.Changes {
		if c.Code == 'm' && c.Index == 1 && c.Name == "Authentication-Results" && c.Value == "" {
			return wantFields("Authentication-Results", "dkim=pass")(a)
		}
	}
	return fmt.Errorf("%v, and forged results stay: %+v", a, a.Changes)
}

// wantDeferred wants the message deferred.
func wantDeferred(a load.Answer) error {
	if a.Code != 't' && (a.Code != 'y' || !strings.HasPrefix(a.Text, "4")) {
		return fmt.Errorf("%v, want a deferral", a)
	}
	return nil
}
