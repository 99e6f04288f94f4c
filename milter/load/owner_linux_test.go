package load

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestOwner(t *testing.T) {
	for _, network := range []string{"unix", "tcp"} {
		if pid, err := Owner(new(filter).listen(t, network)); err != nil || pid != os.Getpid() {
			t.Errorf("%s: got %d, %v; want %d", network, pid, err, os.Getpid())
		}
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	socket := "inet:" + l.Addr().String()
	l.Close()
	if pid, err := Owner(socket); err == nil || !strings.Contains(err.Error(), "nobody listens") {
		t.Errorf("got %d, %v", pid, err)
	}
	if pid, err := Owner("unix:" + filepath.Join(t.TempDir(), "s")); err == nil {
		t.Errorf("got %d", pid)
	}
}

// Of a family that shares a socket it is the eldest.
func TestOwnerOfFamily(t *testing.T) {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	f, err := l.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	cmd := exec.Command("cat")
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.ExtraFiles = []*os.File{f}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		in.Close()
		_ = cmd.Wait() // of a cat
	}()
	if pid, err := Owner("inet:" + l.Addr().String()); err != nil || pid != os.Getpid() {
		t.Errorf("got %d, %v; want %d", pid, err, os.Getpid())
	}
}

func TestListening(t *testing.T) {
	const table = `  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:22BB 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 95813 1 000000 100 0 0 10 0
   1: 0100007F:22BB 0100007F:A1B2 01 00000000:00000000 00:00000000 00000000     0        0 95814 1 000000 100 0 0 10 0
   2: 0100007F:A1B2 0100007F:22BB 01 00000000:00000000 00:00000000 00000000     0        0 95815 1 000000 100 0 0 10 0
   3: 00000000:0019 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 95816 1 000000 100 0 0 10 0
`
	if got := listening(table, 8891); !slices.Equal(got, []string{"socket:[95813]"}) {
		t.Errorf("got %q", got)
	}
}
