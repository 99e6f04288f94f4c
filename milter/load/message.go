package load

import (
	"bytes"
	"errors"
	"fmt"
	"strings"

	"github.com/postseal/postseal/milter/wire"
)

// Field is a header field. Value is everything after the colon: the leading
// blank is there, and folds are CRLF and a blank.
type Field struct{ Name, Value string }

// Client is the SMTP client that a message comes from.
type Client struct {
	// Host is its name, or "[ADDRESS]". Default localhost, or unknown where
	// there is an address.
	Host string
	// Addr is its IP address. Default 127.0.0.1.
	Addr string
	// Login is the name that it has logged in with; empty is none.
	Login string
}

// Message is a message with its envelope.
type Message struct {
	Client Client
	// From is the envelope sender; empty is the null sender.
	From string
	// QueueID is its queue id; empty: one made from its number.
	QueueID string
	// Rcpt are the envelope recipients. Default one of example.net.
	Rcpt   []string
	Fields []Field
	// Body has its lines ended by CRLF. It is not copied.
	Body []byte
	// Judge, if not nil, says in place of Options.Want whether the filter
	// answered as it should: its error counts as a failure. Several goroutines
	// may call it.
	Judge func(Answer) error
}

// ReadMessage reads an RFC 5322 message, whose lines end in CRLF or LF. The
// envelope sender is the first address-like text of From, and there is no
// client. The error is that a line of the header is no field.
func ReadMessage(raw []byte) (Message, error) {
	raw = bytes.ReplaceAll(bytes.ReplaceAll(raw, []byte("\r\n"), []byte("\n")), []byte("\n"), []byte("\r\n"))
	if rest, ok := bytes.CutPrefix(raw, []byte("From ")); ok { // an mbox's separator
		_, raw, _ = bytes.Cut(rest, []byte("\r\n"))
	}
	var m Message
	for n := 1; len(raw) > 0; n++ {
		line, rest, _ := bytes.Cut(raw, []byte("\r\n"))
		raw = rest
		if len(line) == 0 {
			break
		}
		if line[0] == ' ' || line[0] == '\t' {
			if len(m.Fields) == 0 {
				return Message{}, errors.New("the message begins with a blank: its first line is no header field")
			}
			m.Fields[len(m.Fields)-1].Value += "\r\n" + string(line)
			continue
		}
		name, value, ok := strings.Cut(string(line), ":")
		if !ok || name == "" {
			return Message{}, fmt.Errorf("line %d of the message, %.40q, is no header field; an empty line ends the header", n, line)
		}
		m.Fields = append(m.Fields, Field{strings.TrimRight(name, " \t"), value})
	}
	if len(m.Fields) == 0 {
		return Message{}, errors.New("the message has no header field")
	}
	m.Body = raw
	m.From = sender(m.Fields)
	return m, nil
}

// sender is the text around the last @ of the From field.
func sender(fields []Field) string {
	for _, f := range fields {
		if !strings.EqualFold(f.Name, "From") {
			continue
		}
		words := strings.FieldsFunc(f.Value, func(r rune) bool { return strings.ContainsRune(" \t\r\n<>,;()\"", r) })
		for i := len(words) - 1; i >= 0; i-- {
			if at := strings.LastIndexByte(words[i], '@'); at > 0 && at < len(words[i])-1 {
				return words[i]
			}
		}
	}
	return ""
}

// Sample makes a message of about size octets: the header of a plain mail, and
// lines of text. from is the sender in header and envelope.
func Sample(from string, size int) Message {
	const line = "The quick brown fox jumps over the lazy dog, and the dog does not mind it.\r\n"
	m := Message{From: from, Fields: []Field{
		{"Received", " from client.example (client.example [192.0.2.7])\r\n\tby mx.example.org (Postfix) with ESMTPSA id 4XQ1P72dKvz9rxN;\r\n\tMon,  2 Nov 2026 10:00:00 +0000 (UTC)"},
		{"Message-ID", " <20261102100000.4XQ1P72dKvz9rxN@client.example>"},
		{"Date", " Mon, 02 Nov 2026 10:00:00 +0000"},
		{"MIME-Version", " 1.0"},
		{"User-Agent", " Mozilla Thunderbird"},
		{"From", " A Sender <" + from + ">"},
		{"To", " A Recipient <recipient@example.net>"},
		{"Subject", " A message for the filter"},
		{"Content-Type", " text/plain; charset=UTF-8; format=flowed"},
		{"Content-Transfer-Encoding", " 7bit"},
	}}
	header := len("\r\n")
	for _, f := range m.Fields {
		header += len(f.Name) + len(":") + len(f.Value) + len("\r\n")
	}
	lines := max(1, (size-header)/len(line))
	m.Body = bytes.Repeat([]byte(line), lines)
	return m
}

// maxChunk is the size of the pieces that a body is sent in.
const maxChunk = 65535

// letter is a message laid out for the wire. Workers share it.
type letter struct {
	*Message
	client Client
	rcpt   []string
	fields [2][][]byte // HEADER frames without and with the leading space
	chunks [][]byte    // pieces of the body
}

func newLetter(m *Message) letter {
	l := letter{Message: m, client: m.Client, rcpt: m.Rcpt}
	switch {
	case l.client.Addr == "":
		l.client.Addr = "127.0.0.1"
		if l.client.Host == "" {
			l.client.Host = "localhost"
		}
	case l.client.Host == "":
		l.client.Host = "unknown"
	}
	if len(l.rcpt) == 0 {
		l.rcpt = []string{"recipient@example.net"}
	}
	for _, f := range m.Fields {
		value := strings.ReplaceAll(f.Value, "\r\n", "\n")
		l.fields[1] = append(l.fields[1], frame(wire.CmdHeader, f.Name+"\x00"+value+"\x00"))
		// As Sendmail, which eats one space after the colon, and no tab.
		l.fields[0] = append(l.fields[0], frame(wire.CmdHeader, f.Name+"\x00"+strings.TrimPrefix(value, " ")+"\x00"))
	}
	for body := m.Body; len(body) > 0; {
		n := min(maxChunk, len(body))
		l.chunks = append(l.chunks, body[:n])
		body = body[n:]
	}
	return l
}
