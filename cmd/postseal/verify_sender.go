package main

import (
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"github.com/postseal/postseal/milter/dkim"
	"github.com/postseal/postseal/milter/mailbox"
	"github.com/postseal/postseal/milter/spf"
	"github.com/spf13/cobra"
)

// senderFlags say who delivered the message, which SPF judges. The message itself is
// not asked: a stranger can write what it says, above the Received fields of our hosts
// alone.
type senderFlags struct {
	client, helo, mailFrom string
	received               int
}

func (f *senderFlags) add(cmd *cobra.Command) {
	fl := cmd.Flags()
	fl.StringVar(&f.client, "client", "", "the `address` of the host that delivered the message, for SPF")
	fl.StringVar(&f.helo, "helo", "", "the `name` that it gave of itself (HELO, EHLO)")
	fl.StringVar(&f.mailFrom, "mail-from", "", "the envelope sender's `address`; \"\" for a bounce")
	fl.IntVar(&f.received, "received", 0, "take them from the `N`th Received field from the top, which is yours, and from Return-Path")
}

// query is what SPF is to be asked; ok is false where nobody says who delivered the
// message.
func (f *senderFlags) query(cmd *cobra.Command, fields []dkim.Field) (q spf.Query, ok bool, err error) {
	given := cmd.Flags().Changed
	q = spf.Query{HELO: f.helo, MailFrom: strings.Trim(f.mailFrom, "<>")}
	switch {
	case given("received") && f.received < 1:
		return q, false, usage(cmd, "--received %d is no place; 1 is the topmost Received field", f.received)
	case given("received"):
		if err := f.fromTrace(given, &q, fields); err != nil {
			return q, false, exitError{exitNoInput, fmt.Errorf("--received %d: %w; give --client, --helo and --mail-from", f.received, err)}
		}
	case !given("client") && (given("helo") || given("mail-from")):
		return q, false, usage(cmd, "SPF judges a host: give its address with --client, too")
	case !given("client"):
		return q, false, nil
	}
	if given("client") {
		addr, err := netip.ParseAddr(f.client)
		if err != nil {
			return q, false, usage(cmd, "--client %q is no address of a host; give one such as 192.0.2.7 or 2001:db8::7", f.client)
		}
		q.Client = addr.Unmap()
	}
	if q.MailFrom == "" && q.HELO == "" {
		return q, false, usage(cmd, "SPF needs a sender, too: --mail-from user@example.com, or for a bounce --helo mail.example.com")
	}
	if q.MailFrom != "" {
		if _, err := mailbox.Parse(q.MailFrom); err != nil {
			return q, false, usage(cmd, "the envelope sender %q is no address: %w", q.MailFrom, err)
		}
	}
	return q, true, nil
}

// fromTrace reads what no flag says from the trace fields of the message
// (RFC 5321 §4.4).
func (f *senderFlags) fromTrace(given func(string) bool, q *spf.Query, fields []dkim.Field) error {
	n, returnPath := 0, ""
	for _, field := range fields {
		switch {
		case field.Is("Return-Path") && returnPath == "":
			returnPath = strings.TrimSpace(field.Value)
		case field.Is("Received"):
			if n++; n != f.received {
				continue
			}
			client, helo, err := readReceived(field.Value)
			if err != nil {
				return err
			}
			q.Client = client
			if !given("helo") {
				q.HELO = helo
			}
		}
	}
	if n < f.received {
		return fmt.Errorf("the message has %d Received fields", n)
	}
	if !given("mail-from") {
		if !strings.HasPrefix(returnPath, "<") || !strings.HasSuffix(returnPath, ">") {
			return errors.New("there is no Return-Path field with the envelope sender")
		}
		q.MailFrom = returnPath[1 : len(returnPath)-1]
	}
	return nil
}

// maxReceived bounds the Received field that is read, in octets.
const maxReceived = 4 << 10

// readReceived reads the client's address and HELO name from a Received field as
// Postfix, Sendmail, Exim and others write it: "from HELO (NAME [ADDRESS])", or
// "from NAME ([ADDRESS] helo=HELO)", on a line of its own as a rule. HELO is the client's
// own word, in which it may have put an address between brackets and all else that such
// a line has, too: what is not certain is an error.
func readReceived(value string) (client netip.Addr, helo string, err error) {
	value = strings.TrimLeft(value[:min(len(value), maxReceived)], " \t")
	value, _, _ = strings.Cut(value, "\r\n")
	words := strings.Fields(value)
	if len(words) < 2 || !strings.EqualFold(words[0], "from") {
		return client, "", errors.New("the field does not say from where")
	}
	helo = words[1]
	var addresses []string
	for _, word := range words[2:] {
		if name, ok := strings.CutPrefix(strings.Trim(word, "()"), "helo="); ok {
			helo = cmp.Or(name, helo)
			continue
		}
		addresses = append(addresses, bracketed(word)...)
	}
	if len(addresses) == 0 {
		addresses = bracketed(words[1])
	}
	if len(addresses) != 1 {
		return client, "", fmt.Errorf("the field has %d addresses between brackets on its first line, and one is wanted", len(addresses))
	}
	text := addresses[0]
	if len(text) > 5 && strings.EqualFold(text[:5], "IPv6:") {
		text = text[5:]
	}
	if client, err = netip.ParseAddr(text); err != nil {
		return client, "", fmt.Errorf("the client's address %q cannot be read", text)
	}
	return client.Unmap(), helo, nil
}

// bracketed are the texts between brackets in a word.
func bracketed(word string) (list []string) {
	for {
		_, rest, open := strings.Cut(word, "[")
		text, after, closed := strings.Cut(rest, "]")
		if !open || !closed {
			return list
		}
		list, word = append(list, text), after
	}
}
