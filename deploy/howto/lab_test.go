//go:build deploy

// Package howto follows the how-to articles for Postfix and DKIM on a machine of
// its own, with postseal's one command in place of their many.
package howto

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/postseal/postseal/testdata/machine"
	"github.com/postseal/postseal/testdata/nameserver"
	"github.com/postseal/postseal/testdata/program"
)

const (
	domain = "example.com"
	// address is the machine's own, which the world knows; nameAddress is that of the
	// domain's name server.
	address     = "192.0.2.1"
	nameAddress = "192.0.2.53"
)

// zones are what DNS has before anybody sets up anything.
var zones = []nameserver.Zone{
	{Name: domain, Signed: true, Records: "@ MX 10 mail\nmail A " + address},
	{Name: "example.net", Records: "spf TXT \"v=spf1 -all\""},
	{Name: "2.0.192.in-addr.arpa", Records: "1 PTR mail.example.com."},
}

// lab is a machine with Debian's Postfix as its installation makes it, chrooted
// smtpd and all, a user alice, the name server of the domain, and a resolver that
// validates. postseal is one binary in it.
type lab struct {
	*machine.Machine
	t *testing.T
	// good are the records of the set-up that is right.
	good []recordAnswer
}

func start(t *testing.T) *lab {
	m := &lab{Machine: machine.Start(t), t: t}
	m.Shell("ip address add " + address + "/32 dev lo && ip address add " + nameAddress + "/32 dev lo")
	binary := filepath.Join(t.TempDir(), "postseal")
	program.Build(t, binary)
	m.Install(binary, "/usr/local/bin/postseal", 0o755)
	m.Shell("useradd --create-home alice && rm -rf /var/mail/* && hostname mail.example.com")
	m.names()
	m.Postfix()
	m.Shell("postconf -e 'myhostname = mail.example.com' && postfix reload")
	m.settled()
	return m
}

// names starts the name server and the resolver.
func (m *lab) names() {
	m.t.Helper()
	for name, text := range nameserver.Files("/srv/names", nameAddress, 53, zones...) {
		m.Write("/srv/names/"+name, text, 0o644)
	}
	m.service("names", "/usr/sbin/named -g -n 1 -c /srv/names/named.conf")
	var anchors []string
	m.Await("the zone's key", func() bool {
		out, err := m.Try("dig +noall +answer @" + nameAddress + " DNSKEY " + domain)
		anchors = nil
		for line := range strings.Lines(out) {
			if strings.Contains(line, "DNSKEY") && !strings.HasPrefix(line, ";") {
				anchors = append(anchors, strings.Join(strings.Fields(line), " "))
			}
		}
		return err == nil && len(anchors) > 0
	})
	m.Write("/srv/resolver/unbound.conf", nameserver.ResolverConfig("/srv/resolver", "127.0.0.1", 53, nameAddress+"@53", anchors, zones...), 0o644)
	m.service("resolver", "/usr/sbin/unbound -d -p -c /srv/resolver/unbound.conf")
	m.Write("/etc/resolv.conf", "nameserver 127.0.0.1\n", 0o644)
	m.serves()
}

// serves waits until the resolver answers, and validates.
func (m *lab) serves() {
	m.t.Helper()
	m.Await("the resolver", func() bool {
		out, _ := m.Try("dig SOA " + domain)
		return strings.Contains(out, "flags: qr rd ra ad;")
	})
}

func (m *lab) service(name, command string) {
	m.t.Helper()
	m.Write("/etc/systemd/system/"+name+".service", "[Service]\nExecStart="+command+"\n", 0o644)
	m.Shell("systemctl daemon-reload && systemctl restart " + name)
}

// settled waits until Postfix serves under the configuration that it has now: after
// a reload, an idle smtpd may answer one more client in the old way.
func (m *lab) settled() {
	m.t.Helper()
	m.Shell("pkill -x smtpd || true")
	m.AwaitPostfix()
}

// update changes the zones, with lines of nsupdate(1).
func (m *lab) update(lines ...string) {
	m.t.Helper()
	m.Write("/srv/update", "server "+nameAddress+"\n"+strings.Join(lines, "\n")+"\nsend\n", 0o644)
	m.Shell("nsupdate -k /srv/names/tsig.key /srv/update")
}

// records are the TXT records at a name, each in one piece.
func (m *lab) records(name string) (list []string) {
	m.t.Helper()
	for line := range strings.Lines(m.Shell("dig +short TXT " + name)) {
		line = strings.TrimSpace(line)
		list = append(list, strings.Trim(strings.ReplaceAll(line, `" "`, ""), `"`))
	}
	return list
}

// message is one of bob's.
const message = `From: Bob <bob@example.com>
To: alice@mail.example.com
Subject: hello
Date: Mon, 02 Nov 2026 10:00:00 +0000
Message-ID: <1@example.com>

Hello.
`

// send sends bob's message to alice from this machine, and returns it as it
// arrived.
func (m *lab) send() []byte {
	m.t.Helper()
	m.Write("/root/message", message, 0o644)
	m.Shell("swaks --server 127.0.0.1 --helo mail.example.com --from bob@example.com --to alice@mail.example.com --data @/root/message --suppress-data")
	var data []byte
	m.Await("the mail", func() bool {
		data, _ = os.ReadFile(m.Path("/var/mail/alice"))
		return bytes.HasSuffix(data, []byte("\n\n"))
	})
	m.Shell("rm /var/mail/alice")
	_, mail, _ := bytes.Cut(data, []byte("\n")) // the line "From "
	return bytes.ReplaceAll(bytes.TrimSuffix(mail, []byte("\n")), []byte("\n"), []byte("\r\n"))
}

// tree is what there is below folders: for each path its mode, its owner and, of a
// file, its bytes.
func (m *lab) tree(folders ...string) map[string]string {
	m.t.Helper()
	list := map[string]string{}
	// Tools that change accounts keep copies, such as /etc/passwd-.
	out, err := m.Try("find " + strings.Join(folders, " ") + ` ! -path '/etc/*-' -printf '%p\t%M %U:%G %l\t' \( -type f -exec sha256sum -- {} \; -o -printf '\n' \)`)
	if err != nil {
		m.t.Fatalf("find: %v", err)
	}
	for line := range strings.Lines(out) {
		parts := strings.SplitN(strings.TrimSpace(line), "\t", 3)
		if len(parts) < 2 {
			m.t.Fatalf("find printed %q", line)
		}
		list[parts[0]] = fmt.Sprint(parts[1:])
	}
	return list
}
