package setup

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// Four times the domains, beside tables four times as long, take at most eight times the
// CPU and six times the memory, where a look through all for each would take sixteen
// times: nothing is looked through anew for each of them. No key is made.
func TestManyGrows(t *testing.T) {
	const domains, more = 300, 4
	cost := func(n int) (cpu time.Duration, bytes uint64) {
		var keyTable, signing strings.Builder
		for i := range n {
			fmt.Fprintf(&keyTable, "old._domainkey.old%[1]d.example old%[1]d.example:old:DIR/old.private\n", i)
			fmt.Fprintf(&signing, "*@old%[1]d.example old._domainkey.old%[1]d.example\n", i)
		}
		s := standing(t, map[string]string{
			"postseal.toml": settings + "multiple_signatures = true\n", "key.table": keyTable.String(), "signing.table": signing.String(),
		})
		r := &Request{Site: s, Selector: "t1"}
		for i := range n {
			r.Domains = append(r.Domains, fmt.Sprintf("new%d.example", i), fmt.Sprintf("old%d.example", i))
		}
		cpu, bytes = time.Hour, 1<<62
		for range 3 {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			start := threadCPU(t)
			var plan Plan
			planned, err := r.Plan(&plan)
			if err != nil {
				t.Fatal(err)
			}
			cpu = min(cpu, threadCPU(t)-start)
			runtime.ReadMemStats(&after)
			bytes = min(bytes, after.TotalAlloc-before.TotalAlloc)
			if made := keysFrom(plan.Changes[n+1:]); len(planned) != 2*n || made != 2*n {
				t.Fatalf("%d domains, %d keys", len(planned), made)
			}
		}
		return cpu, bytes
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	cpu1, bytes1 := cost(domains)
	cpu2, bytes2 := cost(more * domains)
	t.Logf("%d and %d domains: %s and %s, %d and %d KiB", domains, more*domains, cpu1, cpu2, bytes1>>10, bytes2>>10)
	if cpu2 > 2*more*cpu1 {
		t.Errorf("%d times the domains take %s in place of %s", more, cpu2, cpu1)
	}
	if 2*bytes2 > 3*more*bytes1 {
		t.Errorf("%d times the domains take %d bytes in place of %d", more, bytes2, bytes1)
	}
}

// threadCPU is the CPU time of this thread.
func threadCPU(t *testing.T) time.Duration {
	t.Helper()
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_THREAD, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
