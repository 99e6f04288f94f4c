//go:build deploy

package packages

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/postseal/postseal/testdata/machine"
	"github.com/postseal/postseal/testdata/peers"
)

// mailhost is a machine with Debian's Postfix as its installation makes it, a
// user alice, and a name server of its own. Clients at 192.0.2.7 are strangers.
type mailhost struct {
	*machine.Machine
	t *testing.T
	// zone are the TXT records that the name server has.
	zone map[string]string
	// selectors are those of bob's keys, once there are some.
	selectors []string
}

// address is where strangers find the machine.
const address = "192.0.2.1"

func startMailhost(t *testing.T) *mailhost {
	m := &mailhost{Machine: machine.Start(t), t: t, zone: map[string]string{}}
	m.Shell("ip address add " + address + "/32 dev lo && ip address add 192.0.2.7/32 dev lo")
	m.Write("/etc/resolv.conf", "nameserver 127.0.0.1\n", 0o644)
	m.Shell("useradd --create-home alice && rm -rf /var/mail/*")
	m.Shell("rm -f /var/lib/man-db/auto-update") // no index of manual pages at each installation
	m.Write("/etc/systemd/system/names.service", "[Service]\nExecStart=/usr/sbin/unbound -d -c /etc/names.conf\n", 0o644)
	m.Shell("systemctl daemon-reload")
	m.publish("", "")
	return m
}

// setUpPostfix has Debian's package make main.cf and start; it installs Postfix
// where that is gone.
func (m *mailhost) setUpPostfix() {
	m.t.Helper()
	if _, err := m.Try("test -e /usr/sbin/postfix"); err == nil {
		m.Postfix()
		return
	}
	m.Shell(machine.PostfixAnswers + "\nDEBIAN_FRONTEND=noninteractive apt-get install postfix && systemctl start postfix")
	m.AwaitPostfix()
}

// pack makes the .deb again that a package of Debian's was installed from: its
// files, its scripts and its control data.
const pack = `set -e
umask 022
mkdir -p /srv/debian $1/DEBIAN
dpkg -L $1 | while read -r path; do
	if [ -d "$path" ]; then # or a link to one: /lib
		mkdir -p "$1$path"
	elif [ -e "$path" ]; then
		cp -a "$path" "$1$path"
	fi
done
for part in config templates conffiles md5sums triggers preinst postinst prerm postrm; do
	if [ -e /var/lib/dpkg/info/$1.$part ]; then cp /var/lib/dpkg/info/$1.$part $1/DEBIAN/$part; fi
done
dpkg-query -s $1 | sed -e '/^Status:/d' -e '/^Conffiles:/d' -e '\|^ /etc/|d' >$1/DEBIAN/control
dpkg-deb -Znone -b $1 /srv/debian/$1.deb
`

// offer has apt find packages of Debian's, which are installed here, once they are
// gone.
func (m *mailhost) offer(names ...string) {
	m.t.Helper()
	m.Write("/root/pack", pack, 0o644)
	for _, name := range names {
		m.Shell("cd /root && sh pack " + name)
	}
	m.Shell("rm -rf /etc/apt/sources.list* /var/lib/apt/lists/*; cd /srv/debian && dpkg-scanpackages . >Packages")
	m.Write("/etc/apt/sources.list", "deb [trusted=yes] file:/srv/debian ./\n", 0o644)
	m.Write("/etc/apt/apt.conf.d/99yes", "APT::Get::Assume-Yes \"true\";\n", 0o644)
	m.Shell("apt-get update")
}

// publish gives a name a TXT record.
func (m *mailhost) publish(name, value string) {
	m.t.Helper()
	if name != "" {
		m.zone[name] = value
	}
	var b strings.Builder
	b.WriteString("server:\n  interface: 127.0.0.1\n  username: \"\"\n  chroot: \"\"\n  pidfile: \"\"\n  module-config: iterator\n  local-zone: . static\n")
	for name, value := range m.zone {
		var parts []string
		for value != "" {
			n := min(len(value), 255)
			parts = append(parts, `"`+value[:n]+`"`)
			value = value[n:]
		}
		fmt.Fprintf(&b, "  local-data: '%s. TXT %s'\n", name, strings.Join(parts, " "))
	}
	m.Write("/etc/names.conf", b.String(), 0o644)
	m.Shell("systemctl restart names")
	m.Await("the name server", func() bool {
		_, err := m.Try("systemctl --quiet is-active names && ss -lun | grep -q 127.0.0.1:53")
		return err == nil
	})
}

// dpkg runs dpkg without questions and returns what it prints.
func (m *mailhost) dpkg(arguments string) string {
	m.t.Helper()
	return m.Shell("DEBIAN_FRONTEND=noninteractive dpkg --force-confold " + arguments)
}

// commands are the lines that a package prints for the reader to run: those that
// are indented.
func commands(text string) (list []string) {
	for line := range strings.Lines(text) {
		if rest, ok := strings.CutPrefix(line, "    "); ok {
			list = append(list, strings.TrimSpace(rest))
		}
	}
	return list
}

// run runs commands, one after the other, and waits until Postfix has taken them up:
// after a reload, an idle smtpd may answer one more client in the old way.
func (m *mailhost) run(list []string) {
	m.t.Helper()
	old := m.Shell("pgrep -x smtpd || true")
	for _, line := range list {
		m.Shell(line)
	}
	for pid := range strings.FieldsSeq(old) {
		m.Await("the end of smtpd "+pid, func() bool { _, err := m.Try("test -e /proc/" + pid); return err != nil })
	}
}

// send sends a message of bob's to alice, from the machine itself or from a
// stranger, and returns it as it arrived.
func (m *mailhost) send(stranger bool, message string) []byte {
	m.t.Helper()
	m.Write("/root/message", message, 0o644)
	client := "127.0.0.1"
	server := client
	if stranger {
		client, server = "192.0.2.7", address
	}
	m.Shell("swaks --server " + server + " --local-interface " + client +
		" --helo client.example.org --from bob@example.com --to alice@mail.example.com --data @/root/message --suppress-data")
	return m.next()
}

// next takes the only message out of alice's mailbox, when it has come.
func (m *mailhost) next() []byte {
	m.t.Helper()
	var data []byte
	m.Await("the mail", func() bool {
		data, _ = os.ReadFile(m.Path("/var/mail/alice"))
		return len(data) > 0 && bytes.HasSuffix(data, []byte("\n\n"))
	})
	m.Shell("rm /var/mail/alice")
	_, message, _ := bytes.Cut(data, []byte("\n")) // the line "From "
	message = bytes.TrimSuffix(message, []byte("\n"))
	return bytes.ReplaceAll(message, []byte("\n"), []byte("\r\n"))
}

// verdicts are what dkimpy, which knows our zone, says of a message's signatures.
func (m *mailhost) verdicts(message []byte) string {
	m.t.Helper()
	list, err := peers.StartDkimpy(m.t, m.zone).Verify(message)
	if err != nil {
		m.t.Fatal(err)
	}
	var words []string
	for _, v := range list {
		words = append(words, v.Domain+" "+v.Status)
	}
	return strings.Join(words, ", ")
}

// setup runs the command that the package prints and publishes the records of keys
// that it prints; a second run prints them again and changes nothing.
func (m *mailhost) setup(command string) {
	m.t.Helper()
	m.run([]string{command})
	var told struct {
		Changes []any
		Domains []struct {
			Records []struct{ Kind, Name, Value string }
		}
	}
	out := m.Shell(command + " --json")
	if err := json.Unmarshal([]byte(out), &told); err != nil || len(told.Domains) != 1 || len(told.Changes) > 0 {
		m.t.Fatalf("%s once more: %v\n%s", command, err, out)
	}
	m.selectors = nil
	for _, r := range told.Domains[0].Records {
		if selector, _, ok := strings.Cut(r.Name, "._domainkey."); ok {
			m.selectors = append(m.selectors, selector)
			m.publish(r.Name, r.Value)
			m.Await("the key in the daemon", func() bool { return strings.Contains(m.Shell("postseal status"), selector) })
		}
	}
	if len(m.selectors) != 2 {
		m.t.Fatalf("%s made keys with the selectors %q", command, m.selectors)
	}
}

// verified reports whether all of bob's keys have signed a message.
func (m *mailhost) verified(message []byte) bool {
	m.t.Helper()
	return m.verdicts(message) == strings.Join(slices.Repeat([]string{"example.com pass"}, len(m.selectors)), ", ")
}

// message is one of bob's.
const message = "From: Bob <bob@example.com>\nTo: alice@mail.example.com\nSubject: hello\nDate: Mon, 02 Nov 2026 10:00:00 +0000\nMessage-ID: <1@example.com>\n\nHello.\n"
