//go:build deploy

package packages

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/postseal/postseal/testdata/peers"
)

// takeover is an OpenDKIM, as people set it up, whose place is taken and given back.
type takeover struct {
	name     string
	conf     string // of /etc/opendkim.conf, behind what Debian's says
	shell    string // what else people do
	milter   string // in main.cf
	install  string // of our packages; the README's commands if it is empty
	own      string // what postseal's own units are then
	upgrade  []string
	purge    bool // OpenDKIM's remains, meanwhile
	rollback string
}

var takeovers = []takeover{
	{
		name: "unix socket and apt",
		conf: "Socket local:/var/spool/postfix/opendkim/opendkim.sock\n",
		shell: `install -d -m 750 -o opendkim -g postfix /var/spool/postfix/opendkim
adduser --quiet postfix opendkim`,
		milter:   "local:opendkim/opendkim.sock",
		own:      "inactive",
		upgrade:  []string{"apt-get install ./postseal_*.deb", "apt-get install ./postseal-opendkim-compat_*.deb"},
		rollback: "apt-get install opendkim opendkim-tools",
	},
	{
		name:    "TCP and dpkg",
		conf:    "AutoRestart yes\nAutoRestartRate 5/1H\nSignatureAlgorithm rsa-sha256\nSocket inet:8891@localhost\n",
		milter:  "inet:localhost:8891",
		install: "cd bin/packages && dpkg -i postseal_*.deb && postseal check-config -c /etc/opendkim.conf && dpkg -i postseal-opendkim-compat_*.deb",
		own:     "active",
		upgrade: []string{"dpkg -i postseal-opendkim-compat_*.deb postseal_*.deb"},
		purge:   true,
		// Ours is removed in favour of OpenDKIM's, when that is unpacked already.
		rollback: "echo postseal-opendkim-compat deinstall | dpkg --set-selections && dpkg --force-confold -i /srv/debian/opendkim.deb /srv/debian/opendkim-tools.deb",
	},
}

// tables are the tables of the articles, with two keys.
const tables = `KeyTable      refile:/etc/opendkim/key.table
SigningTable  refile:/etc/opendkim/signing.table
InternalHosts /etc/opendkim/trusted.hosts
`

// test takes the place of an OpenDKIM, lives, and gives the place back.
func (o takeover) test(t *testing.T, first, second built) {
	m := startCompatHost(t, first, second)
	m.setUpPostfix()
	m.setUpOpenDKIM(o)
	m.daemonIs("/usr/sbin/opendkim")
	before := m.theirs()

	if o.install == "" {
		o.install = strings.Join(readmeCommands(t, "### As packages"), "\n")
	}
	printed := m.Shell("set -e; export DEBIAN_FRONTEND=noninteractive; cd /root/1.0.0\n" + o.install)
	t.Log(printed)
	m.daemonIs("/usr/bin/postseal")
	m.same("installed", before)
	m.wantTools()
	own := func() {
		t.Helper()
		if out := m.Shell("systemctl is-active postseal.socket postseal.service || true"); out != o.own+"\n"+o.own {
			t.Errorf("postseal's own units are %s", out)
		}
	}
	own()
	const advice = "systemctl disable --now postseal.socket postseal.service"
	if strings.Contains(printed, advice) != (o.own == "active") {
		t.Errorf("the installation says:\n%s", printed)
	}

	m.Shell("sed -i s/one/two/ /etc/opendkim/signing.table && systemctl reload opendkim")
	m.Await("the reload", func() bool { return strings.Contains(string(m.send(false, message)), " s=two;") })
	m.Shell("sed -i s/two/one/ /etc/opendkim/signing.table && systemctl restart opendkim")
	m.same("restarted", before)
	// A reboot empties /run.
	m.Shell("systemctl stop opendkim && rm -r /run/opendkim && systemd-tmpfiles --create opendkim.conf && systemctl start user-of-opendkim")
	m.same("rebooted", before)
	for _, upgrade := range o.upgrade {
		pid := m.Shell("systemctl show -p MainPID --value opendkim")
		m.Shell("cd /root/1.1.0/bin/packages && " + upgrade)
		m.daemonIs("/usr/bin/postseal")
		if m.Shell("systemctl show -p MainPID --value opendkim") == pid {
			t.Errorf("%s: the daemon is the old one", upgrade)
		}
		m.same(upgrade, before)
		own()
	}

	if o.purge {
		// The file that TrustAnchorFile names goes as one of its dependencies', and
		// comes back as such.
		m.Shell("dpkg --purge opendkim opendkim-tools && mv /usr/share/dns/root.key /root && systemctl restart opendkim")
		m.daemonIs("/usr/bin/postseal")
		m.same("OpenDKIM purged", before)
		m.Shell("mv /root/root.key /usr/share/dns")
	}

	t.Log(m.Shell("cd /root && DEBIAN_FRONTEND=noninteractive " + o.rollback + " 2>&1"))
	m.Shell("systemctl start opendkim")
	m.daemonIs("/usr/sbin/opendkim")
	m.same("OpenDKIM is back", before)
	if out := m.Shell("dpkg-divert --list | grep postseal; dpkg --verify opendkim opendkim-tools | grep -v ' c /etc/opendkim.conf'; ls -d /lib/systemd/system/opendkim.service.* 2>/dev/null || true"); out != "" {
		t.Errorf("the rollback leaves:\n%s", out)
	}
	m.Shell("dpkg --purge postseal-opendkim-compat postseal && systemctl restart opendkim")
	m.daemonIs("/usr/sbin/opendkim")
	m.same("ours purged", before)
}

// startCompatHost starts a mail host with all packages in /root.
func startCompatHost(t *testing.T, first, second built) *mailhost {
	t.Helper()
	if _, err := os.Stat("/usr/share/doc/opendkim-tools"); err != nil {
		peers.Require(t, fmt.Errorf("%w; testdata/peers.sh installs opendkim-tools", err))
	}
	m := startMailhost(t)
	for _, b := range []built{first, second} {
		for _, path := range []string{b.deb, b.compat} {
			m.Install(path, "/root/"+b.version+"/bin/packages/"+filepath.Base(path), 0o644)
		}
	}
	return m
}

// setUpOpenDKIM does what articles say, with Debian's OpenDKIM, and wires Postfix.
func (m *mailhost) setUpOpenDKIM(o takeover) {
	m.t.Helper()
	m.offer("opendkim", "opendkim-tools")
	m.Write("/etc/opendkim/signing.table", "*@example.com one._domainkey.example.com\n", 0o644)
	m.Write("/etc/opendkim/trusted.hosts", "127.0.0.1\n::1\nlocalhost\n", 0o644)
	rows := ""
	m.Shell("mkdir -p /etc/opendkim/keys && chown -R opendkim:opendkim /etc/opendkim && chmod go-rw /etc/opendkim/keys")
	for _, selector := range []string{"one", "two"} {
		m.Shell("opendkim-genkey -d example.com -D /etc/opendkim/keys -s " + selector + " && chown opendkim: /etc/opendkim/keys/*")
		m.publish(selector+"._domainkey.example.com", m.Shell(`grep -o '"[^"]*"' /etc/opendkim/keys/`+selector+`.txt | tr -d '"\n'`))
		rows += fmt.Sprintf("%s._domainkey.example.com example.com:%s:/etc/opendkim/keys/%s.private\n", selector, selector, selector)
	}
	m.Write("/etc/opendkim/key.table", rows, 0o644)
	m.Write("/root/more", tables+o.conf, 0o644)
	m.Shell("cat /root/more >>/etc/opendkim.conf")
	m.Write("/etc/systemd/system/opendkim.service.d/override.conf", "[Unit]\nAfter=network.target\n[Service]\nNice=5\n", 0o644)
	m.Write("/etc/systemd/system/user-of-opendkim.service", "[Unit]\nRequires=opendkim.service\nAfter=opendkim.service\n[Service]\nExecStart=/bin/sleep infinity\n", 0o644)
	m.Shell(o.shell)
	m.Shell("systemd-tmpfiles --create opendkim.conf && systemctl daemon-reload && systemctl enable --now --quiet opendkim 2>/dev/null")
	m.Shell("postconf -e smtpd_milters=" + o.milter + " 'non_smtpd_milters=$smtpd_milters' milter_default_action=tempfail && systemctl restart postfix")
	m.AwaitPostfix()
}

// daemonIs wants a program to be the main process of opendkim.service, and mail to
// be signed and valid.
func (m *mailhost) daemonIs(program string) {
	m.t.Helper()
	if exe := m.Shell("readlink /proc/$(systemctl show -p MainPID --value opendkim)/exe"); exe != program {
		m.t.Errorf("%s runs and not %s", exe, program)
	}
	if got := m.verdicts(m.send(false, message)); got != "example.com pass" {
		m.t.Errorf("with %s: %q", program, got)
	}
}

// theirs is everything that is OpenDKIM's or its administrator's: names, owners,
// modes and contents; and how the unit is. What dpkg lays beside a file that it
// keeps is not.
func (m *mailhost) theirs() string {
	m.t.Helper()
	return m.Shell(`set -e
cd /
find etc/opendkim* etc/default/opendkim etc/systemd/system/opendkim* etc/systemd/system/*/opendkim* \
	run/opendkim var/spool/postfix/opendkim ! -name control.sock ! -name '*.dpkg-dist' -printf '%M %u:%g %p %l\n' 2>/dev/null | sort
find etc/opendkim* etc/default/opendkim etc/systemd/system/opendkim* -type f ! -name '*.dpkg-dist' -exec sha256sum {} + | sort -k 2
postconf smtpd_milters non_smtpd_milters
systemctl show -p ActiveState -p UnitFileState -p Nice -p PIDFile -p Type opendkim
id opendkim; id -nG postfix | tr ' ' '\n' | grep -v postseal`)
}

// same wants all of that to be as it was, and mail to be signed.
func (m *mailhost) same(when, before string) {
	m.t.Helper()
	if diff := cmp.Diff(strings.Split(before, "\n"), strings.Split(m.theirs(), "\n")); diff != "" {
		m.t.Errorf("%s: before (-), now (+):\n%s", when, diff)
	}
	if got := m.verdicts(m.send(false, message)); got != "example.com pass" {
		m.t.Errorf("%s: %q", when, got)
	}
}

// wantTools wants OpenDKIM's commands to answer.
func (m *mailhost) wantTools() {
	m.t.Helper()
	m.Write("/root/crlf", strings.ReplaceAll(message, "\n", "\r\n"), 0o644)
	for _, row := range []struct{ line, want string }{
		{"opendkim -V", "OpenDKIM Filter v2.11.0"},
		{"opendkim-testkey -d example.com -s one -vvv 2>&1", "key OK"},
		{"opendkim-genkey -D /tmp -d new.example -s new && cat /tmp/new.txt", "v=DKIM1"},
		{"opendkim-genzone -d example.com 2>&1", "v=DKIM1"},
		{"opendkim-testmsg -d example.com -s one -k /etc/opendkim/keys/one.private </root/crlf", "DKIM-Signature:"},
		{"man -w opendkim opendkim.conf opendkim-genkey opendkim-genzone opendkim-testkey opendkim-testmsg | wc -l", "6"},
	} {
		if out := m.Shell(row.line); !strings.Contains(out, row.want) {
			m.t.Errorf("%s: %s", row.line, out)
		}
	}
}

// compatAlone: without an OpenDKIM the package makes its user, starts nothing and
// says so; an opendkim.conf that comes later is served, and outlives the package.
func compatAlone(t *testing.T, first built) {
	m := startCompatHost(t, first, first)
	m.Shell("dpkg --purge opendkim opendkim-tools && rm -rf /etc/dkimkeys /run/opendkim && userdel opendkim")
	if out := m.Shell("cd /root/1.0.0/bin/packages && dpkg -i *.deb"); !strings.Contains(out, "There is no /etc/opendkim.conf") {
		t.Errorf("the installation says:\n%s", out)
	}
	if out := m.Shell("getent passwd opendkim | cut -d: -f6,7; systemctl is-active opendkim postseal.socket postseal.service || true"); out != "/run/opendkim:/usr/sbin/nologin\ninactive\ninactive\ninactive" {
		t.Errorf("installed: %s", out)
	}
	m.Write("/etc/opendkim.conf", "Mode v\nUserID opendkim\nSocket local:/run/opendkim/opendkim.sock\nPidFile /run/opendkim/opendkim.pid\n", 0o644)
	m.Shell("dpkg-reconfigure postseal-opendkim-compat && test -S /run/opendkim/opendkim.sock && systemctl is-enabled opendkim")
	out := m.Shell("dpkg --purge postseal-opendkim-compat postseal")
	if !strings.Contains(out, "milter_default_action says") {
		t.Errorf("the removal says:\n%s", out)
	}
	if out := m.Shell("ls /etc/opendkim.conf; dpkg-divert --list | grep postseal; find /etc/systemd /var/lib/systemd /usr/lib/systemd -name 'opendkim.service*'; getent passwd opendkim | cut -d: -f1"); out != "/etc/opendkim.conf\nopendkim" {
		t.Errorf("a purge leaves:\n%s", out)
	}
}
