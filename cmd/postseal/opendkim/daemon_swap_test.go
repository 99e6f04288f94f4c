package opendkim

import (
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

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

// machineScript makes the mounts of a machine and becomes its systemd. What the
// test writes in /etc, /usr and dpkg's files lands in memory. $1 is the cgroup
// hierarchy.
const machineScript = `set -e
mount -t proc proc /proc
mount -t tmpfs tmpfs /run
for d in /etc /usr/sbin /usr/local/bin /var/lib/dpkg; do
	mkdir -p /run/overlay$d/upper /run/overlay$d/work
	mount -t overlay overlay -o lowerdir=$d,upperdir=/run/overlay$d/upper,workdir=/run/overlay$d/work $d
done
mount -t tmpfs tmpfs /etc/systemd/system
if [ "$1" = systemd ]; then
	mount -t tmpfs tmpfs /sys/fs/cgroup
	mkdir /sys/fs/cgroup/systemd
	mount -t cgroup -o none,name=systemd cgroup /sys/fs/cgroup/systemd
else
	mount -t cgroup2 cgroup2 /sys/fs/cgroup
fi
# Nothing but what the test starts: no early boot, no network to wait for.
mkdir -p /run/systemd/system/opendkim.service.d
printf '[Unit]\nDefaultDependencies=no\n' >/run/systemd/system/opendkim.service.d/alone.conf
printf '[Unit]\nDefaultDependencies=no\n' >/run/systemd/system/test.target
ln -s /dev/null /etc/systemd/system/network-online.target
exec env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin container=test \
	/lib/systemd/systemd --system --unit=test.target --log-target=console --show-status=no
`

// machine is a systemd in namespaces of its own, with Debian's opendkim.
type machine struct {
	t   *testing.T
	pid int // of its process 1, as we see it
}

func startMachine(t *testing.T) *machine {
	t.Helper()
	for _, path := range []string{"/lib/systemd/systemd", "/lib/systemd/system/opendkim.service", "/usr/bin/nsenter"} {
		if _, err := os.Stat(path); err != nil {
			peers.Require(t, fmt.Errorf("%w; testdata/peers.sh installs systemd, opendkim and util-linux", err))
		}
	}
	hierarchy, root := "systemd", "/sys/fs/cgroup/systemd"
	if _, err := os.Stat(root + "/cgroup.procs"); err != nil {
		hierarchy, root = "unified", "/sys/fs/cgroup"
	}
	group, err := os.MkdirTemp(root, "postseal-test-")
	if err != nil {
		peers.Require(t, fmt.Errorf("no control group for a systemd: %w", err))
	}
	cmd := exec.Command("sh", "-c", `echo $$ >"$1/cgroup.procs" && exec unshare -mpfCiun --kill-child --propagation private sh -c "$2" sh "$3"`,
		"sh", group, machineScript, hierarchy)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} // a test that times out cleans nothing up
	var output strings.Builder
	cmd.Stdout, cmd.Stderr = &output, &output
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	m := &machine{t: t}
	waiting := &instance{t: t}
	t.Cleanup(func() {
		if m.pid > 0 {
			_ = syscall.Kill(m.pid, syscall.SIGKILL)
		} else {
			_ = cmd.Process.Kill()
		}
		_ = cmd.Wait()
		if t.Failed() {
			t.Log(output.String())
		}
		waiting.await("an empty control group", func() bool {
			var folders []string
			_ = filepath.WalkDir(group, func(path string, d fs.DirEntry, err error) error {
				if err == nil && d.IsDir() {
					folders = append(folders, path)
				}
				return nil
			})
			for n := len(folders) - 1; n >= 0; n-- {
				_ = os.Remove(folders[n])
			}
			_, err := os.Stat(group)
			return err != nil
		})
	})
	waiting.await("systemd", func() bool {
		pids := children(cmd.Process.Pid)
		if len(pids) != 1 {
			if !alive(cmd.Process.Pid) {
				_ = cmd.Wait()
				peers.Require(t, fmt.Errorf("no namespaces for a systemd: %s", output.String()))
			}
			return false
		}
		m.pid = pids[0]
		out, _ := m.command("systemctl", "is-system-running").Output()
		return strings.TrimSpace(string(out)) == "running"
	})
	return m
}

// command runs words in the machine, from its root: that is not the root of its
// name space where ours is a folder (chroot).
func (m *machine) command(words ...string) *exec.Cmd {
	return exec.Command("nsenter", append([]string{"-t", strconv.Itoa(m.pid), "-m", "-p", "-C", "-i", "-u", "-n", "-r", "-w", "--"}, words...)...)
}

// shell runs a line of shell and returns what it prints.
func (m *machine) shell(line string) string {
	m.t.Helper()
	out, err := m.command("sh", "-c", line).CombinedOutput()
	if err != nil {
		status, _ := m.command("systemctl", "status", "opendkim", "--no-pager").CombinedOutput()
		m.t.Fatalf("%s: %v\n%s\n%s", line, err, out, status)
	}
	return strings.TrimSpace(string(out))
}

// path is where we see a file of the machine.
func (m *machine) path(name string) string { return fmt.Sprintf("/proc/%d/root%s", m.pid, name) }

// seenUnit is what is seen of the daemon from outside.
type seenUnit struct{ selector, socket, pidFile, key, user, active string }

func (m *machine) service() seenUnit {
	m.t.Helper()
	const socket = "/run/opendkim/opendkim.sock"
	waiting := &instance{t: m.t}
	waiting.await("the socket", func() bool { _, err := os.Lstat(m.path(socket)); return err == nil })
	s := seenUnit{
		socket: file(m.t, m.path(socket)), key: file(m.t, m.path("/etc/dkimkeys/example.private")),
		pidFile: file(m.t, m.path("/run/opendkim/opendkim.pid")),
		active:  m.shell("systemctl is-active opendkim"),
		user:    m.shell(`stat -c %U:%G /proc/$(systemctl show -p MainPID --value opendkim)`),
	}
	_, s.selector, _ = strings.Cut(signature(m.t, m.path(socket)), " s=")
	s.selector, _, _ = strings.Cut(s.selector, ";")
	if main := m.shell("systemctl show -p MainPID --value opendkim"); main != m.shell("cat /run/opendkim/opendkim.pid") {
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
	install := func(from, to string, mode fs.FileMode) {
		t.Helper()
		data, err := os.ReadFile(from)
		if err == nil {
			err = os.WriteFile(m.path(to), data, mode)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	install(program, "/usr/local/bin/postseal", 0o755)
	key := filepath.Join(t.TempDir(), "key")
	newKeyFile(t, key)
	install(key, "/etc/dkimkeys/example.private", 0o600)
	m.shell("chown opendkim:opendkim /etc/dkimkeys/example.private")
	m.shell("printf 'Domain example.com\nSelector one\nKeyFile /etc/dkimkeys/example.private\n' >>/etc/opendkim.conf")
	m.shell("systemd-tmpfiles --create opendkim.conf")

	do := func(commands [2]string) {
		t.Helper()
		for _, line := range commands {
			m.shell(line)
		}
	}
	is := func(program string) {
		t.Helper()
		if exe := m.shell("readlink /proc/$(systemctl show -p MainPID --value opendkim)/exe"); exe != program {
			t.Errorf("%s runs and not %s", exe, program)
		}
	}
	m.shell("systemctl start opendkim")
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
	if out := m.shell("setpriv --reuid=nobody --regid=nogroup --clear-groups cat /etc/dkimkeys/example.private 2>&1 || true"); !strings.Contains(out, "denied") {
		t.Errorf("another user reads the key: %.40q", out)
	}

	waiting := &instance{t: t}
	m.shell("sed -i 's/^Selector one/Selector two/' /etc/opendkim.conf && systemctl reload opendkim")
	waiting.await("the reload", func() bool { return m.service().selector == "two" })
	was := m.shell("systemctl show -p MainPID --value opendkim")
	m.shell("kill -KILL " + was)
	waiting.await("systemd's restart", func() bool {
		now := m.shell("systemctl show -p MainPID --value opendkim")
		return now != "0" && now != was
	})
	is("/usr/local/bin/postseal")

	// A reboot empties /run.
	m.shell("systemctl stop opendkim && rm -r /run/opendkim && systemd-tmpfiles --create opendkim.conf && systemctl start opendkim")
	is("/usr/local/bin/postseal")
	theirs.selector = "two"
	if ours := m.service(); ours != theirs {
		t.Errorf("OpenDKIM's:     %+v\nafter a reboot: %+v", theirs, ours)
	}

	// With a supervisor, the main process is that; it stays root and serves nobody.
	m.shell("echo 'AutoRestart yes' >>/etc/opendkim.conf && systemctl restart opendkim")
	if s := m.service(); s.selector != "two" || s.active != "active" || s.socket != theirs.socket {
		t.Errorf("supervised: %+v", s)
	}
	m.shell("sed -i '/^AutoRestart/d' /etc/opendkim.conf")

	// A start that fails is a failed start.
	m.shell("echo 'Nonsense yes' >>/etc/opendkim.conf")
	if out, err := m.command("systemctl", "restart", "opendkim").CombinedOutput(); err == nil {
		t.Errorf("a start with a broken configuration: %s", out)
	}
	if status := m.shell("systemctl show -p ExecMainStatus --value opendkim; systemctl show -p Result --value opendkim"); status != "78\nexit-code" && status != "0\nexit-code" {
		t.Errorf("status of the failed start: %q", status)
	}
	m.shell("systemctl stop opendkim && sed -i '/^Nonsense/d' /etc/opendkim.conf")

	do(swapBack)
	is("/usr/sbin/opendkim")
	if back := m.service(); back != theirs {
		t.Errorf("OpenDKIM's: %+v\nafter:      %+v", theirs, back)
	}
	if out := m.shell("dpkg --verify opendkim | grep sbin || true"); out != "" {
		t.Errorf("the package is not as it was: %s", out)
	}
}
