// Package logs tests what the README has people ask of the log: its own commands,
// run by a shell, on the log of a daemon that has had mail of every kind.
package logs

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	gomilter "github.com/emersion/go-milter"
	"github.com/miekg/dns"

	"github.com/postseal/postseal/keys"
	"github.com/postseal/postseal/milter/resolver"
	"github.com/postseal/postseal/testdata/program"
)

// patience is how long anything may take on a machine that is busy.
const patience = 2 * time.Minute

// slow is how long a name server thinks about the key of slow.example.
const slow = 1200 * time.Millisecond

// imitation is what a stranger would like a line of the log to say.
const imitation = ` msg=message conn=1 queue_id=FAKE decision=sign result=fail action=reject duration=9s from_domain=example.com signed=mail2026._domainkey.example.com `

// letter is a mail, and the questions whose answer has its line.
type letter struct {
	id                string
	client, addr      string
	login, from, rcpt string
	// signature is put on top: the DKIM-Signature field that another letter got.
	signature string
	// change is done to it: a text and what takes its place.
	change  [2]string
	fields  [][2]string
	body    string
	answers []string
}

// The questions of the README.
const (
	unsigned = "Why was mail of example.com not signed?"
	failed   = "Why did mail fail to verify?"
	signedBy = "Which key signed mail of example.com?"
	tookLong = "What took a second or more?"
	refused  = "Who was refused or deferred?"
)

const inside, outside = "127.0.0.1", "192.0.2.7"

// letters are mail of every kind, and that of strangers who know the README.
func letters() []letter {
	return []letter{
		{id: "SIGNED", addr: inside, from: "user@example.com", answers: []string{signedBy}},
		{id: "LOGIN", addr: outside, login: "user@example.com", from: "user@example.com", answers: []string{signedBy}},
		{id: "CAPITALS", addr: inside, from: "user@EXAMPLE.com", answers: []string{signedBy}},
		{id: "STRANGER", addr: outside, from: "user@example.com", answers: []string{unsigned}},
		{id: "LIST", addr: inside, from: "user@example.com", rcpt: "list@lists.example", answers: []string{unsigned}},
		{id: "SUBDOMAIN", addr: outside, from: "user@sub.example.com"},
		{id: "LONGER", addr: outside, from: "user@example.com.example.net"},
		{id: "BEFORE", addr: outside, from: "user@notexample.com"},
		{id: "ANYDOT", addr: outside, from: "user@examplexcom.test"},
		{id: "OTHERKEY", addr: inside, from: "user@slow.example"},
		{id: "BROKEN", addr: inside, from: "user@broken.example", answers: []string{refused}},

		{id: "PASS", addr: outside, from: "user@example.com", signature: "SIGNED", answers: []string{unsigned}},
		{id: "CHANGED", addr: outside, from: "user@example.com", signature: "SIGNED", body: "changed\r\n", answers: []string{unsigned, failed}},
		{id: "NOKEY", addr: outside, from: "user@example.com", signature: "SIGNED", change: [2]string{"s=second", "s=gone"}, answers: []string{unsigned, failed, refused}},
		{id: "SERVFAIL", addr: outside, from: "user@example.com", signature: "SIGNED", change: [2]string{"d=example.com", "d=servfail.example"}, answers: []string{unsigned, failed, refused}},
		{id: "MALFORMED", addr: outside, from: "user@example.net", fields: [][2]string{{"DKIM-Signature", " v=1; a=nonsense"}}, answers: []string{failed}},
		{id: "SLOW", addr: outside, from: "user@slow.example", signature: "OTHERKEY", answers: []string{tookLong}},
		{id: "TWOFROM", addr: outside, from: "user@example.net", fields: [][2]string{{"From", " <other@example.net>"}}, answers: []string{failed}},

		{id: "EVILSUBJECT", addr: outside, from: "a@evil.test", fields: [][2]string{{"Subject", imitation}, {"Subject", `"` + imitation}}},
		{id: "EVILPHRASE", addr: outside, from: `"` + imitation + `" <a@evil.test>`},
		{id: "EVILAUTHOR", addr: outside, from: `"x\"` + imitation + `"@evil.test`},
		{id: "EVILDOMAIN", addr: outside, from: `a@"` + imitation + `"`, answers: []string{failed}},
		{id: "EVILLITERAL", addr: outside, from: `a@[x` + imitation + `]`},
		{id: "EVILCLIENT", addr: outside, client: `"` + imitation + `\`, from: "a@evil.test"},
		{id: "EVILLINE", addr: outside, client: "x\ntime=2026-11-02T10:00:00.000Z level=INFO" + imitation, from: "a@evil.test"},
		{id: "EVILLOGIN", addr: outside, login: `x"` + imitation + `y\`, from: "a@evil.test"},
		{id: "EVILLOGIN2", addr: outside, login: "x" + imitation, from: "a@evil.test"},
		{id: "EVILSIGNATURE", addr: outside, from: "a@evil.test", fields: [][2]string{{"DKIM-Signature", ` v=1; a=rsa-sha256; d=x"` + imitation + `; s=y"; bh=eA==; b=eA==; h=from`}}, answers: []string{failed}},
	}
}

// build makes the program.
func build(t *testing.T) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "postseal")
	program.Build(t, path)
	return path
}

// daemon runs the program with that log_format, takes all letters through it,
// stops it, and returns the lines of its log.
func daemon(t *testing.T, path, format string) (log []string) {
	t.Helper()
	dir, err := os.MkdirTemp("", "ps-logs-") // a socket's path is short
	must(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	zone := configure(t, dir, format)
	nameserver, err := resolver.Serve("127.0.0.1:0", func(name string) resolver.Answer {
		switch {
		case strings.HasSuffix(name, ".servfail.example"):
			return resolver.Answer{Rcode: dns.RcodeServerFailure}
		case strings.HasPrefix(name, "gone"):
			return resolver.Answer{Rcode: dns.RcodeNameError}
		case strings.HasSuffix(name, ".slow.example"):
			return resolver.Answer{TXT: zone[name], Delay: slow}
		}
		return resolver.Answer{TXT: zone[name]}
	})
	must(t, err)
	t.Cleanup(func() { nameserver.Close() })

	cmd := exec.Command(path, "serve", "-c", dir+"/postseal.toml", "--nameserver", nameserver.Addr())
	var lines bytes.Buffer
	cmd.Stderr = &lines
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	must(t, cmd.Start())
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	socket := dir + "/socket"
	for end := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		conn, err := net.Dial("unix", socket)
		if err == nil {
			conn.Close()
			break
		}
		select {
		case err := <-ended:
			t.Fatalf("the daemon ended: %v\n%s", err, lines.String())
		default:
		}
		if time.Now().After(end) {
			t.Fatalf("no socket: %v", err)
		}
	}
	signatures := make(map[string]string)
	for _, l := range letters() {
		signatures[l.id] = l.deliver(t, socket, signatures[l.signature])
	}
	must(t, cmd.Process.Signal(syscall.SIGTERM))
	if err := <-ended; err != nil {
		t.Fatalf("the daemon ended with %v\n%s", err, lines.String())
	}
	return slices.Collect(strings.Lines(lines.String()))
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// configure writes the daemon's files and returns the records of its keys.
func configure(t *testing.T, dir, format string) (zone map[string][]string) {
	t.Helper()
	zone = make(map[string][]string)
	var table strings.Builder
	for _, name := range []string{"example.com:mail2026", "example.com:second", "slow.example:slow"} {
		domain, selector, _ := strings.Cut(name, ":")
		key, err := keys.Generate("ed25519", 0)
		must(t, err)
		path := filepath.Join(dir, selector+".private")
		must(t, keys.WritePrivate(path, key))
		fmt.Fprintf(&table, "%s %s:%s\n", selector, name, path)
		zone[selector+"._domainkey."+domain] = []string{keys.RecordText(key.Public())}
	}
	fmt.Fprintf(&table, "broken broken.example:s1:%s/broken.private\n", dir)
	for name, text := range map[string]string{
		"broken.private": "this is no key\n",
		"key.table":      table.String(),
		"signing.table":  "*@example.com mail2026\n*@example.com second\n*@slow.example slow\n*@broken.example broken\n",
		"postseal.toml": fmt.Sprintf(`socket = "local:%[1]s/socket"
runtime_directory = "%[1]s"
key_table = "file:key.table"
signing_table = "refile:signing.table"
multiple_signatures = true
require_safe_keys = false
internal_hosts = ["127.0.0.1"]
dont_sign_mail_to = ["list@lists.example"]
on_key_not_found = "reject"
authserv_id = "mx.example.com"
dns_timeout = 60
log_format = "%[2]s"
`, dir, format),
	} {
		must(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
	}
	return zone
}

// deliver takes a letter through the milter as Postfix does, and returns the
// topmost DKIM-Signature that it gets.
func (l letter) deliver(t *testing.T, socket, signature string) (top string) {
	t.Helper()
	client := gomilter.NewClientWithOptions("unix", socket, gomilter.ClientOptions{
		ActionMask:   gomilter.OptAddHeader | gomilter.OptChangeHeader | gomilter.OptQuarantine,
		ProtocolMask: gomilter.OptHeaderLeadingSpace, // the client takes a SKIP for an error
	})
	defer client.Close()
	s, err := client.Session()
	must(t, err)
	defer s.Close()
	macros := []string{"i", l.id}
	if l.login != "" {
		macros = append(macros, "{auth_type}", "PLAIN", "{auth_authen}", l.login)
	}
	or := func(text, otherwise string) string {
		if text == "" {
			return otherwise
		}
		return text
	}
	fields := append([][2]string{{"From", " " + l.from}, {"Date", " Mon, 02 Nov 2026 10:00:00 +0000"}, {"Message-ID", " <1@example.com>"}}, l.fields...)
	if signature != "" {
		changed := signature
		if l.change[0] != "" {
			if changed = strings.Replace(signature, l.change[0], l.change[1], 1); changed == signature {
				t.Fatalf("%s: %q is not in %q", l.id, l.change[0], signature)
			}
		}
		fields = append([][2]string{{"DKIM-Signature", changed}}, fields...)
	}
	steps := []func() (*gomilter.Action, error){
		func() (*gomilter.Action, error) {
			return s.Conn(or(l.client, "client.example.net"), gomilter.FamilyInet, 25, l.addr)
		},
		func() (*gomilter.Action, error) { return s.Helo("client.example.net") },
		func() (*gomilter.Action, error) {
			must(t, s.Macros(gomilter.CodeMail, macros...))
			return s.Mail("user@example.net", nil)
		},
		func() (*gomilter.Action, error) { return s.Rcpt(or(l.rcpt, "user@example.org"), nil) },
	}
	for _, f := range fields {
		steps = append(steps, func() (*gomilter.Action, error) { return s.HeaderField(f[0], strings.ReplaceAll(f[1], "\r\n", "\n")) })
	}
	steps = append(steps, s.HeaderEnd)
	for _, step := range steps {
		a, err := step()
		if err != nil {
			t.Fatalf("%s: %v", l.id, err)
		}
		if a.Code != gomilter.ActContinue {
			return ""
		}
	}
	changes, _, err := s.BodyReadFrom(strings.NewReader(or(l.body, "a body\r\n")))
	if err != nil {
		t.Fatalf("%s: %v", l.id, err)
	}
	for _, c := range changes {
		if c.Code == gomilter.ActInsertHeader && c.HeaderName == "DKIM-Signature" {
			top = c.HeaderValue
		}
	}
	return top
}

// idOf is the queue id of a line about a mail, in text or JSON.
var idOf = regexp.MustCompile(`^(?:[^"]* )?(?:msg=message conn=\d+ queue_id=|\{(?:"time":"[^"]*","level":"[^"]*",)?"msg":"message","conn":\d+,"queue_id":")([A-Z0-9]+)`)

// byID are the lines about mails by queue id; every letter has exactly one.
func byID(t *testing.T, log []string) map[string]string {
	t.Helper()
	lines := make(map[string]string)
	for _, line := range log {
		m := idOf.FindStringSubmatch(line)
		if m == nil {
			continue
		}
		if lines[m[1]] != "" {
			t.Errorf("two lines for %s:\n%s%s", m[1], lines[m[1]], line)
		}
		lines[m[1]] = line
	}
	for _, l := range letters() {
		if lines[l.id] == "" {
			t.Errorf("no line for %s", l.id)
		}
	}
	if t.Failed() || len(lines) != len(letters()) {
		t.Fatalf("the log:\n%s", strings.Join(log, ""))
	}
	return lines
}
