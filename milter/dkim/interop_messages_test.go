package dkim_test

import (
	"bytes"
	"fmt"
	"path"
	"strings"
)

// awkward is a message that signers and verifiers trip over.
type awkward struct {
	name string
	text string // lines end in CRLF
	// unable are the peers that go wrong here, both as signers and verifiers.
	unable []inability
}

// inability is a defect of a peer that shows in a message.
type inability struct {
	peer             string
	canonicalization string // those that show it; "*" stands for either half
	why              string
}

// unableTo says why peer cannot sign or judge m; empty if it can.
func (m awkward) unableTo(peer, canonicalization string) string {
	for _, u := range m.unable {
		if match, err := path.Match(u.canonicalization, canonicalization); u.peer == peer && match && err == nil {
			return u.why
		}
	}
	return ""
}

// What RFC 6376 §3.4.3 says of a body without a final CRLF, which SMTP cannot
// carry, is not what everybody does.
var (
	mailDKIMAddsNoCRLF  = inability{"Mail::DKIM", "*/simple", "adds no CRLF at the end of the body"}
	openDKIMAddsNoCRLF  = inability{"OpenDKIM", "*/relaxed", "neither signs nor judges a last line without CRLF"}
	openDKIMKeepsBlanks = inability{"OpenDKIM", "*/relaxed", "keeps blanks at the end of a last line without CRLF"}
	dkimpyKeepsBlanks   = inability{"dkimpy", "*/relaxed", "keeps blanks at the end of a last line without CRLF"}
	openDKIMDropsCR     = inability{"OpenDKIM", "*/relaxed", "takes a CR alone for the end of a line"}
	openDKIMTakesVTFF   = inability{"OpenDKIM", "relaxed/*", "takes VT and FF in a header for blanks"}
	openDKIMRefusesTab  = inability{"OpenDKIM", "*/*", "takes no field with a tab before its colon"}
	dkimpyRefusesBlank  = inability{"dkimpy", "*/*", "takes no field with a blank before its colon"}
)

const (
	from    = "From: Joe SixPack <joe@example.com>\r\n"
	to      = "To: Suzie Q <suzie@shopping.example.net>\r\n"
	subject = "Subject: Is dinner ready?\r\n"
	date    = "Date: Fri, 11 Jul 2003 21:00:37 -0700 (PDT)\r\n"
	headers = from + to + subject + date
	hello   = "Hi.\r\n\r\nWe lost the game. Are you hungry yet?\r\n\r\nJoe.\r\n"
	// The size of a body chunk in the milter protocol.
	chunk = 65535
)

func awkwardMessages() []awkward {
	return append(awkwardBodies(), awkwardHeaders()...)
}

func awkwardBodies() []awkward {
	list := []awkward{
		{name: "plain", text: headers + "\r\n" + hello},
		{name: "no body at all", text: headers + "\r\n"},
		{name: "body without final CRLF", text: headers + "\r\nHi.\r\nJoe", unable: []inability{mailDKIMAddsNoCRLF, openDKIMAddsNoCRLF}},
		{name: "body is one CRLF", text: headers + "\r\n\r\n"},
		{name: "body is only CRLFs", text: headers + "\r\n" + crlfs(7)},
		{name: "body is many CRLFs", text: headers + "\r\n" + crlfs(60000)},
		{name: "body is one letter", text: headers + "\r\nx", unable: []inability{mailDKIMAddsNoCRLF, openDKIMAddsNoCRLF}},
		{name: "body is one blank", text: headers + "\r\n ", unable: []inability{mailDKIMAddsNoCRLF, dkimpyKeepsBlanks}},
		{name: "body is blanks on lines", text: headers + "\r\n \r\n\t\r\n \t \r\n"},
		{name: "empty lines at the end", text: headers + "\r\n" + hello + crlfs(20)},
		{name: "empty lines at the beginning", text: headers + "\r\n" + crlfs(20) + hello},
		{name: "empty lines in the middle", text: headers + "\r\na" + crlfs(30) + "b\r\n"},
		{name: "blanks at the end of lines", text: headers + "\r\na \r\nb\t\r\nc \t \t\r\n"},
		{name: "lines of blanks at the end", text: headers + "\r\na\r\n \r\n\t\r\n\r\n  \r\n"},
		{name: "blanks at the end without CRLF", text: headers + "\r\na\r\nb \t ", unable: []inability{mailDKIMAddsNoCRLF, dkimpyKeepsBlanks, openDKIMKeepsBlanks}},
		{name: "blanks at the beginning of lines", text: headers + "\r\n a\r\n\tb\r\n   c\r\n"},
		{name: "tabs and blanks in lines", text: headers + "\r\na\tb\t\tc \td  e\r\n"},
		{name: "dots", text: headers + "\r\n.\r\n..\r\n.a\r\n"},
		{name: "From lines", text: headers + "\r\nFrom joe@example.com\r\n>From here\r\n"},
		{name: "header in the body", text: headers + "\r\n" + headers + "\r\nDKIM-Signature: v=1; a=x\r\n"},
		{name: "8-bit body", text: headers + "\r\n" + octets(0x80, 0xff) + "\r\n"},
		{name: "control characters in the body", text: headers + "\r\na\v\fb \x01\x7f \v \f\r\n"},
		{name: "blanks of Unicode in the body", text: headers + "\r\na\u00a0 \u2028\u0085 b\u3000\r\n\u00a0\r\n"},
		{name: "UTF-8 body", text: headers + "\r\nGrüße, 你好, \U0001f600\r\n"},
		{name: "multipart", text: headers + "MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=\"b 1\"\r\n\r\n" +
			"preamble\r\n--b 1\r\n\r\none\r\n--b 1\r\nContent-Type: text/html\r\n\r\n<p>two\r\n--b 1--\r\n"},
		{name: "long body line", text: headers + "\r\n" + strings.Repeat("long line ", 20000) + "\r\n"},
		{name: "long run of blanks", text: headers + "\r\na" + strings.Repeat(" \t", 1000) + "b\r\n"},
		{name: "CR alone in the body", text: headers + "\r\na\rb \r c\r\n", unable: []inability{openDKIMDropsCR}},
		{name: "10 MB", text: headers + "\r\n" + strings.Repeat("Ten megabytes of  quite ordinary text. \r\n", 10<<20/41)},
	}
	// The end of a chunk falls before, into and after what canonicalization
	// looks at.
	for _, tail := range []struct{ name, text string }{
		{"CRLF", "\r\n"}, {"blanks", " \t \r\nz\r\n"}, {"empty lines", crlfs(4)},
	} {
		for _, short := range []int{1, 2, 3} {
			list = append(list, awkward{
				name: fmt.Sprintf("%s %d before the end of a chunk", tail.name, short),
				text: headers + "\r\n" + strings.Repeat("x", chunk-short) + tail.text,
			})
		}
	}
	return list
}

func awkwardHeaders() []awkward {
	body := "\r\n" + hello
	return []awkward{
		{name: "From alone", text: from + body},
		{name: "folded with blanks", text: from + to + "Subject: one\r\n two\r\n   three\r\n" + date + body},
		{name: "folded with tabs", text: from + to + "Subject: one\r\n\ttwo\r\n \t three\r\n" + date + body},
		{name: "folded at once", text: from + to + "Subject:\r\n one\r\n" + date + body},
		{name: "blanks before folds", text: from + to + "Subject: one \r\n two\t\r\n\tthree \t\r\n" + date + body},
		{name: "fold that holds nothing", text: from + to + "Subject: one\r\n \r\n two\r\n" + date + body},
		{name: "folded a thousand times", text: from + to + "References:" + strings.Repeat("\r\n <a@example.com>", 1000) + "\r\n" + subject + body},
		{name: "From folded", text: "From: Joe\r\n SixPack\r\n\t<joe@example.com>\r\n" + to + subject + body},
		{name: "repeated fields", text: from + to + "Comments: one\r\n" + subject + "Comments: two\r\nKeywords: x\r\nComments: three\r\n" + body},
		{name: "repeated To and Cc", text: from + to + "To: b@example.net\r\nCc: c@example.net\r\nCC: d@example.net\r\n" + subject + body},
		{name: "Received fields", text: "Received: from a by b; " + date[6:] + "Received: from c\r\n\tby d (x)\r\n\tid 1; " + date[6:] + headers + body},
		{name: "empty Subject", text: from + to + "Subject:\r\n" + date + body},
		{name: "Subject of blanks", text: from + to + "Subject:  \t \r\n" + date + body},
		{name: "no blank after the colon", text: "From:joe@example.com\r\nTo:b@example.net\r\nSubject:x\r\n" + body},
		{name: "many blanks after the colon", text: from + "To: \t b@example.net\r\nSubject:      x\r\n" + body},
		{name: "tab after the colon", text: from + "To:\tb@example.net\r\nSubject:\tx\r\n" + body},
		{name: "blank before the colon", text: from + to + "Subject : x\r\n" + date + body, unable: []inability{dkimpyRefusesBlank}},
		{name: "tab before the colon", text: from + to + "Subject\t: x\r\n" + date + body, unable: []inability{dkimpyRefusesBlank, openDKIMRefusesTab}},
		{name: "letter case of names", text: "FROM: joe@example.com\r\ntO: b@example.net\r\nsUBJECT: x\r\ndate: " + date[6:] + body},
		{name: "blanks at the end of values", text: from + to + "Subject: x \t \r\nX-A: \r\n" + date + body},
		{name: "runs of blanks in values", text: from + to + "Subject: a  b \t c\t\td\r\n" + date + body},
		{name: "8-bit header", text: from + to + "Subject: " + octets(0xa1, 0xff) + "\r\n" + date + body},
		{name: "SMTPUTF8", text: "From: Jörg <jörg@bücher.example.com>\r\nTo: 收件人@例え.example.net\r\nSubject: Grüße\r\n" + date + body},
		{name: "encoded words", text: from + to + "Subject: =?utf-8?q?b=3D_=E2=82=AC;_bh=3D?=\r\n =?iso-8859-1?b?/w==?=\r\n" + date + body},
		{name: "control characters in the header", text: from + to + "Subject: a\vb\fc\x01\x7f\r\n" + date + body, unable: []inability{openDKIMTakesVTFF}},
		{name: "line of 998", text: from + to + "Subject: " + strings.Repeat("x", 998-9) + "\r\n" + date + body},
		{name: "line of 50,000", text: from + to + "Subject: " + strings.Repeat("long ", 10000) + "\r\n" + date + body},
		{name: "what looks like tags", text: from + to + "Subject: b=x; bh=y; h=from; ; =\r\nX-B: b=\r\nb: b=c\r\n" + date + body},
		{name: "quotes and comments in From", text: "From: \"Joe \\\"Six: Pack\\\"; x\" (a (b) c) <joe@example.com>\r\n" + to + subject + body},
		{name: "unusual field names", text: from + "X-!#$%&'*+^_`|~{}/: a\r\nX.Y: b\r\n1: c\r\n" + subject + body},
		{name: "long field name", text: from + "X-" + strings.Repeat("Long-", 40) + "Name: a\r\n" + subject + body},
		{name: "two hundred fields", text: from + manyFields(200) + subject + body},
		{name: "resent", text: "Resent-From: a@example.net\r\nResent-To: b@example.net\r\nResent-Date: " + date[6:] + headers + body},
		{name: "mailing list", text: headers + "List-Id: <l.example.net>\r\nList-Unsubscribe: <mailto:l@example.net>,\r\n <https://example.net/l>\r\n" +
			"List-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n" + body},
		{name: "Authentication-Results", text: "Authentication-Results: mx.example.net; dkim=pass header.d=example.com\r\n" + headers + body},
		{name: "no header but From and no body", text: from + "\r\n"},
	}
}

func crlfs(n int) string { return strings.Repeat("\r\n", n) }

// octets is every octet from first to last once.
func octets(first, last byte) string {
	var b bytes.Buffer
	for c := int(first); c <= int(last); c++ {
		b.WriteByte(byte(c))
	}
	return b.String()
}

func manyFields(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "X-Field-%d: value %d\r\n", i%50, i)
	}
	return b.String()
}
