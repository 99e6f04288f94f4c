package opendkim

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/postseal/postseal/testdata/machine"
	"github.com/postseal/postseal/testdata/peers"
)

// The two commands that put the program in the place of Debian's daemon, and the
// two that undo it. The packages' own files stay as they are; a diversion
// outlives upgrades of the package.
var (
	swapIn = [...]string{
		"dpkg-divert --local --rename --add /usr/sbin/opendkim && ln -s /usr/local/bin/postseal /usr/sbin/opendkim",
		"systemctl restart opendkim",
	}
	swapBack = [...]string{
		"rm /usr/sbin/opendkim && dpkg-divert --local --rename --remove /usr/sbin/opendkim",
		"systemctl restart opendkim",
	}
)

// debianMachine is a machine with Debian's opendkim.
type debianMachine struct {
	*machine.Machine
	t *testing.T
}

func startMachine(t *testing.T) debianMachine {
	t.Helper()
	if _, err := os.Stat("/lib/systemd/system/opendkim.service"); err != nil {
		peers.Require(t, fmt.Errorf("%w; testdata/peers.sh installs opendkim", err))
	}
	return debianMachine{machine.Start(t), t}
}

// seenUnit is what is seen of the daemon from outside.
type seenUnit struct{ selector, socket, pidFile, key, user, active string }

func (m debianMachine) service() seenUnit {
	m.t.Helper()
	const socket = "/run/opendkim/opendkim.sock"
	m.Await("the socket", func() bool { _, err := os.Lstat(m.Path(socket)); return err == nil })
	s := seenUnit{
		socket: file(m.t, m.Path(socket)), key: file(m.t, m.Path("/etc/dkimkeys/example.private")),
		pidFile: file(m.t, m.Path("/run/opendkim/opendkim.pid")),
		active:  m.Shell("systemctl is-active opendkim"),
		user:    m.Shell(`stat -c %U:%G /proc/$(systemctl show -p MainPID --value opendkim)`),
	}
	_, s.selector, _ = strings.Cut(signature(m.t, m.Path(socket)), " s=")
	s.selector, _, _ = strings.Cut(s.selector, ";")
	if main := m.Shell("systemctl show -p MainPID --value opendkim"); main != m.Shell("cat /run/opendkim/opendkim.pid") {
		m.t.Errorf("the main process is %s, and not that of the pid file", main)
	}
	return s
}

// Under Debian's own unit the program takes the daemon's place and gives it
// back, with two commands each; nothing else changes.
func TestSwapUnderDebiansUnit(t *testing.T) {
	asRoot(t)
	t.Parallel()
	debianProgram(t)
	program := daemonProgram(t)
	untouched := []string{"/usr/sbin/opendkim", "/var/lib/dpkg/diversions", "/etc/opendkim.conf"}
	var before []string
	for _, path := range untouched {
		before = append(before, file(t, path))
	}
	t.Cleanup(func() {
		for n, path := range untouched {
			if now := file(t, path); now != before[n] {
				t.Errorf("the test has changed %s of this machine: %s, was %s", path, now, before[n])
			}
		}
	})
	m := startMachine(t)
	// A fast machine restarts it oftener than a person would.
	m.Write("/etc/systemd/system/opendkim.service.d/often.conf", "[Unit]\nStartLimitIntervalSec=0\n", 0o644)
	m.Install(program, "/usr/local/bin/postseal", 0o755)
	key := filepath.Join(t.TempDir(), "key")
	newKeyFile(t, key)
	m.Install(key, "/etc/dkimkeys/example.private", 0o600)
	m.Shell("chown opendkim:opendkim /etc/dkimkeys/example.private")
	m.Shell("printf 'Domain example.com\nSelector one\nKeyFile /etc/dkimkeys/example.private\n' >>/etc/opendkim.conf")
	m.Shell("systemd-tmpfiles --create opendkim.conf")

	do := func(commands [2]string) {
		t.Helper()
		for _, line := range commands {
			m.Shell(line)
		}
	}
	is := func(program string) {
		t.Helper()
		if exe := m.Shell("readlink /proc/$(systemctl show -p MainPID --value opendkim)/exe"); exe != program {
			t.Errorf("%s runs and not %s", exe, program)
		}
	}
	m.Shell("systemctl start opendkim")
	is("/usr/sbin/opendkim")
	theirs := m.service()
	if theirs.selector != "one" || theirs.user != "opendkim:opendkim" || theirs.active != "active" {
		t.Errorf("before: %+v", theirs)
	}

	do(swapIn)
	is("/usr/local/bin/postseal")
	if ours := m.service(); ours != theirs {
		t.Errorf("OpenDKIM's: %+v\nours:       %+v", theirs, ours)
	}
	if out := m.Shell("setpriv --reuid=nobody --regid=nogroup --clear-groups cat /etc/dkimkeys/example.private 2>&1 || true"); !strings.Contains(out, "denied") {
		t.Errorf("another user reads the key: %.40q", out)
	}

	m.Shell("sed -i 's/^Selector one/Selector two/' /etc/opendkim.conf && systemctl reload opendkim")
	m.Await("the reload", func() bool { return m.service().selector == "two" })
	was := m.Shell("systemctl show -p MainPID --value opendkim")
	m.Shell("kill -KILL " + was)
	m.Await("systemd's restart", func() bool {
		now := m.Shell("systemctl show -p MainPID --value opendkim")
		return now != "0" && now != was
	})
	is("/usr/local/bin/postseal")

	// A reboot empties /run.
	m.Shell("systemctl stop opendkim && rm -r /run/opendkim && systemd-tmpfiles --create opendkim.conf && systemctl start opendkim")
	is("/usr/local/bin/postseal")
	theirs.selector = "two"
	if ours := m.service(); ours != theirs {
		t.Errorf("OpenDKIM's:     %+v\nafter a reboot: %+v", theirs, ours)
	}

	// With a supervisor, the main process is that; it stays root and serves nobody.
	m.Shell("echo 'AutoRestart yes' >>/etc/opendkim.conf && systemctl restart opendkim")
	if s := m.service(); s.selector != "two" || s.active != "active" || s.socket != theirs.socket {
		t.Errorf("supervised: %+v", s)
	}
	m.Shell("sed -i '/^AutoRestart/d' /etc/opendkim.conf")

	// A start that fails is a failed start.
	m.Shell("echo 'Nonsense yes' >>/etc/opendkim.conf")
	if out, err := m.Command("systemctl", "restart", "opendkim").CombinedOutput(); err == nil {
		t.Errorf("a start with a broken configuration: %s", out)
	}
	// systemd tries again, and knows of nothing while it does.
	m.Await("the status of the failed start", func() bool {
		status := m.Shell("systemctl show -p ExecMainStatus --value opendkim; systemctl show -p Result --value opendkim")
		return status == "78\nexit-code" || status == "0\nexit-code"
	})
	m.Shell("systemctl stop opendkim && sed -i '/^Nonsense/d' /etc/opendkim.conf")

	do(swapBack)
	is("/usr/sbin/opendkim")
	if back := m.service(); back != theirs {
		t.Errorf("OpenDKIM's: %+v\nafter:      %+v", theirs, back)
	}
	if out := m.Shell("dpkg --verify opendkim | grep sbin || true"); out != "" {
		t.Errorf("the package is not as it was: %s", out)
	}
}
