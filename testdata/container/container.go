package container

import (
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/postseal/postseal/testdata/machine"
	"github.com/postseal/postseal/testdata/program"
)

// Options are what a container is started with beside its image.
type Options struct {
	// Words are the command, in place of the image's.
	Words []string
	// Env are variables beside the image's, "NAME=value".
	Env []string
	// Mounts are what it sees beside the image's files; those in a folder of
	// another come after it.
	Mounts []Mount
	// Groups are further groups of the user.
	Groups []int
	// ReadOnly is whether its root is.
	ReadOnly bool
	// Capabilities are what root in it is left with, as "+chown"; another user has
	// none anyway.
	Capabilities []string
}

// Mount is a file or folder of the host in a container.
type Mount struct {
	// Source is on the host; empty is a folder in memory that everybody may write
	// to, as "docker run --tmpfs" makes it.
	Source, Target string
	ReadOnly       bool
}

// Container is one that was started.
type Container struct {
	// Output is what it has printed.
	Output program.Output

	t     testing.TB
	user  string
	env   []string
	cmd   *exec.Cmd
	ended chan struct{}
}

// patience is how long anything may take on a machine that is busy.
const patience = 2 * time.Minute

// start makes the mounts of a container in the folder $2 and becomes what is behind
// the second "--". As a runtime does it, what is mounted on is made first, and the
// root is closed to changes in the end.
const start = `set -e
umask 022
image=$1 work=$2 readonly=$3
shift 3
mount -t tmpfs -o mode=755 tmpfs "$work"
mkdir "$work/upper" "$work/work" "$work/root"
if [ "$image" = / ]; then
	mount --rbind / "$work/root"
else
	mount -t overlay overlay -o "lowerdir=$image,upperdir=$work/upper,workdir=$work/work" "$work/root"
fi
cd "$work/root"
mkdir -p proc dev etc
mount -t proc -o nosuid,nodev,noexec proc proc
mount -t tmpfs -o mode=755 tmpfs dev
for file in null zero full random urandom; do
	: >dev/$file
	mount --bind /dev/$file dev/$file
done
ln -s /proc/self/fd dev/fd
ln -s /proc/self/fd/1 dev/stdout
ln -s /proc/self/fd/2 dev/stderr
for file in resolv.conf hosts hostname; do
	if [ ! -e etc/$file ]; then
		: >etc/$file
		mount --bind /etc/$file etc/$file
	fi
done
while [ "$1" != -- ]; do
	if [ -z "$2" ]; then
		mkdir -p ".$3"
		mount -t tmpfs -o nosuid,nodev,noexec tmpfs ".$3"
	else
		if [ -d "$2" ]; then
			mkdir -p ".$3"
		elif [ ! -e ".$3" ]; then
			mkdir -p ".${3%/*}"
			: >".$3"
		fi
		mount --rbind "$2" ".$3"
	fi
	if [ "$1" = true ]; then mount -o remount,bind,ro ".$3"; fi
	shift 3
done
shift
if [ "$readonly" = true ]; then mount -o remount,bind,ro "$work/root"; fi
exec "$@"
`

// Start starts a container on a host, or where that is nil on this machine; it is
// gone when the test ends.
func (i *Image) Start(t testing.TB, host *machine.Machine, o Options) *Container {
	t.Helper()
	var work string
	command := exec.Command
	if host != nil {
		command = func(name string, words ...string) *exec.Cmd { return host.Command(append([]string{name}, words...)...) }
		work = host.Shell("mktemp -d /run/container.XXXXXX")
	} else {
		work = t.TempDir()
	}
	words := []string{"-mpf", "--kill-child", "--propagation", "private", "sh", "-c", start, "sh", i.Root, work, strconv.FormatBool(o.ReadOnly)}
	for _, m := range o.Mounts {
		words = append(words, strconv.FormatBool(m.ReadOnly), m.Source, m.Target)
	}
	c := &Container{t: t, user: i.Config.User, ended: make(chan struct{})}
	c.env = append(append(c.env, i.Config.Env...), o.Env...)
	words = append(append(words, "--", "env", "-i"), c.env...)
	words = append(words, "setpriv", "--no-new-privs", "--inh-caps=-all")
	if len(o.Capabilities) > 0 {
		words = append(words, "--bounding-set=-all,"+strings.Join(o.Capabilities, ","))
	}
	var groups []string
	for _, g := range o.Groups {
		groups = append(groups, strconv.Itoa(g))
	}
	words = append(words, "chroot", "--userspec="+c.user, "--groups="+strings.Join(groups, ","), work+"/root")
	words = append(words, i.Config.Entrypoint...)
	if o.Words == nil {
		o.Words = i.Config.Cmd
	}
	c.cmd = command("unshare", append(words, o.Words...)...)
	c.cmd.Stdout, c.cmd.Stderr = &c.Output, &c.Output
	c.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} // a test that times out cleans nothing up
	if err := c.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		_ = c.cmd.Wait() // the state has it
		close(c.ended)
	}()
	t.Cleanup(func() {
		if pid := c.PID(); pid > 0 {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
		_ = c.cmd.Process.Kill()
		<-c.ended
		if t.Failed() {
			output := c.Output.String()
			const most = 8000
			t.Logf("the container printed in the end:\n%s", output[max(0, len(output)-most):])
		}
	})
	return c
}

// PID is its process 1, as this machine sees it; 0 if there is none (yet).
func (c *Container) PID() int {
	for pid := c.cmd.Process.Pid; ; {
		data, _ := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
		var err error
		if pid, err = strconv.Atoi(strings.TrimSpace(string(data))); err != nil {
			return 0
		}
		status, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
		_, numbers, _ := strings.Cut(string(status), "NSpid:")
		numbers, _, _ = strings.Cut(numbers, "\n")
		if strings.HasSuffix(numbers, "\t1") {
			return pid
		}
	}
}

// Path is where this machine sees a file of the container.
func (c *Container) Path(name string) string { return fmt.Sprintf("/proc/%d/root%s", c.PID(), name) }

// Exec runs a further program in it, as its user, and returns what that prints and
// its exit status.
func (c *Container) Exec(words ...string) (output string, status int) {
	c.t.Helper()
	user, group, _ := strings.Cut(c.user, ":")
	cmd := exec.Command("nsenter", append([]string{"-t", strconv.Itoa(c.PID()), "-m", "-p", "-n", "-r", "--setuid", user, "--setgid", group, "--"}, words...)...)
	cmd.Env = c.env
	out, err := cmd.CombinedOutput()
	if err != nil && cmd.ProcessState == nil {
		c.t.Fatal(err)
	}
	return string(out), cmd.ProcessState.ExitCode()
}

// Signal sends its process 1 a signal.
func (c *Container) Signal(s syscall.Signal) {
	c.t.Helper()
	if err := syscall.Kill(c.PID(), s); err != nil {
		c.t.Fatal(err)
	}
}

// Wait waits for its end and returns the exit status.
func (c *Container) Wait() int {
	c.t.Helper()
	select {
	case <-c.ended:
		return c.cmd.ProcessState.ExitCode()
	case <-time.After(patience):
		c.t.Fatal("the container does not end")
		return -1
	}
}

// Await waits until something is so.
func (c *Container) Await(what string, so func() bool) {
	c.t.Helper()
	for end := time.Now().Add(patience); !so(); time.Sleep(20 * time.Millisecond) {
		select {
		case <-c.ended:
			c.t.Fatalf("the container ended with %d before there was %s", c.cmd.ProcessState.ExitCode(), what)
		default:
		}
		if time.Now().After(end) {
			c.t.Fatalf("waited %v for %s", patience, what)
		}
	}
}

// AwaitOutput waits until it has printed a text.
func (c *Container) AwaitOutput(text string) {
	c.t.Helper()
	c.Await(fmt.Sprintf("%q in its output", text), func() bool { return strings.Contains(c.Output.String(), text) })
}
