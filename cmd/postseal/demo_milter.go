package main

import (
	"errors"
	"fmt"
	"strings"

	gomilter "github.com/emersion/go-milter"
)

// demoFields and demoBody are the message of the demonstration.
var demoFields = [][2]string{
	{"From", " Alice <alice@" + demoDomain + ">"},
	{"To", " Bob <bob@example.net>"},
	{"Subject", " A message to be sealed"},
	{"Date", " Mon, 02 Nov 2026 10:00:00 +0000"},
	{"Message-ID", " <1@" + demoDomain + ">"},
}

const demoBody = "Hello Bob,\r\n\r\nthe contract says 100 euros.\r\n\r\nAlice\r\n"

// asPostfix plays Postfix with go-milter's client: once for mail that leaves,
// twice for mail that arrives.
func (d *demonstration) asPostfix() error {
	d.say("3. Alice sends a message; Postfix, on this machine, asks the milter on %s", d.address)
	signed, err := d.hand("localhost", "127.0.0.1", demoFields, demoBody)
	if err != nil {
		return err
	}
	if len(signed) == 0 || signed[0][0] != "DKIM-Signature" {
		return errors.New("the daemon did not sign the message")
	}
	d.signed(signed[0][0] + ":" + signed[0][1])
	message := append(signed, demoFields...)

	d.say("4. The message arrives elsewhere, from a stranger's address")
	if err := d.arrive("as signed", message, demoBody, "dkim=pass"); err != nil {
		return err
	}
	d.say("5. The same message, changed on the way: 100 euros have become 900")
	return d.arrive("changed", message, strings.Replace(demoBody, "100", "900", 1), "dkim=fail")
}

// arrive hands a message to the daemon as a stranger and wants a result.
func (d *demonstration) arrive(which string, fields [][2]string, body, want string) error {
	added, err := d.hand("mail.example.net", "192.0.2.1", fields, body)
	if err != nil {
		return err
	}
	if len(added) == 0 || added[0][0] != "Authentication-Results" || !strings.Contains(added[0][1], want) {
		return fmt.Errorf("the daemon did not report %s: %q", want, added)
	}
	d.arrived(which, want, added[0][0]+":"+added[0][1])
	return nil
}

// hand takes a message through the milter as an SMTP client's and returns the
// fields that the milter inserts, the topmost first.
func (d *demonstration) hand(host, addr string, fields [][2]string, body string) ([][2]string, error) {
	// The client takes a SKIP for an error: it is not offered.
	client := gomilter.NewClientWithOptions("tcp", d.address, gomilter.ClientOptions{
		ActionMask:   gomilter.OptAddHeader | gomilter.OptChangeHeader | gomilter.OptQuarantine,
		ProtocolMask: gomilter.OptHeaderLeadingSpace,
	})
	defer client.Close()
	s, err := client.Session()
	if err != nil {
		return nil, err
	}
	defer s.Close()
	d.queued++
	steps := []func() (*gomilter.Action, error){
		func() (*gomilter.Action, error) { return s.Conn(host, gomilter.FamilyInet, 25, addr) },
		func() (*gomilter.Action, error) { return s.Helo(host) },
		func() (*gomilter.Action, error) {
			if err := s.Macros(gomilter.CodeMail, "i", fmt.Sprintf("DEMO%d", d.queued)); err != nil {
				return nil, err
			}
			return s.Mail("alice@"+demoDomain, nil)
		},
		func() (*gomilter.Action, error) { return s.Rcpt("bob@example.net", nil) },
	}
	for _, f := range fields {
		steps = append(steps, func() (*gomilter.Action, error) {
			return s.HeaderField(f[0], strings.ReplaceAll(f[1], "\r\n", "\n"))
		})
	}
	steps = append(steps, s.HeaderEnd)
	for _, step := range steps {
		a, err := step()
		if err != nil {
			return nil, err
		}
		if a.Code != gomilter.ActContinue {
			return nil, fmt.Errorf("the daemon answered %q before the end of the message", a.Code)
		}
	}
	changes, a, err := s.BodyReadFrom(strings.NewReader(body))
	if err != nil {
		return nil, err
	}
	if a.Code != gomilter.ActAccept && a.Code != gomilter.ActContinue {
		return nil, fmt.Errorf("the daemon answered %q", a.Code)
	}
	var inserted [][2]string
	for _, c := range changes {
		if c.Code == gomilter.ActInsertHeader {
			inserted = append([][2]string{{c.HeaderName, c.HeaderValue}}, inserted...)
		}
	}
	return inserted, nil
}
