package load

import (
	"cmp"
	"fmt"
	"net"
	"net/smtp"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/postseal/postseal/config/postfix"
	"github.com/postseal/postseal/milter/wire"
	"github.com/postseal/postseal/testdata/peers"
)

// everyReply are the steps that leave all answers out but the last.
const everyReply = wire.StepNRConnect | wire.StepNRHelo | wire.StepNRMail | wire.StepNRRcpt | wire.StepNRData |
	wire.StepNRHeader | wire.StepNREOH | wire.StepNRBody

// A filter cannot tell this driver from a Postfix of the machine: the same
// frames with the same macros in the same order, whatever it negotiates.
func TestAsPostfix(t *testing.T) {
	t.Parallel()
	peers.Require(t, postfix.Available())
	p, err := postfix.Start(t.Context(), postfix.Options{Hostname: hostname})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Stop(); err != nil {
			t.Error(err)
		}
	})
	client := Client{Host: "mail.elsewhere.example", Addr: "192.0.2.1"}
	m := Message{
		Client: client, From: "user@example.com", Rcpt: []string{"user@inbox.example", "other@inbox.example"},
		Fields: []Field{
			{"From", " user@example.com"}, {"Subject", "no blank"}, {"X-Tab", "\ttab"}, {"X-Two", "  blanks"},
			{"X-Fold", " a\r\n\tb\r\n c"}, {"Date", " Mon, 02 Nov 2026 10:00:00 +0000"}, {"Message-Id", " <1@example.com>"},
		},
		Body: []byte(strings.Repeat(strings.Repeat("0123456789", 7)+"\r\n", 2000)),
	}
	short := m
	short.Body = []byte("short\r\n")
	tests := []struct {
		name    string
		filter  *filter
		version int
	}{
		{name: "an answer to everything"},
		{name: "no answers", filter: &filter{steps: everyReply}},
		{name: "leading spaces", filter: &filter{steps: wire.StepHeaderLeadSpace | wire.StepNRHeader}},
		{name: "no commands", filter: &filter{steps: stepsOfOld | wire.StepNoData}},
		{name: "no header", filter: &filter{steps: wire.StepNoHeader}},
		{name: "no end of header", filter: &filter{steps: wire.StepNoEOH}},
		{name: "no body", filter: &filter{steps: wire.StepNoBody | wire.StepNoHelo}},
		{name: "macros", filter: &filter{actions: wire.ActSetSymList, symbols: symbol(atConnect, "j {client_addr} {nosuch}") +
			symbol(atHelo, "v {client_name}") + symbol(atMail, "i v {mail_addr}") + symbol(atRcpt, "{client_ptr}, {client_resolve} i") +
			symbol(atData, "i j {client_connections} {daemon_name}") + symbol(atEOM, "i _") + symbol(atEOH, "i {client_port} j")}},
		{name: "no macros at the end", filter: &filter{actions: wire.ActSetSymList, symbols: symbol(atEOM, "") + symbol(atEOH, "")}},
		{name: "skip", filter: &filter{steps: wire.StepSkip, answers: map[wire.Command][]string{wire.CmdBody: {"s"}}}},
		{name: "accept a sender", filter: &filter{answers: map[wire.Command][]string{wire.CmdMail: {"a"}}}},
		{name: "accept at the end of the header", filter: &filter{answers: map[wire.Command][]string{wire.CmdEOH: {"a"}}}},
		{name: "progress", filter: &filter{answers: map[wire.Command][]string{wire.CmdEOM: {"p", "p", "c"}}}},
		{name: "version 2", version: 2},
		{name: "version 3", version: 3},
		{name: "version 4", version: 4},
	}
	configured := 0 // version of Postfix, which takes a while to change
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := tt.filter
			if f == nil {
				f = new(filter)
			}
			path := filepath.Join(p.SocketDir(), "filter")
			if err := os.RemoveAll(path); err != nil {
				t.Fatal(err)
			}
			l, err := net.Listen("unix", path)
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			if err := os.Chmod(path, 0o666); err != nil {
				t.Fatal(err)
			}
			f.serve(l)
			version := cmp.Or(tt.version, 6)
			if version != configured {
				configured = version
				if err := p.Reconfigure(t.Context(), map[string]string{"milter_protocol": fmt.Sprint(version), "smtpd_milters": "unix:" + path}); err != nil {
					t.Fatal(err)
				}
			}
			send(t, p, m, short)
			want := normalised(f.transcript(t))

			o := Options{Socket: "unix:" + path, Version: version, PerConnection: 2, Messages: 2, Message: []Message{m, short}}
			r, err := Run(t.Context(), o)
			if err != nil || r.Failed != 0 || r.Messages != 2 || r.Connections != 1 {
				t.Errorf("got %+v, %v", r, err)
			}
			if got := normalised(f.transcript(t)); got != want {
				t.Errorf("the filter sees of us:\n%s\nof Postfix:\n%s", got, want)
			}
		})
	}
}

// send has a client deliver messages to Postfix in one SMTP session.
func send(t *testing.T, p *postfix.Instance, messages ...Message) {
	t.Helper()
	c := messages[0].Client
	d, err := p.Dial(postfix.Client{Addr: c.Addr, Name: c.Host})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	if err := d.Hello(helo); err != nil {
		t.Fatal(err)
	}
	for _, m := range messages {
		// Not d.Mail, which adds parameters.
		commands := []string{"MAIL FROM:<" + m.From + ">"}
		for _, rcpt := range m.Rcpt {
			commands = append(commands, "RCPT TO:<"+rcpt+">")
		}
		for _, line := range commands {
			if err := command(d, line); err != nil {
				t.Fatalf("%s: %v", line, err)
			}
		}
		w, err := d.Data()
		if err != nil {
			t.Fatal(err)
		}
		text := ""
		for _, f := range m.Fields {
			text += f.Name + ":" + f.Value + "\r\n"
		}
		if _, err := w.Write([]byte(text + "\r\n" + string(m.Body))); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if err := d.Quit(); err != nil {
		t.Fatal(err)
	}
}

func command(d *smtp.Client, line string) error {
	id, err := d.Text.Cmd("%s", line)
	if err != nil {
		return err
	}
	d.Text.StartResponse(id)
	defer d.Text.EndResponse(id)
	_, _, err = d.Text.ReadResponse(250)
	return err
}

var varying = []struct {
	pattern *regexp.Regexp
	with    string
}{
	{regexp.MustCompile(`([BDELNRT]|\\x00)i\\x00[0-9A-F]{8,14}\\x00`), `${1}i\x00ID\x00`},
	{regexp.MustCompile(`(_mailer\})\\x00\w+`), `$1\x00MAILER`},
	{regexp.MustCompile(`(client_port\})\\x00\d+`), `$1\x00PORT`},
	{regexp.MustCompile(`("C [^"]*\\x00)4.*(192\.0\.2\.1)`), `${1}4PORT$2`},
}

// normalised takes out what varies: queue ids, ports, transports.
func normalised(transcript string) string {
	for _, v := range varying {
		transcript = v.pattern.ReplaceAllString(transcript, v.with)
	}
	return transcript
}
