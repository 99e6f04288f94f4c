package main

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"time"

	"github.com/postseal/postseal/config"
	"github.com/postseal/postseal/keys"
	"github.com/postseal/postseal/keys/published"
	"github.com/postseal/postseal/milter"
	"github.com/postseal/postseal/milter/dkim"
	"github.com/postseal/postseal/milter/load"
)

// The messages of a ping. Their recipients and the stranger are nobody's
// (RFC 2606).
const (
	pingRecipient = "postseal-ping@example.net"
	pingAnother   = "postseal-ping@example.org"
	pingStranger  = "postseal-ping@postseal-ping.invalid"
	pingBody      = "postseal ping asks whether mail is signed. This message is delivered to nobody.\r\n"
)

// strangeAddress is that of a client which no list has to know (RFC 5737).
const strangeAddress = "192.0.2.1"

// letter is a message with the signatures that it should come back with.
type letter struct {
	load.Message
	// fields are what the signatures are made of: what replace_rules make of the
	// header.
	fields []dkim.Field
	want   []*askedKey
}

// askedKey is a key that letters ask for.
type askedKey struct {
	pingedKey
	name   string // of its DNS record
	record string // its public half; empty where the private key cannot be read here
	err    error  // why it cannot
	// answered counts sockets that brought its signature, failures tell of the others.
	answered int
	failures []missing
}

// missing is why a signature did not come back.
type missing struct {
	text string
	// by are the keys that may be the cause: those of the letter, where it was not let
	// through.
	by []*askedKey
}

// plan makes a letter for each of the first keys, and for those called as also
// says.
func (p *pinger) plan(most int, also map[string]bool) {
	unasked := 0
	for sample := range p.snapshot.Samples() {
		if len(p.asked) >= most {
			if len(also) == 0 {
				break
			}
			if !also[sample.KeyName] {
				continue
			}
		}
		delete(also, sample.KeyName)
		why := sample.Why
		if why == "" {
			why = p.ask(sample)
		}
		if why == "" {
			continue
		}
		if unasked++; unasked <= mostDisabled {
			p.note("key %q was not asked: %s", sample.KeyName, p.form.words(why))
		}
	}
	if unasked > mostDisabled {
		p.note("%d more keys were not asked for reasons like these", unasked-mostDisabled)
	}
	if all := p.snapshot.KeyCount(); len(p.asked) >= most && most < all {
		p.note("%d of %d keys were asked (--keys)", len(p.asked), all)
	}
}

// ask makes the letter for a sample, from the first of some clients whose mail is
// ours. It returns why none is.
func (p *pinger) ask(sample keys.Sample) (why string) {
	sender := sample.Sender.Local + "@" + sample.Sender.Domain
	header := pingHeader(sender)
	for _, client := range []load.Client{
		{Host: "localhost", Addr: "127.0.0.1"},
		{Host: "localhost", Addr: "127.0.0.1", Login: sender},
		{Host: "unknown", Addr: strangeAddress, Login: sender},
	} {
		for _, rcpt := range []string{pingRecipient, pingAnother} {
			d := p.decide(client, sender, rcpt, header)
			if d.Verdict == milter.Sign {
				p.add(client, sender, rcpt, header, d)
				return ""
			}
			why = fmt.Sprintf("mail of %s is not signed: %s", sender, milter.Words(d.Reasons))
		}
	}
	return why
}

// decide is the daemon's decision on a letter.
func (p *pinger) decide(client load.Client, sender, rcpt string, header []dkim.Field) milter.Decision {
	macros := map[string]string{}
	if client.Login != "" {
		macros["auth_type"], macros["auth_authen"] = "PLAIN", client.Login
	}
	f := milter.Facts{
		Host: client.Host, Addr: netip.MustParseAddr(client.Addr), MailFrom: sender, Recipients: []string{rcpt}, Fields: header,
		Macro: func(name string) (string, bool) { v, ok := macros[name]; return v, ok },
		Mode:  config.Mode{Sign: true, Verify: true},
	}
	if why, peer := p.snapshot.Peer(f); peer {
		return milter.Decision{Verdict: milter.Pass, Reasons: []milter.Reason{why}}
	}
	return p.snapshot.Decide(f)
}

// add keeps a letter, if it asks for a key that none before it does.
func (p *pinger) add(client load.Client, sender, rcpt string, header []dkim.Field, d milter.Decision) {
	l := letter{Message: pingMessage(client, sender, rcpt, header), fields: d.Fields}
	news := false
	requests := d.Requests
	if d.FirstOnly {
		requests = requests[:1] // the others sign where this one may not
	}
	for _, r := range requests {
		name, err := published.RecordName(r.Selector, r.Domain)
		if err != nil {
			continue // of a key that cannot sign
		}
		id := r.KeyName + " " + name
		if p.asked[id] == nil {
			news = true
			a := &askedKey{pingedKey: pingedKey{Name: r.KeyName, Domain: r.Domain, Selector: r.Selector, Sender: sender}, name: name}
			if key, err := r.Signer(); err != nil {
				a.err = err
			} else {
				a.record = keys.RecordText(key.Public())
			}
			p.asked[id] = a
			p.order = append(p.order, a)
		}
		l.want = append(l.want, p.asked[id])
	}
	if news {
		p.letters = append(p.letters, l)
	}
}

// isBad reports whether the key itself is at fault, and not who asks for it here.
func (a *askedKey) isBad() bool {
	return a.err != nil && !errors.Is(a.err, fs.ErrPermission) && !errors.As(a.err, new(*keys.UnsafeError))
}

// strange is a letter that has only to be answered.
func strange() letter {
	header := pingHeader(pingStranger)
	return letter{Message: pingMessage(load.Client{Host: "unknown", Addr: strangeAddress}, pingStranger, pingRecipient, header)}
}

func pingHeader(sender string) []dkim.Field {
	return []dkim.Field{
		{Name: "From", Value: " " + sender},
		{Name: "To", Value: " " + pingRecipient},
		{Name: "Subject", Value: " postseal ping"},
		{Name: "Date", Value: " " + time.Now().UTC().Format(time.RFC1123Z)},
		{Name: "Message-ID", Value: " <" + rand.Text() + "@postseal-ping.invalid>"},
	}
}

func pingMessage(client load.Client, sender, rcpt string, header []dkim.Field) load.Message {
	m := load.Message{Client: client, From: sender, Rcpt: []string{rcpt}, QueueID: "PING-" + rand.Text()[:10], Body: []byte(pingBody)}
	for _, f := range header {
		m.Fields = append(m.Fields, load.Field(f))
	}
	return m
}
