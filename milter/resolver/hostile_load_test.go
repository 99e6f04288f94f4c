package resolver

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/miekg/dns"
	"golang.org/x/sys/unix"
)

// inUse is the memory in use after a collection, in octets.
func inUse() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// More names than the cache holds are asked for: what is kept stays within its
// bounds, those of names and those of octets.
func TestManyNamesAreNotKept(t *testing.T) {
	text := strings.Repeat("x", 1000)
	s := serve(t, func(string) Answer { return Answer{TXT: []string{text}, TTL: time.Hour} })
	c := client(t, Options{Nameservers: []string{s.Addr()}, CacheSize: 200})
	for n := range 500 {
		if _, _, err := c.LookupTXT(t.Context(), fmt.Sprintf("s%d._domainkey.example.com", n)); err != nil {
			t.Fatal(err)
		}
	}
	if n := c.cache.order.Len(); n != 200 || n != len(c.cache.byKey) {
		t.Errorf("%d names are kept, want 200", n)
	}

	before := inUse()
	kept := newCache(DefaultCacheSize, time.Now)
	for n := range 10 * DefaultCacheSize {
		kept.put(fmt.Sprintf("s%d._domainkey.example.com", n), &answer{txt: []string{text + text}, ttl: time.Hour})
	}
	if n := kept.order.Len(); n > DefaultCacheSize || n != len(kept.byKey) || kept.bytes > maxCacheBytes {
		t.Errorf("%d names of %d octets are kept, want %d and %d at most", n, kept.bytes, DefaultCacheSize, maxCacheBytes)
	}
	if grown := inUse() - before; grown > maxCacheBytes*3/2 {
		t.Errorf("%d octets are in use for it", grown)
	}
	runtime.KeepAlive(kept)
}

// Thousands that wait for one name ask one question.
func TestManyAskersOfOneName(t *testing.T) {
	const askers = 3000
	var asked atomic.Int32
	release := make(chan struct{})
	s := serve(t, func(string) Answer {
		asked.Add(1)
		<-release
		return Answer{TXT: []string{"x"}, TTL: time.Hour}
	})
	c := client(t, Options{Nameservers: []string{s.Addr()}, Timeout: 20 * patience})
	descriptors := openFiles(t)
	var waiting, all sync.WaitGroup
	for range askers {
		waiting.Add(1)
		all.Go(func() {
			waiting.Done()
			if txt, _, err := c.LookupTXT(t.Context(), key); err != nil || len(txt) != 1 {
				t.Errorf("%q, %v", txt, err)
			}
		})
	}
	waiting.Wait()
	if n := openFiles(t) - descriptors; n > minTries+1 {
		t.Errorf("%d descriptors are open", n)
	}
	close(release)
	all.Wait()
	if n := asked.Load(); n != 1 {
		t.Errorf("%d questions", n)
	}
}

// Names whose servers are silent hold no more than MaxQueries at once, however
// many are asked for, and all askers hear of it inside the one deadline.
func TestManyDeadNames(t *testing.T) {
	const names = 3 * MaxQueries
	s := serve(t, func(string) Answer { return Answer{Drop: true} })
	c := client(t, Options{Nameservers: []string{s.Addr()}, Timeout: time.Second})
	goroutines, descriptors := runtime.NumGoroutine(), openFiles(t)
	var askers sync.WaitGroup
	var most atomic.Int64
	start := time.Now()
	for n := range names {
		askers.Go(func() {
			_, _, err := c.LookupTXT(t.Context(), fmt.Sprintf("s%d._domainkey.example.com", n))
			if err == nil {
				t.Errorf("%d: no error", n)
			}
			if n%100 == 0 {
				most.Store(max(most.Load(), int64(openFiles(t))))
			}
		})
	}
	askers.Wait()
	if d := time.Since(start); d > patience {
		t.Errorf("%v, with a deadline of %v", d, c.timeout)
	}
	if n := int(most.Load()) - descriptors; n > minTries*MaxQueries+20 {
		t.Errorf("%d descriptors were open at once", n)
	}
	for end := time.Now().Add(time.Minute); runtime.NumGoroutine() > goroutines || openFiles(t) > descriptors; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%d goroutines and %d descriptors, %d and %d before", runtime.NumGoroutine(), openFiles(t), goroutines, descriptors)
		}
	}
}

// The questions under way leave the process most of its descriptors.
func TestQuestionsByDescriptors(t *testing.T) {
	for _, tt := range []struct {
		files         uint64
		servers, want int
	}{
		{10, 8, 1}, {60, 1, 2}, {1024, 1, 42}, {1024, 8, 8}, {4096, 2, 128},
		{65536, 8, MaxQueries}, {1 << 20, 1, MaxQueries}, {math.MaxUint64, 1, MaxQueries},
	} {
		if got := affordable(tt.files, tt.servers); got != tt.want {
			t.Errorf("%d questions for %d files and %d servers, want %d", got, tt.files, tt.servers, tt.want)
		}
	}
}

// All nameservers, all tries and all hops of a chain share one deadline, and the
// number of questions is bounded, too.
func TestOneDeadlineForServersTriesAndHops(t *testing.T) {
	var asked atomic.Int32
	var servers []string
	for range MaxNameservers {
		s := serve(t, func(name string) Answer {
			asked.Add(1)
			return Answer{CNAME: "a." + name, Delay: 100 * time.Millisecond}
		})
		servers = append(servers, s.Addr())
	}
	for _, tt := range []struct {
		timeout time.Duration
		err     error
	}{
		{150 * time.Millisecond, os.ErrDeadlineExceeded},
		{10 * patience, errChain},
	} {
		asked.Store(0)
		_, _, err := client(t, Options{Nameservers: servers, Timeout: tt.timeout}).LookupTXT(t.Context(), key)
		if !errors.Is(err, tt.err) {
			t.Errorf("within %v: %v, want %v", tt.timeout, err, tt.err)
		}
		if n := int(asked.Load()); n > (maxHops+1)*rounds*MaxNameservers {
			t.Errorf("within %v: %d questions", tt.timeout, n)
		}
	}
}

// lateContext has a deadline that has passed, and no timer that says so.
type lateContext struct{ context.Context }

func (lateContext) Deadline() (time.Time, bool) { return time.Unix(1, 0), true }

// A connection that sees the deadline before the context does is no refusal of the
// nameserver's.
func TestDeadlineSeenByConnection(t *testing.T) {
	c := client(t, Options{Nameservers: []string{"127.0.0.1:9"}})
	_, err := c.query(lateContext{t.Context()}, question{key, dns.TypeTXT}, time.Millisecond)
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("%v, want %v", err, os.ErrDeadlineExceeded)
	}
}

// tick is more than what the kernel may be wrong by in the time of a thread.
const tick = 50 * time.Millisecond

// threadCPU is the least processor time of three calls of f in this goroutine.
func threadCPU(t testing.TB, f func()) time.Duration {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	now := func() time.Duration {
		var u unix.Rusage
		if err := unix.Getrusage(unix.RUSAGE_THREAD, &u); err != nil {
			t.Fatal(err)
		}
		return time.Duration(u.Utime.Nano() + u.Stime.Nano())
	}
	least := time.Hour
	for range 3 {
		start := now()
		f()
		least = min(least, now()-start)
	}
	return least
}

// The largest answer costs twice what one of half the size does, whatever is in
// it, and no more memory than a small multiple of its size.
func TestCostOfHugeAnswers(t *testing.T) {
	head := new(dns.Msg)
	head.SetQuestion(key+".", dns.TypeTXT)
	head.Response = true
	start, err := head.Pack()
	if err != nil {
		t.Fatal(err)
	}
	fixed := []byte{0xc0, 12, 0, 16, 0, 1, 0, 0, 0, 60} // the name asked for, TXT, IN, TTL
	one := func(data func(size int) []byte) func(int) []byte {
		return func(size int) []byte {
			d := data(size - len(start) - len(fixed) - 2)
			return append(binary.BigEndian.AppendUint16(append([]byte(nil), fixed...), uint16(len(d))), d...)
		}
	}
	fill := func(piece []byte) func(int) []byte {
		return func(size int) []byte { return []byte(strings.Repeat(string(piece), size/len(piece))) }
	}
	long := append([]byte{255}, make([]byte, 255)...)
	for _, tt := range []struct {
		name string
		make func(size int) []byte // the answer section
	}{
		{"octets that are escaped", one(fill(long))},
		{"empty strings", one(fill([]byte{0}))},
		{"strings of one octet", one(fill([]byte{1, '"'}))},
		{"empty records", fill(append(fixed[:10:10], 0, 1, 0))},
		{"aliases to the name itself", fill([]byte{0xc0, 12, 0, 5, 0, 1, 0, 0, 0, 60, 0, 2, 0xc0, 12})},
		{"names of pointers to pointers", func(size int) []byte {
			var b []byte
			for at := 12; len(start)+len(b)+16 < size; {
				next := min(len(start)+len(b), 0x3fff)
				b = append(b, 1, 'a', 0xc0|byte(at>>8), byte(at), 0, 16, 0, 1, 0, 0, 0, 60, 0, 1, 0)
				if at = next; len(b)/15%100 == 0 {
					at = 12
				}
			}
			return b
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			const largest = dns.MaxMsgSize - 1
			message := func(size int) []byte {
				p := append([]byte(nil), start...)
				binary.BigEndian.PutUint16(p[6:], largest)
				return append(p, tt.make(size)...)
			}
			cost := func(size int) (cpu time.Duration, octets uint64) {
				p := message(size)
				cpu = threadCPU(t, func() {
					for range 5 {
						msg := new(dns.Msg)
						if err := msg.Unpack(p); err == nil && refusal(msg) == nil {
							p, _ := read(msg, question{key, dns.TypeTXT}, maxHops)
							texts(p.records)
						}
					}
				})
				var before, after runtime.MemStats
				runtime.ReadMemStats(&before)
				msg := new(dns.Msg)
				if err := msg.Unpack(p); err != nil {
					t.Logf("%d octets are refused: %v", size, err)
				} else if refusal(msg) == nil {
					p, _ := read(msg, question{key, dns.TypeTXT}, maxHops)
					texts(p.records)
				}
				runtime.ReadMemStats(&after)
				return cpu, after.TotalAlloc - before.TotalAlloc
			}
			half, _ := cost(largest / 2)
			whole, octets := cost(largest)
			if whole > 3*half+tick {
				t.Errorf("%v for 64 KiB, %v for half of it", whole, half)
			}
			if octets > 100*largest {
				t.Errorf("%d octets allocated", octets)
			}
			t.Logf("%v and %v for five, %d KiB", half, whole, octets>>10)
		})
	}
}
