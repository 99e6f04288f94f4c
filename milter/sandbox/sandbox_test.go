package sandbox

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"

	landlock "github.com/landlock-lsm/go-landlock/landlock/syscall"
	"golang.org/x/sys/unix"
)

// inside in the environment is the folder of a process that is to enter.
const inside = "POSTSEAL_TEST_INSIDE"

// attempts are what the process tries in a folder: "in" is granted for reading,
// "gone" is until it is made anew, "run" for removing, "out" is not.
var attempts = []struct {
	name string
	try  func(dir string) error
	want error // what it wraps
	abi  int   // of Landlock, from which on it is refused
}{
	{"read", reading("in/file"), nil, 1},
	{"read what came later", reading("in/later"), nil, 1},
	{"read in a folder that came later", reading("in/folder/file"), nil, 1},
	{"read elsewhere", reading("out/file"), fs.ErrPermission, 1},
	{"read through a link", reading("in/link"), fs.ErrPermission, 1},
	{"read from a folder made anew", reading("gone/file"), fs.ErrPermission, 1},
	{"read a file for all users elsewhere", func(string) error { _, err := os.ReadFile("/etc/services"); return err }, fs.ErrPermission, 1},
	{"list", func(dir string) error { _, err := os.ReadDir(dir + "/in"); return err }, fs.ErrPermission, 1},
	{"see", func(dir string) error { _, err := os.Stat(dir + "/out/file"); return err }, nil, 1},
	{"be notified", func(dir string) error {
		fd, err := unix.InotifyInit1(unix.IN_CLOEXEC)
		if err == nil {
			_, err = unix.InotifyAddWatch(fd, dir+"/out", unix.IN_CREATE)
			err = errors.Join(err, unix.Close(fd))
		}
		return err
	}, nil, 1},
	{"write", func(dir string) error { return os.WriteFile(dir+"/in/file", nil, 0) }, fs.ErrPermission, 1},
	{"make", func(dir string) error { return os.WriteFile(dir+"/in/new", nil, 0o600) }, fs.ErrPermission, 1},
	{"make a folder", func(dir string) error { return os.Mkdir(dir+"/run/new", 0o700) }, fs.ErrPermission, 1},
	{"rename", func(dir string) error { return os.Rename(dir+"/in/file", dir+"/run/file") }, fs.ErrPermission, 1},
	{"truncate", func(dir string) error { return os.Truncate(dir+"/in/file", 0) }, fs.ErrPermission, 3},
	{"remove elsewhere", func(dir string) error { return os.Remove(dir + "/in/file") }, fs.ErrPermission, 1},
	{"read what may be removed", reading("run/pid"), fs.ErrPermission, 1},
	{"itself", func(string) error { _, err := os.ReadFile("/proc/self/status"); return err }, nil, 1},
	{"run", func(string) error {
		cmd := exec.Command("/bin/true")
		cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
		return cmd.Run()
	}, fs.ErrPermission, 1},
	{"a unix socket", func(dir string) error {
		c, err := net.Dial("unix", dir+"/out/socket") // as the log daemon's
		if err == nil {
			err = c.Close()
		}
		return err
	}, nil, 1},
	{"a TCP port", func(string) error {
		var c net.ListenConfig
		c.SetMultipathTCP(false)
		_, err := c.Listen(context.Background(), "tcp", "127.0.0.1:0")
		return err
	}, fs.ErrPermission, 4},
	{"a signal", func(string) error { return syscall.Kill(os.Getppid(), 0) }, fs.ErrPermission, 6},
	{"a signal to itself", func(string) error { return syscall.Kill(os.Getpid(), 0) }, nil, 1},
}

func reading(name string) func(dir string) error {
	return func(dir string) error { _, err := os.ReadFile(filepath.Join(dir, name)); return err }
}

// Every thread of a process that has entered, those that were there before among
// them, can do what it needs and nothing more.
func TestEnter(t *testing.T) {
	if dir := os.Getenv(inside); dir != "" {
		enter(t, dir)
		return
	}
	if _, err := landlock.LandlockGetABIVersion(); err != nil {
		t.Skipf("the kernel has no Landlock: %v", err)
	}
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	lay(t, dir, "in/file", "gone/file", "out/file", "in/link -> ../out/file", "run/pid")
	socket, err := net.Listen("unix", dir+"/out/socket")
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self, "-test.run", "^TestEnter$", "-test.v")
	cmd.Env = append(os.Environ(), inside+"="+dir)
	stdin, err1 := cmd.StdinPipe()
	stdout, err2 := cmd.StdoutPipe()
	if err := errors.Join(err1, err2, cmd.Start()); err != nil {
		t.Fatal(err)
	}
	out := bufio.NewReader(stdout)
	var said strings.Builder
	for !strings.Contains(said.String(), entered) {
		line, err := out.ReadString('\n')
		said.WriteString(line)
		if err != nil {
			t.Fatalf("%v\n%s", err, &said)
		}
	}
	if err := os.RemoveAll(dir + "/gone"); err != nil {
		t.Fatal(err)
	}
	lay(t, dir, "in/later", "in/folder/file", "gone/file")
	stdin.Close()
	_, _ = io.Copy(&said, out)
	if err := cmd.Wait(); err != nil || !strings.Contains(said.String(), "--- PASS: TestEnter/a_signal_to_itself") {
		t.Errorf("%v\n%s", err, &said)
	}
	if _, err := os.Lstat(dir + "/run/pid"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the pid file is left: %v", err)
	}
}

// entered is what the process says when its folder may change.
const entered = "has entered"

// enter enters, and tries everything.
func enter(t *testing.T, dir string) {
	start := make(chan struct{})
	ended := make([]chan error, len(attempts))
	for i, a := range attempts {
		ended[i] = make(chan error, 1)
		there := make(chan struct{})
		go func() {
			runtime.LockOSThread() // and the next attempt is in another thread
			close(there)
			<-start
			ended[i] <- a.try(dir)
		}()
		<-there
	}
	box, err := Enter(Needs{Files: []string{dir + "/in/file", dir + "/gone/file"}, Remove: []string{dir + "/run/pid"}})
	if err != nil {
		t.Fatal(err)
	}
	fmt.Println(entered, box)
	_, _ = os.Stdin.Read(make([]byte, 1))
	close(start)
	for i, a := range attempts {
		t.Run(a.name, func(t *testing.T) {
			if box.abi < a.abi {
				t.Skipf("it takes ABI %d", a.abi)
			}
			if err := <-ended[i]; a.want == nil && err != nil || a.want != nil && !errors.Is(err, a.want) {
				t.Errorf("%v, want %v", err, a.want)
			}
		})
	}
	got := box.Outside(dir+"/in/file", dir+"/in/none/there", dir+"/out/file", dir+"/out", dir+"/in/link", dir+"/gone/file", "/etc/services", "/etc/passwd", "/nonexistent/x")
	want := []string{dir + "/out/file", dir + "/out", dir + "/in/link", dir + "/gone/file", "/etc/services", "/nonexistent/x"}
	if !slices.Equal(got, want) {
		t.Errorf("outside: %q", got)
	}
	if err := os.Remove(dir + "/run/pid"); err != nil {
		t.Error(err)
	}
}
