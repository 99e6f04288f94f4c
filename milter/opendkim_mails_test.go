package milter

import (
	"strings"

	"github.com/postseal/postseal/testdata/peers"
)

// mailOf is a mail of u@example.com from this machine.
func mailOf(name string) mail {
	return mail{name, peers.Mail{
		Host: "localhost", Addr: "127.0.0.1", From: "env@example.com", To: []string{"to@example.net"},
		Fields: []string{"From: u@example.com", "Subject: x"},
	}}
}

// mailsOf makes a mail of each name, as change says.
func mailsOf(names []string, change func(name string, m *mail)) []mail {
	mails := make([]mail, len(names))
	for i, name := range names {
		mails[i] = mailOf(name)
		change(name, &mails[i])
	}
	return mails
}

// from names mails by the value of From.
func from(values ...string) []mail {
	return mailsOf(values, func(value string, m *mail) { m.Fields[0] = "From: " + value })
}

// withHeaders names mails by their fields, with "|" between them.
func withHeaders(headers ...string) []mail {
	return mailsOf(headers, func(h string, m *mail) { m.Fields = strings.Split(h, "|") })
}

// fromClients names mails by "HOST ADDRESS [MACRO=VALUE]…"; the address "-" is none.
func fromClients(clients ...string) []mail {
	return mailsOf(clients, func(c string, m *mail) {
		words := strings.Fields(c)
		m.Host, m.Addr, m.Macros = words[0], strings.Trim(words[1], "-"), map[string]string{"{unrelated}": "x"}
		for _, macro := range words[2:] {
			name, value, _ := strings.Cut(macro, "=")
			m.Macros["{"+name+"}"] = value
		}
	})
}

// to names mails by their recipients.
func to(lists ...string) []mail {
	return mailsOf(lists, func(l string, m *mail) { m.To = strings.Fields(l) })
}

// senders are the addresses that each kind of table is asked for.
var senders = from("u@example.com", "U@Example.COM", "v@example.com", "u@sub.example.com", "v@sub.example.com", "u@a.b.example.com",
	"u@example.org", "v@example.org", "u@elsewhere.test", "v@elsewhere.test", "u@com", "u@notexample.com")

var froms = from(
	"<u@example.com>", "U Ser <u@example.com>", `"Ser, U" <u@example.com>`, "u@example.com (U Ser)", "(a) u (b) @ (c) example.com (d)",
	`"john doe"@example.com`, `"a@b.test" <u@example.com>`, "=?utf-8?q?J=C3=BCrgen?= <u@example.com>", "J\xc3\xbcrgen <u@example.com>",
	"friends: u@example.com, v@example.org;", "u@example.com, v@example.org", "v@example.org, u@example.com", "u@example.com, root",
	"u@example.com, <root>", "root, u@example.com", "root", "Undisclosed", "", "<>", "undisclosed-recipients:;",
	"Doe, John <u@example.com>", "<@a.test,@b.test:u@example.com>", "<@a.test:u@example.com>", "Long\n Name\n <u@example.com>", "u@example.com.", "u@[192.0.2.1]",
	"u@example.com <v@example.org>", "u@example.com u@example.org", "<u@example.com", "u@example.com>", "<<u@example.com>>",
	`"unclosed <u@example.com>`, "u@", "@example.com", "u@@example.com", "u@example.com@example.org", "u.@example.com", ".u@example.com", "u..v@example.com",
	"u@example..com", "u@ example.com", "u@example.com;", "u@example.com,", ",u@example.com", "; u@example.com", "u+tag@example.com", "u%x@example.com",
	"mailto:u@example.com", "<mailto:u@example.com>", "U Ser <u@example.com> (x) <v@example.org>", "u@example.com (unclosed", "u\\@x@example.com",
)

var headers = withHeaders(
	"From: u@example.com", "FROM: u@example.com", "from:u@example.com", "From : u@example.com", "Subject: no author", "From: u@example.com|From: v@example.org",
	"From: u@example.com|From: u@example.com", "From: u@elsewhere.test|Sender: u@example.com", "From: u@example.com|Sender: u@elsewhere.test",
	"From: u@example.com|Resent-From: v@example.org", "Resent-From: v@example.org|Sender: u@example.com|From: u@elsewhere.test",
	"Sender: u@example.com", "Sender: |From: u@example.com", "Sender: root|From: u@example.com", "Sender: u@example.com|Sender: v@example.org|From: u@elsewhere.test",
	"List-Post: <mailto:list@example.org>|From: u@example.com", "List-Post: NO|From: u@example.com", "List-Post: <https://x.test/>|From: u@example.com",
	"From:", "Reply-To: u@example.com|From: u@elsewhere.test", "From: u@example.com|DKIM-Signature: v=1; rubbish",
)

var clients = fromClients(
	"localhost 127.0.0.1", "unknown 127.0.0.1", "localhost ::1", "localhost -", "localhost ::ffff:127.0.0.1", "out.test 192.0.2.1", "out.test 192.0.2.7",
	"out.test 192.0.2.200", "pc.corp.test 203.0.113.1", "PC.Corp.TEST 203.0.113.1", "bad.corp.test 203.0.113.1", "corp.test 203.0.113.1", "host.test 203.0.113.1",
	"a.host.test 203.0.113.1", "unknown 203.0.113.1", "out.test 198.51.100.9", "out.test 198.51.100.8", "out.test 2001:db8::1", "out.test 2001:db8:1::5", "out.test 2001:db8:1::6",
	"out.test fe80::1", "out.test ::ffff:192.0.2.1", "[203.0.113.1] 203.0.113.1", "[192.0.2.1] 192.0.2.1",
	"out.test 203.0.113.1 auth_type=PLAIN", "out.test 203.0.113.1 auth_type=", "out.test 203.0.113.1 auth_authen=u", "out.test 203.0.113.1 daemon_name=ORIGINATING",
	"out.test 203.0.113.1 daemon_name=originating", "out.test 203.0.113.1 daemon_name=smtps", "out.test 203.0.113.1 daemon_name=", "out.test 203.0.113.1 daemon_name=ORIGINATING verify=NO",
	"out.test 203.0.113.1 daemon_name=x verify=OK", "out.test 203.0.113.1 verify=OK", "localhost 127.0.0.1 daemon_name=x verify=NO", "out.test 203.0.113.1 auth_type=PLAIN daemon_name=x",
)
