//go:build !386 && !arm

package postfix

import (
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
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
