//go:build !386 && !arm

package postfix

import (
	"errors"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/postseal/postseal/testdata/peers"
)

// rights are the lines of every thread's status that say who it is.
func rights(t *testing.T) map[string]bool {
	t.Helper()
	found := map[string]bool{}
	files, err := filepath.Glob("/proc/self/task/*/status")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range files {
		data, err := os.ReadFile(name)
		if err != nil {
			continue // it has ended
		}
		var who string
		for line := range strings.Lines(string(data)) {
			for _, word := range []string{"Uid:", "Gid:", "Groups:", "CapEff:"} {
				if strings.HasPrefix(line, word) {
					who += line
				}
			}
		}
		found[who] = true
	}
	return found
}

// The socket is asked with the other's rights, and no thread keeps them: a process
// with threads that differ could not become another user later.
func TestDialAs(t *testing.T) {
	if os.Geteuid() != 0 {
		peers.Require(t, errors.New("becoming another user takes root"))
	}
	root, err := os.MkdirTemp("", "postseal-")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(root)
	if err := os.Chmod(root, 0o755); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("unix", filepath.Join(root, "socket"))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	const uid, group, other = 65534, 23456, 23457
	if err := os.Chown(filepath.Join(root, "socket"), 0, group); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(filepath.Join(root, "socket"), 0o660); err != nil {
		t.Fatal(err)
	}
	before := rights(t)
	if len(before) != 1 {
		t.Fatalf("threads differ before: %v", before)
	}
	var wait sync.WaitGroup
	for n := range 40 {
		wait.Go(func() {
			who, want := identity{uid: uid, gid: uid, groups: []int{group}}, error(nil)
			if n%2 == 1 {
				who.groups, want = []int{other}, fs.ErrPermission
			}
			conn, err := dialAs(root, "/socket", who)
			if !errors.Is(err, want) {
				t.Errorf("in group %v: %v, want %v", who.groups, err, want)
			}
			if err == nil {
				conn.Close()
			}
		})
	}
	wait.Wait()
	for who := range rights(t) {
		if !before[who] {
			t.Errorf("a thread is now\n%s", who)
		}
	}
}

// Where the system gives no leave to act as another user, that is said: it is no word
// about the socket. No thread is left with the rights of somebody else.
func TestDialAsConfined(t *testing.T) {
	const inside = "POSTSEAL_TEST_CONFINED"
	if os.Geteuid() != 0 {
		peers.Require(t, errors.New("becoming another user takes root"))
	}
	alone := []syscall.SysProcIDMap{{ContainerID: 0, HostID: 0, Size: 1}}
	tests := []struct {
		name string
		attr syscall.SysProcAttr
		who  identity
	}{
		{"setgroups is denied", syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWUSER, UidMappings: alone, GidMappings: alone}, identity{}},
		{"no such group", syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWUSER, UidMappings: alone, GidMappings: alone, GidMappingsEnableSetgroups: true}, identity{groups: []int{23456}}},
		{"no such main group", syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWUSER, UidMappings: alone, GidMappings: alone, GidMappingsEnableSetgroups: true}, identity{gid: 23456}},
		{"no such user", syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWUSER, UidMappings: alone, GidMappings: alone, GidMappingsEnableSetgroups: true}, identity{uid: 23456}},
		{"no /proc", syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS}, identity{uid: 23456, gid: 23456}},
	}
	if name := os.Getenv(inside); name != "" {
		for _, test := range tests {
			if test.name == name {
				confined(t, test.who, test.name == "no /proc")
			}
		}
		return
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			cmd := exec.Command(self, "-test.run", "^TestDialAsConfined$", "-test.v")
			cmd.Env = append(os.Environ(), inside+"="+test.name)
			cmd.SysProcAttr = &test.attr
			out, err := cmd.CombinedOutput()
			if errors.Is(err, fs.ErrPermission) || errors.Is(err, syscall.ENOSPC) {
				t.Skipf("this system gives us no namespace: %v", err)
			}
			if err != nil || !strings.Contains(string(out), "no leave to act as another user") {
				t.Errorf("%v\n%s", err, out)
			}
		})
	}
}

// confined is what happens in there.
func confined(t *testing.T, who identity, hidden bool) {
	root := t.TempDir()
	l, err := net.Listen("unix", filepath.Join(root, "s"))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if hidden {
		if err := syscall.Mount("none", "/proc", "tmpfs", 0, ""); err != nil {
			t.Fatal(err)
		}
	}
	before := rights(t)
	_, err = dialAs(root, "/s", who)
	if t.Log(err); !errors.Is(err, errRights) {
		t.Errorf("error %v", err)
	}
	for who := range rights(t) {
		if !before[who] {
			t.Errorf("a thread is now\n%s", who)
		}
	}
}
