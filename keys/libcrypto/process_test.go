//go:build openssl

package libcrypto

import (
	"bytes"
	"crypto"
	"crypto/sha256"
	"errors"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"
)

func TestConcurrentUse(t *testing.T) {
	privates := []string{"1024", "1031", "2048"}
	var wg sync.WaitGroup
	for _, name := range privates {
		private := readKey(t, name)
		shared := newRSA(t, private)
		for range 8 {
			wg.Go(func() {
				for range 5 {
					checkSignatures(t, shared, private, 5)
					checkSignatures(t, newRSA(t, private), private, 1)
				}
			})
		}
	}
	wg.Wait()
}

// Threads are bounded by the processors, not by the messages under way.
func TestSignaturesTakeNoThreadEach(t *testing.T) {
	key, digest := newRSA(t, readKey(t, "2048")), make([]byte, sha256.Size)
	before := threads(t) // of other tests, which do not end
	var wg sync.WaitGroup
	for range 500 {
		wg.Go(func() {
			for range 6 {
				if _, err := key.Sign(nil, digest, crypto.SHA256); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if n, most := threads(t), before+4*runtime.GOMAXPROCS(0)+20; n > most {
		t.Errorf("%d threads, %d before; want at most %d", n, before, most)
	}
}

// threads is how many this process has.
func threads(t *testing.T) int {
	t.Helper()
	tasks, err := os.ReadDir("/proc/self/task")
	if err != nil {
		t.Fatal(err)
	}
	return len(tasks)
}

// roleVariable says to this program, started anew by a test, what to be.
const roleVariable = "LIBCRYPTO_TEST_ROLE"

// again runs the test in a process of its own, which has not used libcrypto yet.
func again(t *testing.T, role string, env ...string) {
	t.Helper()
	name, _, _ := strings.Cut(t.Name(), "/")
	cmd := exec.Command(os.Args[0], "-test.run=^"+name+"$", "-test.v")
	cmd.Env = append(append(os.Environ(), roleVariable+"="+role), env...)
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "PASS: "+name) {
		t.Errorf("%v\n%s", err, out)
	}
}

// heap is what C has allocated, in octets, if it has one arena.
func heap(t *testing.T) int {
	t.Helper()
	runtime.GC()
	text, err := os.ReadFile("/proc/self/smaps")
	if err != nil {
		t.Fatal(err)
	}
	var size int
	_, text, _ = bytes.Cut(text, []byte("[heap]\n"))
	if _, err := fmt.Sscanf(string(text), "Size: %d kB", &size); err != nil {
		t.Fatalf("size of the C heap: %v", err)
	}
	return size << 10
}

// C's memory stays as it is when work is done again. A key of 2048 bits takes
// 2 KB of it, what could stay of a signature is 400 octets.
func TestNothingIsLeaked(t *testing.T) {
	if os.Getenv(roleVariable) == "" {
		again(t, "leak", "MALLOC_ARENA_MAX=1")
		return
	}
	digest := make([]byte, sha256.Size)
	large, small := readKey(t, "2048"), newRSA(t, readKey(t, "1024"))
	for _, tt := range []struct {
		name string
		work func()
	}{
		{"signatures", func() {
			if _, err := small.Sign(nil, digest, crypto.SHA256); err != nil {
				t.Fatal(err)
			}
		}},
		{"keys", func() { newRSA(t, large) }},
	} {
		// The least of several rounds: a leak is in each, and freeing may lag.
		const times, most = 5_000, 1 << 20
		least, last := math.MaxInt, heap(t)
		for range 3 {
			for range times {
				tt.work()
			}
			now := heap(t)
			least, last = min(least, now-last), now
		}
		if least > most {
			t.Errorf("%d %s left %d KiB", times, tt.name, least>>10)
		}
	}
}

// The first key and the first signature may come after the process has lost
// sight of the file system, and what an openssl.cnf says does not matter.
func TestNeedsNoFile(t *testing.T) {
	private := readKey(t, "2048")
	switch os.Getenv(roleVariable) {
	case "":
		t.Run("no descriptor is left", func(t *testing.T) { again(t, "no file") })
		t.Run("a configuration without algorithms", func(t *testing.T) {
			conf := filepath.Join(t.TempDir(), "openssl.cnf")
			text := "config_diagnostics = 1\nopenssl_conf = init\n[init]\nalg_section = alg\n[alg]\ndefault_properties = fips=yes\n"
			if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			again(t, "sign", "OPENSSL_CONF="+conf)
		})
	case "no file":
		none := unix.Rlimit{}
		if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &none); err != nil {
			t.Fatal(err)
		}
		if f, err := os.Open("/dev/null"); err == nil {
			_ = f.Close()
			t.Error("a file can be opened")
		}
		fallthrough
	case "sign":
		checkSignatures(t, newRSA(t, private), private, 2)
	}
}

// GODEBUG=fips140=on asks for Go's validated module, so libcrypto stays out.
func TestFIPS(t *testing.T) {
	if os.Getenv(roleVariable) == "" {
		again(t, "fips", "GODEBUG=fips140=on")
		return
	}
	if key, err := NewRSA(readKey(t, "2048")); key != nil || !errors.Is(err, ErrUnsupported) {
		t.Errorf("%v, %v", key, err)
	}
}
