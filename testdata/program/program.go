// Package program is for tests that run the program: it builds it, finds it a port,
// and keeps what it prints.
package program

import (
	"bytes"
	"net"
	"os/exec"
	"sync"
	"testing"
)

// Build builds postseal into the file path.
func Build(t testing.TB, path string) {
	t.Helper()
	out, err := exec.Command("go", "build", "-o", path, "github.com/postseal/postseal/cmd/postseal").CombinedOutput()
	if err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
}

// FreePort is a TCP port of 127.0.0.1 that was free a moment ago.
func FreePort(t testing.TB) int {
	t.Helper()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// Output is what a process or a log has said so far; it can be read while it is
// written. The zero value is empty.
type Output struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (o *Output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(p)
}

func (o *Output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}
