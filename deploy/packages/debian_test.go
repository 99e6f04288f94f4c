//go:build deploy

package packages

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// debian takes the .deb through its life beside Debian's own Postfix.
func debian(t *testing.T, first, second built) {
	m := startMailhost(t)
	m.setUpPostfix()
	m.Install(first.deb, "/root/1.deb", 0o644)
	m.Install(second.deb, "/root/2.deb", 0o644)
	m.Shell(`dpkg-deb -R /root/2.deb /root/3 && sed -i 's/^Version:.*/Version: 1.2.0/' /root/3/DEBIAN/control &&
		for f in postseal.toml key.table; do echo '# new in 1.2.0' >>/root/3/etc/postseal/$f; done && dpkg-deb -b /root/3 /root/3.deb`)

	setup := advice(t, m.dpkg("-i /root/1.deb"))
	m.installed()
	m.run([]string{"postseal setup"})
	// A stranger's mail is asked for from the beginning.
	if got := field(m.send(true, message), "Authentication-Results"); got != "" {
		t.Errorf("unsigned: %q", got)
	}
	m.setup(setup)
	m.signs()
	m.chrooted()

	kept := m.edit()
	m.underLoad(func() string { return m.dpkg("-i /root/2.deb") }, kept)
	m.underLoad(func() string { return m.dpkg("-i /root/3.deb") }, kept)
	// And back, with an interruption.
	m.underLoad(func() string { return m.dpkg("--unpack /root/1.deb") + m.dpkg("--configure -a") }, kept)
	m.signs()
	// The third has another postseal.toml and key.table.
	if out := m.Shell("ls /etc/postseal"); !strings.Contains(out, "postseal.toml.dpkg-dist") || !strings.Contains(out, "key.table.dpkg-dist") {
		t.Errorf("an upgrade with a new postseal.toml leaves %s", out)
	}

	undo := m.undo(m.dpkg("-r postseal"))
	m.removed()
	m.unchanged(kept)
	// Postfix answers, and defers what nobody signs.
	if out, err := m.Try("swaks --server 127.0.0.1 --from bob@example.com --to alice@mail.example.com"); err == nil || !strings.Contains(out, "451 4.7.1") {
		t.Errorf("without postseal: %v\n%s", err, out)
	}
	m.run(undo)
	if unsigned := m.send(false, message); field(unsigned, "DKIM-Signature") != "" {
		t.Errorf("after the removal:\n%s", unsigned)
	}

	// Again, where main.cf has the "accept" of many a guide.
	m.Shell("postconf -e milter_default_action=accept")
	m.dpkg("-i /root/1.deb")
	m.installed()
	m.unchanged(kept)
	m.run([]string{"postseal setup"})
	m.signs()
	m.Shell("systemctl stop postseal.socket postseal.service")
	if out, err := m.Try("swaks --server 127.0.0.1 --from bob@example.com --to alice@mail.example.com"); err == nil || !strings.Contains(out, "451 4.7.1") {
		t.Errorf("stopped: %v\n%s", err, out)
	}
	m.Shell("systemctl start postseal.socket postseal.service")

	// A daemon that does not start leaves no package half installed.
	m.Shell("cd /etc/postseal && cp -p postseal.toml postseal.toml.bak && echo nonsense >>postseal.toml")
	if out := m.dpkg("-i /root/2.deb"); !strings.Contains(out, "postseal: the daemon does not start") {
		t.Errorf("with a broken configuration:\n%s", out)
	}
	m.Shell("cd /etc/postseal && cp -p postseal.toml.bak postseal.toml")
	m.Await("the daemon", func() bool { _, err := m.Try("systemctl is-active postseal.service"); return err == nil })

	printed := m.dpkg("-P postseal")
	m.removed()
	for _, folder := range []string{"/etc/postseal/keys", "/var/backups/postseal"} {
		if !strings.Contains(printed, "postseal: kept: "+folder+"\n") {
			t.Errorf("a purge does not tell of %s:\n%s", folder, printed)
		}
	}
	if out := m.Shell("cd / && find etc/postseal var/backups/postseal -type f | sort && getent passwd postseal | cut -d: -f1"); out != strings.Join([]string{
		"etc/postseal/keys/example.com/" + m.selectors[1] + ".private",
		"etc/postseal/keys/example.com/" + m.selectors[0] + ".private",
		"var/backups/postseal/key.table", "var/backups/postseal/postseal.toml", "var/backups/postseal/postseal.toml.bak",
		"var/backups/postseal/signing.table",
		"postseal",
	}, "\n") {
		t.Errorf("a purge leaves:\n%s", out)
	}
	for path, want := range kept {
		if !strings.HasPrefix(path, "/etc/postseal/keys/") {
			path = strings.Replace(path, "/etc", "/var/backups", 1)
		}
		if got := m.state(path); got != want {
			t.Errorf("%s: %s, was %s", path, got, want)
		}
	}
	if out := m.Shell("systemctl list-unit-files 'postseal*' --no-legend; find /etc/systemd /var/lib/systemd /usr/lib /var/spool/postfix -name '*postseal*'"); out != "" {
		t.Errorf("a purge leaves:\n%s", out)
	}
}

// advice is what an installation tells to do: the command that does the rest.
func advice(t *testing.T, printed string) (setup string) {
	t.Helper()
	list := commands(printed)
	if len(list) != 1 || !strings.HasPrefix(list[0], "postseal setup ") {
		t.Fatalf("the package printed:\n%s", printed)
	}
	return list[0]
}

// undo is what a removal tells to do, with which Postfix asks postseal no more.
func (m *mailhost) undo(printed string) []string {
	m.t.Helper()
	list := commands(printed)
	if len(list) == 0 || list[len(list)-1] != "postfix reload" {
		m.t.Fatalf("the removal printed:\n%s", printed)
	}
	return list
}

// installed: the units run and start at the next boot, and the folders are whose
// they should be.
func (m *mailhost) installed() {
	m.t.Helper()
	want := strings.Join([]string{
		"active", "active", "enabled", "enabled",
		"drwxr-xr-x root root /etc/postseal",
		"drwx------ postseal postseal /etc/postseal/keys",
		"drwxr-x--- postseal postseal /var/spool/postfix/postseal",
		"srw-rw---- postseal postseal /var/spool/postfix/postseal/postseal.sock",
	}, "\n")
	got := m.Shell(`systemctl is-active postseal.socket postseal.service
systemctl is-enabled postseal.socket postseal.service
stat -c '%A %U %G %n' /etc/postseal /etc/postseal/keys /var/spool/postfix/postseal /var/spool/postfix/postseal/postseal.sock`)
	if diff := cmp.Diff(want, got); diff != "" {
		m.t.Error(diff)
	}
	if out := m.Shell("postseal status && postseal check-config"); out == "" {
		m.t.Error("no status")
	}
	if out := " " + m.Shell("id -nG postfix") + " "; !strings.Contains(out, " postseal ") {
		m.t.Errorf("postfix is in the groups%s", out)
	}
}

// removed: no unit and no process is left.
func (m *mailhost) removed() {
	m.t.Helper()
	if out := m.Shell("systemctl list-units --no-legend --plain 'postseal*'; systemctl cat postseal.service postseal.socket 2>/dev/null; pgrep -x postseal || true; ls -d /usr/bin/postseal /var/spool/postfix/postseal 2>/dev/null || true"); out != "" {
		m.t.Errorf("a removal leaves:\n%s", out)
	}
}

// signs: mail by SMTP and by sendmail(1) arrives signed, and when it comes back
// from a stranger its signature is verified.
func (m *mailhost) signs() {
	m.t.Helper()
	signed := m.send(false, message)
	if !m.verified(signed) {
		m.t.Errorf("by SMTP: %s\n%s", m.verdicts(signed), signed)
	}
	m.Write("/root/message", message, 0o644)
	m.Shell("/usr/sbin/sendmail -i -f bob@example.com alice@mail.example.com </root/message")
	if local := m.next(); !m.verified(local) {
		m.t.Errorf("by sendmail: %s\n%s", m.verdicts(local), local)
	}
	// With Delivered-To, alice's mail would seem to go in a circle.
	again := strings.ReplaceAll(string(signed), "\r\n", "\n")
	back := m.send(true, strings.Replace(again, "Delivered-To: alice@mail.example.com\n", "", 1))
	if got := field(back, "Authentication-Results"); !strings.Contains(got, "dkim=pass") || !strings.Contains(got, "header.d=example.com") {
		m.t.Errorf("verified: %q\n%s", got, back)
	}
}

// chrooted: the smtpd that has just asked postseal is in its root folder, which
// the socket is below.
func (m *mailhost) chrooted() {
	m.t.Helper()
	m.Shell("postconf -F smtp/inet/chroot | grep -qx 'smtp/inet/chroot = y'")
	if out := m.Shell("for pid in $(pgrep -x smtpd); do readlink /proc/$pid/root; done | sort -u"); out != "/var/spool/postfix" {
		m.t.Errorf("smtpd's root is %q", out)
	}
}

// edit changes the configuration as its owner does and returns the states of the
// files that are the user's from then on.
func (m *mailhost) edit() map[string]string {
	m.t.Helper()
	m.Shell("sed -i 's/^#log_format = .*/log_format = \"json\"/' /etc/postseal/postseal.toml && systemctl reload postseal")
	kept := map[string]string{}
	for _, path := range []string{"postseal.toml", "key.table", "signing.table", "keys/example.com/" + m.selectors[0] + ".private"} {
		path = "/etc/postseal/" + path
		kept[path] = m.state(path)
	}
	return kept
}

// state is the owner, mode and content of a file.
func (m *mailhost) state(path string) string {
	m.t.Helper()
	return m.Shell("stat -c '%A %U' " + path + " && sha256sum <" + path)
}

func (m *mailhost) unchanged(kept map[string]string) {
	m.t.Helper()
	for path, want := range kept {
		if got := m.state(path); got != want {
			m.t.Errorf("%s: %s, was %s", path, got, want)
		}
	}
}

// load sends mail over four connections at a time until /run/enough is there; a
// batch ends with an error at the first answer that is none of success.
const load = `#!/bin/sh
set -e
rm -f /run/enough
n=0
while [ ! -e /run/enough ]; do
	smtp-source -s 4 -m 20 -l 500 -f bob@example.com -t alice@mail.example.com 127.0.0.1:25
	n=$((n + 20))
	echo $n >/run/sent
done
`

// underLoad has another version installed while mail flows. All of it is taken at
// once and signed.
func (m *mailhost) underLoad(install func() string, kept map[string]string) {
	m.t.Helper()
	m.Write("/root/load", load, 0o755)
	m.Write("/etc/systemd/system/load.service", "[Service]\nExecStart=/root/load\nRemainAfterExit=yes\n", 0o644)
	m.Shell("systemctl daemon-reload && rm -f /run/sent && systemctl restart load")
	sent := func() (n int) {
		data, _ := os.ReadFile(m.Path("/run/sent"))
		_, _ = fmt.Sscan(string(data), &n)
		return n
	}
	more := func() {
		m.t.Helper()
		before := sent()
		m.Await("mail", func() bool { return sent() >= before+40 || m.Shell("systemctl is-failed load || true") == "failed" })
	}
	more()
	before := m.Shell("systemctl show --property MainPID postseal.service")
	out := install()
	if after := m.Shell("systemctl show --property MainPID postseal.service"); after == before {
		m.t.Errorf("the daemon is the old one:\n%s", out)
	}
	more()
	m.Shell("touch /run/enough")
	m.Await("the end of the load", func() bool {
		state := m.Shell("systemctl show --property SubState --value load")
		return state == "exited" || state == "failed"
	})
	if state := m.Shell("systemctl show --property Result --value load"); state != "success" {
		m.t.Fatalf("mail was not taken:\n%s", m.Shell("journalctl -u load --no-pager; grep -h . /var/log/mail.log 2>/dev/null | tail -n 20 || true"))
	}
	m.Await("an empty queue", func() bool {
		return m.Shell("find /var/spool/postfix/maildrop /var/spool/postfix/incoming /var/spool/postfix/active -type f | wc -l") == "0"
	})
	counts := m.Shell("grep -c '^From bob@' /var/mail/alice; grep -c '^DKIM-Signature:' /var/mail/alice; rm /var/mail/alice; find /var/spool/postfix/deferred -type f | wc -l")
	if want := fmt.Sprintf("%d\n%d\n0", sent(), sent()*len(m.selectors)); counts != want {
		m.t.Errorf("delivered, signed, deferred: %q, want %q", counts, want)
	}
	m.unchanged(kept)
	m.installed()
}

// field is the first header field of a name, unfolded; "" if there is none.
func field(message []byte, name string) (value string) {
	for line := range strings.SplitSeq(string(message), "\r\n") {
		switch {
		case line == "" || value != "" && !strings.HasPrefix(line, " ") && !strings.HasPrefix(line, "\t"):
			return value
		case value != "":
			value += line
		case strings.HasPrefix(line, name+":"):
			value = line
		}
	}
	return value
}
