package main

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/postseal/postseal/config/postfix"
)

// throughPostfix does what asPostfix does with a real Postfix in between.
func (d *demonstration) throughPostfix(ctx context.Context) error {
	if err := postfix.Available(); err != nil {
		return err
	}
	const limit = time.Minute
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	const bob = "bob@inbox.example"
	milter := "inet:" + d.address
	d.say("3. A private Postfix whose smtpd_milters and non_smtpd_milters are %s", milter)
	p, err := postfix.Start(ctx, postfix.Options{
		Mailboxes: []string{bob},
		Main: map[string]string{
			"smtpd_milters": milter, "non_smtpd_milters": milter, "milter_default_action": "tempfail",
		},
	})
	if err != nil {
		return err
	}
	err = d.deliverThrice(ctx, p, bob)
	if e := p.Stop(); err == nil {
		err = e
	}
	return err
}

// deliverThrice sends a message from this machine, then what arrived as a
// stranger's, then a copy of that which was changed on the way.
func (d *demonstration) deliverThrice(ctx context.Context, p *postfix.Instance, rcpt string) error {
	var message strings.Builder
	for _, f := range demoFields {
		message.WriteString(f[0] + ":" + f[1] + "\r\n")
	}
	message.WriteString("\r\n" + demoBody)
	stranger := postfix.Client{Addr: "192.0.2.1", Name: "mail.example.net"}

	d.say("4. Alice sends a message from this machine; it arrives in the mailbox with")
	signed, field, err := d.deliver(ctx, p, postfix.Client{}, rcpt, []byte(message.String()), 1, "DKIM-Signature", "d="+demoDomain)
	if err != nil {
		return err
	}
	d.signed(field)
	d.say("5. The message arrives from a stranger's address, with")
	if _, field, err = d.deliver(ctx, p, stranger, rcpt, signed, 2, "Authentication-Results", "dkim=pass"); err != nil {
		return err
	}
	d.arrived("as signed", "dkim=pass", field)
	d.say("6. The same message, changed on the way: 100 euros have become 900")
	changed := bytes.Replace(signed, []byte("100 euros"), []byte("900 euros"), 1)
	if _, field, err = d.deliver(ctx, p, stranger, rcpt, changed, 3, "Authentication-Results", "dkim=fail"); err != nil {
		return err
	}
	d.arrived("changed", "dkim=fail", field)
	return nil
}

// deliver sends msg, waits for the n-th message of the mailbox, finds its field
// of that name and wants a text in it. It returns the message as it was
// delivered, with CRLF, without the fields that delivery puts on top, and the
// field.
func (d *demonstration) deliver(ctx context.Context, p *postfix.Instance, as postfix.Client, rcpt string, msg []byte,
	n int, name, want string) (message []byte, field string, err error) {
	if err := p.Deliver(as, "alice@"+demoDomain, []string{rcpt}, msg); err != nil {
		return nil, "", err
	}
	box, err := p.WaitMail(ctx, rcpt, n)
	if err != nil {
		return nil, "", err
	}
	got := string(box[n-1])
	field = fieldOf(got, name)
	if !strings.Contains(field, want) {
		return nil, "", fmt.Errorf("the message arrived without %s in %s:\n%s", want, name, got)
	}
	if i := strings.Index(got, "DKIM-Signature:"); i > 0 {
		got = got[i:]
	}
	return []byte(strings.ReplaceAll(got, "\n", "\r\n")), field, nil
}

// fieldOf is the first field called name in a message with LF line ends.
func fieldOf(message, name string) string {
	header, _, _ := strings.Cut(message, "\n\n")
	_, rest, ok := strings.Cut("\n"+header, "\n"+name+":")
	if !ok {
		return ""
	}
	var b strings.Builder
	b.WriteString(name + ":")
	for i, line := range strings.Split(rest, "\n") {
		if i > 0 && !strings.HasPrefix(line, " ") && !strings.HasPrefix(line, "\t") {
			break
		}
		b.WriteString(line + "\n")
	}
	return b.String()
}
