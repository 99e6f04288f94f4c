package keys

import (
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"reflect"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/postseal/postseal/config/dataset"
)

// manyDomains writes tables of n domains with a key each, whose files need not be
// there: "file" or "refile" is the kind of the SigningTable.
func manyDomains(t testing.TB, kind string, n int) Options {
	t.Helper()
	dir := t.TempDir()
	format := map[string]string{"file": "customer%d.example", "refile": "*@customer%d.example"}[kind]
	var keys, signing strings.Builder
	for i := range n {
		fmt.Fprintf(&keys, "mail._domainkey.customer%[1]d.example customer%[1]d.example:mail:/etc/dkimkeys/customer%[1]d.example/mail.private\n", i)
		fmt.Fprintf(&signing, format+" mail._domainkey.customer%[1]d.example\n", i)
	}
	return Options{
		KeyTable:     dataset.Text("file:" + write(t, filepath.Join(dir, "key.table"), keys.String())),
		SigningTable: dataset.Text(kind + ":" + write(t, filepath.Join(dir, "signing.table"), signing.String())),
	}
}

// Twice the rows take at most three times the memory and CPU, and few allocations:
// text and rows are not copied one by one.
func TestLoadGrowsWithRows(t *testing.T) {
	const rows = 20_000
	for _, kind := range []string{"file", "refile"} {
		cost := func(n int) (cpu time.Duration, bytes, allocs uint64) {
			o := manyDomains(t, kind, n)
			c := newTestCache(&prover{}, io.Discard)
			cpu, bytes, allocs = time.Hour, 1<<62, 1<<62
			for range 5 {
				var before, after runtime.MemStats
				runtime.ReadMemStats(&before)
				start := threadCPU(t)
				if _, err := Load(o, c); err != nil {
					t.Fatal(err)
				}
				cpu = min(cpu, threadCPU(t)-start)
				runtime.ReadMemStats(&after)
				bytes = min(bytes, after.TotalAlloc-before.TotalAlloc)
				allocs = min(allocs, after.Mallocs-before.Mallocs)
			}
			return cpu, bytes, allocs
		}
		runtime.LockOSThread()
		cpu1, bytes1, _ := cost(rows)
		cpu2, bytes2, allocs := cost(2 * rows)
		runtime.UnlockOSThread()
		t.Logf("%s: %v and %v, %d and %d bytes, %d allocations", kind, cpu1, cpu2, bytes1, bytes2, allocs)
		const tick = 10 * time.Millisecond // of some clocks
		if cpu2 > 3*cpu1+2*tick {
			t.Errorf("%s: %d rows cost %v, %d rows %v", kind, rows, cpu1, 2*rows, cpu2)
		}
		if bytes2 > 3*bytes1 || bytes2 > 2*rows*800 {
			t.Errorf("%s: %d rows take %d bytes, %d rows %d", kind, rows, bytes1, 2*rows, bytes2)
		}
		if allocs > 2*rows/4 {
			t.Errorf("%s: %d allocations for %d rows", kind, allocs, 2*rows)
		}
	}
}

// A look-up costs the same in one row and in 100,000, whichever row it is.
func TestSelectDoesNotGrow(t *testing.T) {
	const rows, calls = 100_000, 10_000
	for _, kind := range []string{"file", "refile"} {
		cost := func(n int) (cpu time.Duration, allocs float64) {
			s, err := Load(manyDomains(t, kind, n), newTestCache(&prover{}, io.Discard))
			if err != nil {
				t.Fatal(err)
			}
			a := Address{"someone", fmt.Sprintf("customer%d.example", n-1)}
			pick := func() {
				if rs, err := s.Select(a); err != nil || len(rs) != 1 {
					t.Fatal(rs, err)
				}
			}
			cpu = time.Hour
			for range 5 {
				start := threadCPU(t)
				for range calls {
					pick()
				}
				cpu = min(cpu, threadCPU(t)-start)
			}
			return cpu, testing.AllocsPerRun(100, pick)
		}
		runtime.LockOSThread()
		few, allocs1 := cost(1)
		many, allocs2 := cost(rows)
		runtime.UnlockOSThread()
		t.Logf("%s: %v and %v, %v and %v allocations", kind, few/calls, many/calls, allocs1, allocs2)
		if many > 5*few+20*time.Millisecond || allocs2 > allocs1+3 {
			t.Errorf("%s: a look-up costs %v and %v allocations, with one row %v and %v", kind, many/calls, allocs2, few/calls, allocs1)
		}
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

// Keys that have left the cache have left the memory: what is kept of each row that
// has signed is small.
func TestUsedKeysAreForgotten(t *testing.T) {
	dir := t.TempDir()
	tt := tables{kind: "file"}
	for i := range eagerKeys {
		tt.keys += fmt.Sprintf("k%[1]d d%[1]d.example:s:@DIR@/k%[1]d\n", i)
		tt.signing += fmt.Sprintf("d%[1]d.example k%[1]d\n", i)
	}
	c := NewCache(2, (&prover{}).prove, slog.New(slog.DiscardHandler))
	s := tt.mustLoad(t, dir, c)
	freed := make(chan struct{}, 1)
	for i := range 4 {
		key := generate(t, kindRSA)
		if err := WritePrivate(fmt.Sprintf("%s/k%d", dir, i), key); err != nil {
			t.Fatal(err)
		}
		read := mustSign(t, s, fmt.Sprintf("d%d.example", i))
		if i == 0 { // whatever signs with RSA, it is behind a pointer
			runtime.AddCleanup((*byte)(reflect.ValueOf(read).UnsafePointer()), func(struct{}) { freed <- struct{}{} }, struct{}{})
		}
	}
	if k := s.Keys()[0]; k.State != StateReady || k.Algorithm != kindRSA || k.Bits != 1024 {
		t.Errorf("the first key: %+v", k)
	}
	for end := time.Now().Add(time.Minute); ; {
		runtime.GC()
		select {
		case <-freed:
			runtime.KeepAlive(s)
			runtime.KeepAlive(c)
			return
		case <-time.After(10 * time.Millisecond):
		}
		if time.Now().After(end) {
			t.Fatal("the private key is in memory though the cache has let it go")
		}
	}
}

// What is wrong with every row is told of the first ones, and counted.
func TestManyBadRows(t *testing.T) {
	dir := t.TempDir()
	tt := tables{keys: "k a.example:s:@DIR@/k\n", options: Options{SkipBadRows: true}}
	for i := range 1000 {
		tt.signing += fmt.Sprintf("d%d.example absent%d\n", i, i)
		tt.keys += "k a.example:s:@DIR@/k\nshort a\n"
	}
	s := tt.mustLoad(t, dir, newTestCache(&prover{}, io.Discard))
	if n := len(s.Disabled()); n < 2000 {
		t.Errorf("%d rows are listed as disabled, want all", n)
	}
	if n := len(s.Notes()); n < 2*mostAlike || n > 2*mostAlike+2 || !strings.Contains(s.Notes()[n-1], "980 more rows are like these") {
		t.Errorf("%d notes, the last %q", n, s.Notes()[n-1])
	}
	tt.options.SkipBadRows = false
	_, err := tt.load(t, dir, newTestCache(&prover{}, io.Discard))
	if lines := strings.Split(err.Error(), "\n"); len(lines) != 2*mostAlike+2 || !strings.Contains(err.Error(), "\nsigning_table: 980 more rows have problems") {
		t.Errorf("%d problems: %v", len(lines), err)
	}
}

// Tables that did not change are not read into memory once more.
func TestUnchangedTablesAreShared(t *testing.T) {
	o := manyDomains(t, "file", 10)
	c := newTestCache(&prover{}, io.Discard)
	load := func() *Store {
		t.Helper()
		s, err := Load(o, c)
		if err != nil {
			t.Fatal(err)
		}
		o.Previous = s
		return s
	}
	first, second := load(), load()
	if second.keyTable != first.keyTable || second.signing != first.signing {
		t.Error("unchanged tables are there twice")
	}
	path := strings.TrimPrefix(o.KeyTable.Text, "file:")
	write(t, path, "mail._domainkey.customer0.example other.example:s:/k\n")
	if _, err := Load(o, c); err == nil {
		t.Error("a changed table is not read")
	}
}

func BenchmarkLoad100k(b *testing.B) {
	for _, kind := range []string{"file", "refile"} {
		b.Run(kind, func(b *testing.B) {
			o := manyDomains(b, kind, 100_000)
			c := newTestCache(&prover{}, io.Discard)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := Load(o, c); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkSelect(b *testing.B) {
	for _, kind := range []string{"file", "refile"} {
		for _, n := range []int{1, 100_000} {
			b.Run(fmt.Sprintf("%s/%d", kind, n), func(b *testing.B) {
				s, err := Load(manyDomains(b, kind, n), newTestCache(&prover{}, io.Discard))
				if err != nil {
					b.Fatal(err)
				}
				a := Address{"someone", fmt.Sprintf("customer%d.example", n-1)}
				b.ReportAllocs()
				for b.Loop() {
					if rs, err := s.Select(a); err != nil || len(rs) != 1 {
						b.Fatal(rs, err)
					}
				}
			})
		}
	}
}
