package resolver

import (
	"errors"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/postseal/postseal/milter/rogue"
)

// startRogue runs a nameserver that misbehaves until the test ends.
func startRogue(t testing.TB, value string) *rogue.Server {
	t.Helper()
	s, err := rogue.Serve(value)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// Whatever a nameserver does, its answer is the record, or that there is none,
// or an error inside the deadline; only a clear answer says that there is none.
// Nothing stays open.
func TestHostileAnswers(t *testing.T) {
	const value = "v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="
	s := startRogue(t, value)
	goroutines, descriptors := runtime.NumGoroutine(), openFiles(t)
	t.Run("all", func(t *testing.T) {
		for _, b := range rogue.Behaviours() {
			t.Run(b.Label, func(t *testing.T) {
				t.Parallel()
				o := Options{Nameservers: []string{s.Addr()}, Timeout: patience}
				if b.Waits {
					o.Timeout = 200 * time.Millisecond
				}
				txt, _, err := client(t, o).LookupTXT(t.Context(), b.Label+"._domainkey.example.com")
				found := strings.Contains("|"+strings.Join(txt, "|")+"|", "|"+value+"|")
				if found != (b.Outcome == rogue.Found) || !found && len(txt) > 0 || (err != nil) != (b.Outcome == rogue.Temporary) {
					t.Errorf("%.200q, %v", txt, err)
				}
				if !b.Waits && errors.Is(err, os.ErrDeadlineExceeded) {
					t.Errorf("waited until the deadline: %v", err)
				}
				if n := s.Asked(b.Label); n > 2*minTries*(maxHops+1) {
					t.Errorf("%d questions", n)
				}
			})
		}
	})
	for end := time.Now().Add(time.Minute); runtime.NumGoroutine() > goroutines || openFiles(t) > descriptors; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%d goroutines and %d descriptors, %d and %d before", runtime.NumGoroutine(), openFiles(t), goroutines, descriptors)
		}
	}
}

func openFiles(t testing.TB) int {
	t.Helper()
	list, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(list)
}
