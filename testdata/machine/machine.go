// Package machine starts a machine for tests of what is installed: a systemd as
// process 1 in name spaces of its own, with this machine's files as they are. What
// it writes lands in memory and is gone in the end; nothing of this machine's
// files, units, users or network is touched. It takes root and Debian's systemd.
package machine

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
	"time"

	"github.com/postseal/postseal/testdata/peers"
)

// Machine is one that runs.
type Machine struct {
	t   testing.TB
	pid int // of its process 1, as we see it
}

// patience is how long anything may take on a machine that is busy.
const patience = 2 * time.Minute

// boot makes the mounts of the machine and becomes its systemd. $1 is a folder
// for the mounts, $2 the hierarchy of control groups. Of the early boot only the
// journal is left: the rest would look for hardware.
const boot = `set -e
umask 022 # the root folder is for all users
mount -t tmpfs tmpfs "$1"
mkdir "$1/upper" "$1/work" "$1/root"
mount -t overlay overlay -o "lowerdir=/,upperdir=$1/upper,workdir=$1/work" "$1/root"
cd "$1/root"
mount -t proc proc proc
mount -t sysfs sysfs sys
mount --rbind /dev dev
for d in run tmp var/tmp; do mount -t tmpfs -o mode=1777 tmpfs $d; done
chmod 755 run
mount -t tmpfs tmpfs sys/fs/cgroup
if [ "$2" = systemd ]; then
	mkdir sys/fs/cgroup/systemd
	mount -t cgroup -o none,name=systemd cgroup sys/fs/cgroup/systemd
else
	mount -t cgroup2 cgroup2 sys/fs/cgroup
fi
rm -rf etc/systemd/system/* etc/machine-id
tr -d - </proc/sys/kernel/random/uuid >etc/machine-id
for d in lib/systemd/system/*.wants; do
	for unit in "$d"/*; do
		case "$unit" in
		*/systemd-journald*) ;;
		*) rm -f "$unit" ;;
		esac
	done
done
for unit in network-online.target systemd-resolved.service systemd-udevd.service systemd-journal-flush.service \
	dev-hugepages.mount dev-mqueue.mount sys-kernel-debug.mount sys-kernel-tracing.mount; do
	ln -s /dev/null etc/systemd/system/$unit
done
mkdir -p etc/systemd/journald.conf.d
printf '[Journal]\nReadKMsg=no\n' >etc/systemd/journald.conf.d/alone.conf # the kernel is not ours alone
rm -f usr/sbin/policy-rc.d # packages may start services here
ip link set lo up
mkdir run/old
pivot_root . run/old
umount -l /run/old
mount --make-rshared / # as systemd does where it is in no container: credentials are mounted by a child
exec env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin container=test LC_ALL=C.UTF-8 \
	/lib/systemd/systemd --system --unit=multi-user.target --log-target=console --show-status=no
`

// Start boots a machine; it is gone when the test ends.
func Start(t testing.TB) *Machine {
	t.Helper()
	if os.Geteuid() != 0 {
		peers.Require(t, fmt.Errorf("a machine of its own takes root"))
	}
	for _, path := range []string{"/lib/systemd/systemd", "/usr/bin/nsenter", "/usr/bin/unshare"} {
		if _, err := os.Stat(path); err != nil {
			peers.Require(t, fmt.Errorf("%w; testdata/peers.sh installs systemd and util-linux", err))
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
	mounts, err := os.MkdirTemp("", "machine-") // no comma in it, which overlayfs takes for the end
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(mounts) })
	cmd := exec.Command("sh", "-c", `echo $$ >"$1/cgroup.procs" && exec unshare -mpfCiun --kill-child --propagation private sh -c "$2" sh "$3" "$4"`,
		"sh", group, boot, mounts, hierarchy)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} // a test that times out cleans nothing up
	var output strings.Builder
	cmd.Stdout, cmd.Stderr = &output, &output
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	m := &Machine{t: t}
	t.Cleanup(func() {
		if t.Failed() && m.pid > 0 {
			out, _ := m.Command("journalctl", "--no-pager", "-n", "200").CombinedOutput()
			t.Logf("the journal:\n%s", out)
		}
		if m.pid > 0 {
			_ = syscall.Kill(m.pid, syscall.SIGKILL)
		} else {
			_ = cmd.Process.Kill()
		}
		_ = cmd.Wait()
		if t.Failed() {
			t.Log(output.String())
		}
		m.Await("an empty control group", func() bool { return removed(group) })
	})
	m.Await("systemd", func() bool {
		pids := children(cmd.Process.Pid)
		if len(pids) != 1 {
			if syscall.Kill(cmd.Process.Pid, 0) != nil || ended(cmd.Process.Pid) {
				_ = cmd.Wait()
				peers.Require(t, fmt.Errorf("no name spaces for a systemd: %s", output.String()))
			}
			return false
		}
		m.pid = pids[0]
		out, _ := m.Command("systemctl", "is-system-running").Output()
		state := strings.TrimSpace(string(out))
		return state == "running" || state == "degraded"
	})
	return m
}

// Command runs words in the machine as root.
func (m *Machine) Command(words ...string) *exec.Cmd {
	return exec.Command("nsenter", append([]string{"-t", strconv.Itoa(m.pid), "-m", "-p", "-C", "-i", "-u", "-n", "-r", "-w", "--",
		"env", "-i", "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C.UTF-8", "HOME=/root"}, words...)...)
}

// Try runs a line of shell and returns what it prints, without blanks around it.
func (m *Machine) Try(line string) (string, error) {
	out, err := m.Command("sh", "-c", line).CombinedOutput()
	return strings.TrimSpace(string(out)), err
}

// Shell is Try for a line that must end with 0.
func (m *Machine) Shell(line string) string {
	m.t.Helper()
	out, err := m.Try(line)
	if err != nil {
		m.t.Fatalf("%s: %v\n%s", line, err, out)
	}
	return out
}

// Path is where we see a file of the machine; the folders of links in it are
// looked up in ours.
func (m *Machine) Path(name string) string { return fmt.Sprintf("/proc/%d/root%s", m.pid, name) }

// Write makes a file, and the folders above it.
func (m *Machine) Write(name, text string, mode fs.FileMode) {
	m.t.Helper()
	err := os.MkdirAll(filepath.Dir(m.Path(name)), 0o755)
	if err == nil {
		err = os.WriteFile(m.Path(name), []byte(text), mode)
	}
	if err == nil {
		err = os.Chmod(m.Path(name), mode)
	}
	if err != nil {
		m.t.Fatal(err)
	}
}

// Install copies one of our files.
func (m *Machine) Install(from, to string, mode fs.FileMode) {
	m.t.Helper()
	data, err := os.ReadFile(from)
	if err != nil {
		m.t.Fatal(err)
	}
	m.Write(to, string(data), mode)
}

// Await waits until something is so.
func (m *Machine) Await(what string, so func() bool) {
	m.t.Helper()
	for end := time.Now().Add(patience); !so(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			m.t.Fatalf("waited %v for %s", patience, what)
		}
	}
}

// removed removes a control group and those below it, which succeeds once their
// processes have gone.
func removed(group string) bool {
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
}

// children are the processes that pid has started.
func children(pid int) (pids []int) {
	data, _ := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
	for _, s := range strings.Fields(string(data)) {
		if n, err := strconv.Atoi(s); err == nil {
			pids = append(pids, n)
		}
	}
	return pids
}

// ended reports whether a process waits to be waited for.
func ended(pid int) bool {
	data, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	_, rest, _ := strings.Cut(string(data), ") ")
	return strings.HasPrefix(rest, "Z")
}
