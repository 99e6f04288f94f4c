// Package program is for tests that run the program: it builds it, and keeps what
// it prints.
package program

import (
	"bytes"
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
