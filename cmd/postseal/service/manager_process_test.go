package service

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/postseal/postseal/keys"
	"github.com/postseal/postseal/milter"
	"github.com/postseal/postseal/testdata/peers"
)

// started is the program, started as a service manager does it: with its variables,
// and a listening socket as the first descriptor.
type started struct {
	*notified
	cmd    *exec.Cmd
	socket string
	output bytes.Buffer
}

// startManaged makes a configuration and starts the program. Its manager listens on
// an abstract socket, to which a sandbox forbids new connections.
func startManaged(t *testing.T, name string, config func(dir string) (file, text string), args ...string) (*started, string) {
	t.Helper()
	dir := t.TempDir()
	program := filepath.Join(dir, name)
	if out, err := exec.Command("go", "build", "-o", program, "..").CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	key, err := keys.Generate("ed25519", 0)
	if err == nil {
		err = keys.WritePrivate(filepath.Join(dir, "key"), key)
	}
	if err != nil {
		t.Fatal(err)
	}
	file, text := config(dir)
	if err := os.WriteFile(filepath.Join(dir, file), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	s := &started{socket: filepath.Join(dir, "s")}
	notify := fmt.Sprintf("@postseal-%s-%d", t.Name(), os.Getpid())
	s.notified = newNotified(t, notify)
	l, err := net.Listen("unix", s.socket)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	f, err := l.(*net.UnixListener).File()
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	s.cmd = exec.Command("sh", append([]string{"-c", `LISTEN_PID=$$ WATCHDOG_PID=$$ exec "$@"`, "sh", program}, args...)...)
	s.cmd.Dir = dir
	s.cmd.Env = append(os.Environ(), "NOTIFY_SOCKET="+notify, "WATCHDOG_USEC=120000000", "LISTEN_FDS=1", "LISTEN_FDNAMES=milter")
	s.cmd.ExtraFiles = []*os.File{f}
	s.cmd.Stdout, s.cmd.Stderr = &s.output, &s.output
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} // a test that times out cleans nothing up
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = s.cmd.Process.Kill()
		_ = s.cmd.Wait()
		if t.Failed() {
			t.Log(s.output.String())
		}
	})
	return s, dir
}

// The daemon tells its manager of its start, of reloads and of its stop, from within
// its sandbox, and uses the manager's socket.
func TestManagedProcess(t *testing.T) {
	t.Parallel()
	s, dir := startManaged(t, "postseal", func(dir string) (string, string) {
		return "postseal.toml", fmt.Sprintf("socket = \"local:%s/s\"\nruntime_directory = \"%s/run\"\ndomain = \"example.com\"\nselector = \"s1\"\nkey_file = \"key\"\nrequire_safe_keys = false\nwatch_files = false\n", dir, dir)
	}, "serve", "-c", "postseal.toml")
	s.want("STATUS=reading …", "EXTEND_TIMEOUT_USEC=600000000")
	s.want("READY=1", "STATUS=serving; keys: 1")
	for !slices.Equal(s.any(), []string{"WATCHDOG=1"}) {
	}
	var st milter.Status
	out, err := exec.Command(filepath.Join(dir, "postseal"), "status", "--json", "--runtime-directory", filepath.Join(dir, "run")).Output()
	if err == nil {
		err = json.Unmarshal(out, &st)
	}
	if err != nil || !slices.Equal(st.Sockets, []string{"local:" + s.socket + " (inherited)"}) {
		t.Errorf("sockets %q, %v", st.Sockets, err)
	}
	mail := peers.Mail{Host: "localhost", Addr: "127.0.0.1", From: "user@example.com", To: []string{"user@example.net"}, Fields: []string{"From: user@example.com"}, Body: "x\r\n"}
	changes, _, err := peers.Ask(s.socket, mail)
	if err != nil || len(changes) != 1 || changes[0].HeaderName != "DKIM-Signature" {
		t.Errorf("%+v, %v", changes, err)
	}
	if err := s.cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	s.want("RELOADING=1", "MONOTONIC_USEC=…", "STATUS=reloading", "EXTEND_TIMEOUT_USEC=600000000")
	s.want("READY=1", "STATUS=serving; keys: 1")
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	s.want("STOPPING=1", "STATUS=stopping; messages in progress have 20s", "EXTEND_TIMEOUT_USEC=30000000")
	if err := s.cmd.Wait(); err != nil {
		t.Error(err)
	}
	if _, err := os.Lstat(s.socket); err != nil {
		t.Errorf("the manager's socket is removed: %v", err)
	}
}

// A daemon in the background is not the process that the manager has started: it
// says nothing in that one's name, and says why.
func TestManagedInBackground(t *testing.T) {
	t.Parallel()
	s, dir := startManaged(t, "opendkim", func(dir string) (string, string) {
		return "opendkim.conf", fmt.Sprintf("Socket local:%s/own\nPidFile %s/pid\nDomain example.com\nSelector s1\nKeyFile %s/key\nRequireSafeKeys no\nBackground yes\nSyslog no\n", dir, dir, dir)
	}, "-x", "opendkim.conf")
	if err := s.cmd.Wait(); err != nil {
		t.Fatal(err)
	}
	file := &pidFile{path: filepath.Join(dir, "pid")}
	pid := file.read()
	if pid == 0 {
		t.Fatal("no pid file")
	}
	t.Cleanup(func() {
		if file.read() == pid {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
	})
	environment, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", pid))
	if err != nil {
		t.Error(err)
	}
	for _, name := range []string{"NOTIFY_SOCKET", "WATCHDOG_", "LISTEN_"} {
		if bytes.Contains(environment, []byte(name)) {
			t.Errorf("the daemon finds %s", name)
		}
	}
	s.want("STATUS=reading …", "EXTEND_TIMEOUT_USEC=600000000")
	s.want("STATUS=")
	if !strings.Contains(s.output.String(), "in the background the service manager is told nothing") {
		t.Error("it does not say so")
	}
	if err := syscall.Kill(pid, syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(time.Minute); file.read() == pid && time.Now().Before(end); {
		time.Sleep(10 * time.Millisecond)
	}
	own, err := net.DialUnix("unixgram", nil, s.conn.LocalAddr().(*net.UnixAddr))
	if err != nil {
		t.Fatal(err)
	}
	defer own.Close()
	if _, err := own.Write([]byte("nothing between")); err != nil {
		t.Fatal(err)
	}
	s.want("nothing between")
}
