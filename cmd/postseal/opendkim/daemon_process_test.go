package opendkim

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	gomilter "github.com/emersion/go-milter"

	"github.com/postseal/postseal/keys"
	"github.com/postseal/postseal/milter"
	"github.com/postseal/postseal/milter/dkim"
	"github.com/postseal/postseal/testdata/peers"
)

// The account that daemons of these tests become, with a group that is not its
// own.
const (
	testUser  = "nobody"
	testGroup = "daemon"
)

// built is the program, which is built once for all tests of the package.
var built = struct {
	sync.Once
	dir string
	err error
}{}

func TestMain(m *testing.M) {
	exit := m.Run()
	if built.dir != "" {
		os.RemoveAll(built.dir)
	}
	os.Exit(exit)
}

// daemonProgram returns the program under opendkim's name.
func daemonProgram(t *testing.T) string {
	t.Helper()
	built.Do(func() {
		if built.dir, built.err = os.MkdirTemp("", "postseal-program-"); built.err != nil {
			return
		}
		if built.err = os.Chmod(built.dir, 0o755); built.err != nil { // tests run it as other users
			return
		}
		if out, err := exec.Command("go", "build", "-o", filepath.Join(built.dir, "postseal"), "..").CombinedOutput(); err != nil {
			built.err = fmt.Errorf("go build: %w\n%s", err, out)
			return
		}
		built.err = os.Symlink("postseal", filepath.Join(built.dir, "opendkim"))
	})
	if built.err != nil {
		t.Fatal(built.err)
	}
	return filepath.Join(built.dir, "opendkim")
}

// debianProgram is Debian's opendkim.
func debianProgram(t *testing.T) string {
	t.Helper()
	const program = "/usr/sbin/opendkim"
	if _, err := os.Stat(program); err != nil {
		peers.Require(t, fmt.Errorf("no opendkim: %w; testdata/peers.sh installs it", err))
	}
	return program
}

func asRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("only root can become another user")
	}
}

// instance is a folder with a configuration, and the daemon that runs with it.
// In texts "@DIR@" stands for the folder. "@DIR@/run" belongs to testUser.
type instance struct {
	t       *testing.T
	program string
	dir     string
	pid     int
}

func newInstance(t *testing.T, program string) *instance {
	t.Helper()
	dir, err := os.MkdirTemp("", "postseal-daemon-") // a socket's path is short, and others may enter
	if err != nil {
		t.Fatal(err)
	}
	i := &instance{t: t, program: program, dir: dir}
	t.Cleanup(func() {
		i.kill()
		os.RemoveAll(dir)
	})
	i.must(os.Chmod(dir, 0o755))
	i.mkdir("run")
	return i
}

func (i *instance) must(err error) {
	i.t.Helper()
	if err != nil {
		i.t.Fatal(err)
	}
}

// mkdir makes a folder that belongs to testUser where we can give it away.
func (i *instance) mkdir(name string) {
	i.t.Helper()
	path := filepath.Join(i.dir, name)
	i.must(os.MkdirAll(path, 0o755))
	if os.Geteuid() == 0 {
		i.must(exec.Command("chown", testUser, path).Run())
	}
}

func (i *instance) write(name, text string) {
	i.t.Helper()
	i.must(os.WriteFile(filepath.Join(i.dir, name), []byte(strings.ReplaceAll(text, "@DIR@", i.dir)), 0o600))
}

// conf writes the configuration: what all need, and these lines.
func (i *instance) conf(lines ...string) {
	i.t.Helper()
	i.write("conf", "Syslog no\nSocket local:@DIR@/run/socket\nPidFile @DIR@/run/pid\nRequireSafeKeys no\n"+strings.Join(lines, "\n")+"\n")
}

func (i *instance) command(args ...string) *exec.Cmd {
	return exec.Command(i.program, append([]string{"-x", filepath.Join(i.dir, "conf")}, args...)...)
}

// run is the command with the configuration and more arguments.
func (i *instance) run(args ...string) (exit int, stderr string) {
	i.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	cmd := i.command(args...)
	var text strings.Builder
	cmd.Stderr = &text
	i.must(cmd.Start())
	defer context.AfterFunc(ctx, func() { _ = cmd.Process.Kill() })()
	err := cmd.Wait()
	var status *exec.ExitError
	if err != nil && !errors.As(err, &status) {
		i.t.Fatalf("%v: %s", err, text.String())
	}
	return cmd.ProcessState.ExitCode(), text.String()
}

// start starts the daemon in the background.
func (i *instance) start(args ...string) {
	i.t.Helper()
	if exit, stderr := i.run(args...); exit != 0 {
		i.t.Fatalf("exit status %d: %s", exit, stderr)
	}
	i.pid = i.readPid(filepath.Join(i.dir, "run/pid"))
}

// readPid waits for a pid file.
func (i *instance) readPid(path string) (pid int) {
	i.t.Helper()
	i.await("a pid file", func() bool {
		data, _ := os.ReadFile(path)
		pid, _ = strconv.Atoi(strings.TrimSpace(string(data)))
		return pid > 0
	})
	return pid
}

// await waits until it is so.
func (i *instance) await(what string, so func() bool) {
	i.t.Helper()
	for end := time.Now().Add(time.Minute); !so(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			i.t.Fatalf("waiting for %s", what)
		}
	}
}

// kill ends what is left of the daemon.
func (i *instance) kill() {
	for _, pid := range append(children(i.pid), i.pid) {
		if pid > 0 && alive(pid) {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
	}
}

// stop ends the daemon as a service manager does.
func (i *instance) stop() {
	i.t.Helper()
	i.must(syscall.Kill(i.pid, syscall.SIGTERM))
	i.await("the end", func() bool { return !alive(i.pid) })
	i.pid = 0
}

// alive reports whether a process is there and no zombie.
func alive(pid int) bool {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	return err == nil && !strings.Contains(string(status), "State:\tZ")
}

// children are the processes that a process has started and that run.
func children(pid int) (found []int) {
	names, _ := filepath.Glob("/proc/[0-9]*/status")
	for _, name := range names {
		status, err := os.ReadFile(name)
		if err == nil && strings.Contains(string(status), fmt.Sprintf("\nPPid:\t%d\n", pid)) && !strings.Contains(string(status), "State:\tZ") {
			if n, err := strconv.Atoi(filepath.Base(filepath.Dir(name))); err == nil {
				found = append(found, n)
			}
		}
	}
	return found
}

// worker waits for the daemon that a supervisor has started, other than one
// from before.
func (i *instance) worker(before int) (pid int) {
	i.t.Helper()
	i.await("a worker", func() bool {
		pids := children(i.pid)
		if len(pids) != 1 || pids[0] == before {
			return false
		}
		pid = pids[0]
		return true
	})
	return pid
}

// field is a line of /proc/PID/status.
func field(t *testing.T, pid int, name string) string {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(status), "\n"+name+":\t")
	value, _, _ := strings.Cut(rest, "\n")
	return strings.TrimSpace(value)
}

// file is the owner and the mode of a file.
func file(t *testing.T, path string) string {
	t.Helper()
	fi, err := os.Lstat(path)
	if err != nil {
		t.Fatal(err)
	}
	st := fi.Sys().(*syscall.Stat_t)
	return fmt.Sprintf("%v %d:%d", fi.Mode(), st.Uid, st.Gid)
}

// signature hands a message to the daemon on a socket and returns its
// DKIM-Signature, "" without one.
func signature(t *testing.T, socket string) string {
	t.Helper()
	r := rehearsal{call: call{name: "test", err: io.Discard}, client: gomilter.NewClientWithOptions("unix", socket, gomilter.ClientOptions{
		ActionMask:   gomilter.OptAddHeader | gomilter.OptChangeHeader,
		ProtocolMask: gomilter.OptHeaderLeadingSpace,
	})}
	defer r.client.Close()
	changes, _, err := r.send("message", []dkim.Field{
		{Name: "From", Value: " a@example.com"}, {Name: "Date", Value: " Mon, 02 Nov 2026 10:00:00 +0000"}, {Name: "Subject", Value: " x"},
	}, "hello\r\n")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range changes {
		if c.HeaderName == "DKIM-Signature" {
			return c.HeaderValue
		}
	}
	return ""
}

// newKeyFile writes a private key.
func newKeyFile(t *testing.T, path string) {
	t.Helper()
	key, err := keys.Generate("rsa", 2048)
	if err == nil {
		err = keys.WritePrivate(path, key)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// Under UserID the process, the socket and the pid file are as with OpenDKIM,
// with every UMask.
func TestDaemonPrivileges(t *testing.T) {
	asRoot(t)
	t.Parallel()
	theirs, ours := debianProgram(t), daemonProgram(t)
	type seen struct{ uid, gid, groups, socket, pid, dir string }
	look := func(t *testing.T, program string, lines ...string) seen {
		i := newInstance(t, program)
		i.conf(lines...)
		i.start()
		socket := filepath.Join(i.dir, "run/socket")
		i.await("the socket", func() bool { _, err := os.Lstat(socket); return err == nil })
		cwd, err := os.Readlink(fmt.Sprintf("/proc/%d/cwd", i.pid))
		i.must(err)
		return seen{
			field(t, i.pid, "Uid"), field(t, i.pid, "Gid"), field(t, i.pid, "Groups"),
			file(t, socket), file(t, filepath.Join(i.dir, "run/pid")), strings.ReplaceAll(cwd, i.dir, "@DIR@"),
		}
	}
	for _, lines := range [][]string{
		{"UserID " + testUser + ":" + testGroup, "UMask 002"},
		{"UserID " + testUser + ":" + testGroup, "UMask 007"},
		{"UserID " + testUser, "UMask 0077"},
		{"UserID " + testUser, "UMask 22"}, // 026 in octal
		{"UserID " + testUser},
		{"UserID 65534", "BaseDirectory @DIR@/run"},
		{"UMask 007"},
	} {
		t.Run(strings.Join(lines, ", "), func(t *testing.T) {
			t.Parallel()
			want, got := look(t, theirs, lines...), look(t, ours, lines...)
			if lines[len(lines)-1] == "BaseDirectory @DIR@/run" {
				// They change to it. Ours stays, and takes relative paths from there.
				got.dir = want.dir
			}
			if want != got {
				t.Errorf("OpenDKIM: %+v\nours:     %+v", want, got)
			}
			if len(lines) > 1 && strings.HasPrefix(lines[0], "UserID") && got.uid != "65534\t65534\t65534\t65534" {
				t.Errorf("uid %q", got.uid)
			}
		})
	}
}

// KeyFile is read as root, and signs after root is given up, in another root
// folder, and after a reload that cannot read it.
func TestDaemonChroot(t *testing.T) {
	asRoot(t)
	t.Parallel()
	i := newInstance(t, daemonProgram(t))
	i.mkdir("jail")
	i.mkdir("jail/run")
	newKeyFile(t, filepath.Join(i.dir, "key"))
	i.write("conf", `Syslog no
Socket local:/run/socket
PidFile /run/pid
ChangeRootDirectory @DIR@/jail
UserID nobody
RequireSafeKeys no
Domain example.com
Selector s
KeyFile @DIR@/key
InternalHosts 127.0.0.1
`)
	if exit, stderr := i.run(); exit != 0 {
		t.Fatalf("exit status %d: %s", exit, stderr)
	}
	data, err := os.ReadFile(filepath.Join(i.dir, "jail/run/pid"))
	i.must(err)
	i.pid, err = strconv.Atoi(strings.TrimSpace(string(data)))
	i.must(err)
	if root, err := os.Readlink(fmt.Sprintf("/proc/%d/root", i.pid)); err != nil || root != filepath.Join(i.dir, "jail") {
		t.Errorf("root folder %q, %v", root, err)
	}
	socket := filepath.Join(i.dir, "jail/run/socket")
	if s := signature(t, socket); !strings.Contains(s, "d=example.com") {
		t.Errorf("signature %q", s)
	}
	i.stop()
	for _, name := range []string{"socket", "pid", "control.sock"} {
		if _, err := os.Lstat(filepath.Join(i.dir, "jail/run", name)); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s is left: %v", name, err)
		}
	}
}

// Keys of KeyTable are read as UserID, and a reload runs as UserID: what only
// root can read stays out of reach, and the old configuration in force.
func TestDaemonReadsAsUser(t *testing.T) {
	asRoot(t)
	t.Parallel()
	i := newInstance(t, daemonProgram(t))
	newKeyFile(t, filepath.Join(i.dir, "root.key"))
	newKeyFile(t, filepath.Join(i.dir, "user.key"))
	i.must(exec.Command("chown", testUser, filepath.Join(i.dir, "user.key")).Run())
	i.write("keys", "k example.com:s:@DIR@/user.key\nr example.org:s:@DIR@/root.key\n")
	i.write("signing", "example.com k\nexample.org r\n")
	i.conf("UserID "+testUser, "KeyTable file:@DIR@/keys", "SigningTable file:@DIR@/signing", "InternalHosts 127.0.0.1")
	i.start()
	socket := filepath.Join(i.dir, "run/socket")
	if s := signature(t, socket); !strings.Contains(s, "d=example.com") {
		t.Errorf("signature %q", s)
	}
	ask := milter.Control{Dir: filepath.Join(i.dir, "run")}
	status, err := ask.Status(t.Context())
	i.must(err)
	if len(status.Disabled) != 1 || !strings.Contains(status.Disabled[0], "root.key: permission denied") {
		t.Errorf("disabled: %q", status.Disabled)
	}
	i.must(syscall.Kill(i.pid, syscall.SIGUSR1))
	i.await("a reload", func() bool {
		status, err = ask.Status(t.Context())
		return err == nil && !status.LastReload.Time.IsZero()
	})
	if p := strings.Join(status.LastReload.Problems, "\n"); !strings.Contains(p, "conf") {
		t.Errorf("a reload that may not read the configuration: %q", p)
	}
	if s := signature(t, socket); !strings.Contains(s, "d=example.com") {
		t.Errorf("signature after the reload %q", s)
	}
}
