package load

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A name may have blanks, parentheses and line ends in it.
const statText = "4211 (a) (b \n) S 17 4211 4211 0 -1 4194560 2071 900 0 3 125 60 7 8 20 0 9 0 551177 1828163584 4630 " +
	"18446744073709551615 1 1 0 0 0 0 0 0 2143420159 0 0 0 17 1 0 0 0 0 0 0 0 0 0 0 0 0 0\n"

const statusText = "Name:\ta VmRSS: 1 kB\nUmask:\t0022\nState:\tS (sleeping)\nPid:\t4211\nVmPeak:\t 1785316 kB\n" +
	"VmHWM:\t   18520 kB\nVmRSS:\t   17400 kB\nThreads:\t9\nSigQ:\t0/15408\n"

func TestParseProc(t *testing.T) {
	s, err := parseStat([]byte(statText))
	if err != nil || s != (stat{parent: 17, cpu: 2 * time.Second, born: 551177}) {
		t.Errorf("got %+v, %v", s, err)
	}
	for _, bad := range []string{"", "1 (x", "1 (x) S 2", strings.Replace(statText, " 125 ", " x ", 1)} {
		if s, err := parseStat([]byte(bad)); err == nil {
			t.Errorf("%q is read: %+v", bad, s)
		}
	}
	u, err := parseStatus([]byte(statusText))
	if err != nil || u != (Usage{PeakRSS: 18520 << 10, RSS: 17400 << 10, Threads: 9}) {
		t.Errorf("got %+v, %v", u, err)
	}
	if _, err := parseStatus([]byte("Name:\tx\nState:\tZ (zombie)\n")); !errors.Is(err, errGone) {
		t.Errorf("a zombie: %v", err)
	}
}

// A family of three from files: children count, and other processes do not.
func TestFamily(t *testing.T) {
	dir := t.TempDir()
	for pid, parent := range map[int]int{10: 1, 11: 10, 12: 11, 13: 1} {
		folder := filepath.Join(dir, fmt.Sprint(pid))
		if err := os.MkdirAll(filepath.Join(folder, "fd", "0"), 0o755); err != nil {
			t.Fatal(err)
		}
		for name, text := range map[string]string{
			"stat": strings.Replace(statText, " S 17 ", fmt.Sprintf(" S %d ", parent), 1), "status": statusText,
		} {
			if err := os.WriteFile(filepath.Join(folder, name), []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	p := &Process{pid: 10, proc: dir, born: 551177}
	u, err := p.Usage()
	want := Usage{CPU: 6 * time.Second, PeakRSS: 3 * 18520 << 10, RSS: 3 * 17400 << 10, Threads: 27, Descriptors: 3, Processes: 3}
	if err != nil || u != want {
		t.Errorf("got %+v, %v; want %+v", u, err, want)
	}
	peak, err := p.PeakRSS()
	rss, err2 := p.RSS()
	cpu, err3 := p.CPU()
	if peak != want.PeakRSS || rss != want.RSS || cpu != want.CPU || errors.Join(err, err2, err3) != nil {
		t.Errorf("got %v %v %v, %v %v %v", peak, rss, cpu, err, err2, err3)
	}
	p.born++
	if _, err := p.CPU(); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("another process with the id is taken for it: %v", err)
	}
}

// What is read of this process is what getrusage says, and descriptors count.
func TestOwnProcess(t *testing.T) {
	p, err := Watch(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	used := func() time.Duration {
		var sum time.Duration
		for _, who := range []int{syscall.RUSAGE_SELF, syscall.RUSAGE_CHILDREN} {
			var r syscall.Rusage
			if err := syscall.Getrusage(who, &r); err != nil {
				t.Fatal(err)
			}
			sum += time.Duration(r.Utime.Nano() + r.Stime.Nano())
		}
		return sum
	}
	// A child that was waited for counts as well.
	if err := exec.Command("sh", "-c", "i=0; while [ $i -lt 50000 ]; do i=$((i+1)); done").Run(); err != nil {
		t.Fatal(err)
	}
	for start, buf := used(), make([]byte, 1<<16); used()-start < 200*time.Millisecond; {
		sha256.Sum256(buf)
	}
	before := used()
	cpu, err := p.CPU()
	after := used()
	const tick = time.Second / ticks
	if err != nil || cpu < before-4*tick || cpu > after+4*tick {
		t.Errorf("got %v, %v; getrusage says %v to %v", cpu, err, before, after)
	}
	u, err := p.Usage()
	if err != nil || u.RSS < 1<<20 || u.PeakRSS < u.RSS/2 || u.Threads < 2 || u.Processes < 1 {
		t.Errorf("got %+v, %v", u, err)
	}
	const many = 300
	for range many {
		f, err := os.Open(os.DevNull)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
	}
	more, err := p.Usage()
	if err != nil || more.Descriptors < u.Descriptors+many-100 {
		t.Errorf("%d descriptors, %v; %d before %d were opened", more.Descriptors, err, u.Descriptors, many)
	}
}

func TestEndedProcess(t *testing.T) {
	cmd := exec.Command("cat")
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	p, err := Watch(cmd.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	if u, err := p.Usage(); err != nil || u.Processes != 1 || u.RSS == 0 {
		t.Errorf("got %+v, %v", u, err)
	}
	in.Close()
	if err := cmd.Wait(); err != nil {
		t.Fatal(err)
	}
	if _, err := p.Usage(); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a process that has ended: %v", err)
	}
	if _, err := Watch(cmd.Process.Pid); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("watched all the same: %v", err)
	}
}
