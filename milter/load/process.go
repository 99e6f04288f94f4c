package load

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// Process is a process and its descendants, as Linux's /proc shows them. They
// are looked up anew by each method.
type Process struct {
	pid  int
	proc string // /proc
	born uint64 // in clock ticks since boot: a later process with the same id has another
}

// ticks is how many clock ticks /proc counts in a second: USER_HZ, which is 100
// on every architecture that Go runs on.
const ticks = 100

// Watch watches a process. The error wraps fs.ErrNotExist where there is none.
func Watch(pid int) (*Process, error) {
	p := &Process{pid: pid, proc: "/proc"}
	s, err := p.stat(pid)
	if err != nil {
		return nil, fmt.Errorf("process %d: %w", pid, err)
	}
	p.born = s.born
	return p, nil
}

// Usage is what a process and its descendants use.
type Usage struct {
	// CPU is their time in user and kernel mode since they began, with that of
	// descendants that have ended and were waited for. It is exact to 10 ms a
	// process.
	CPU time.Duration
	// PeakRSS is the most memory in octets that each has had resident, summed up:
	// as much or more than all had at one time.
	PeakRSS int64
	// RSS is the memory in octets that is resident now, summed up: what they share
	// counts for each.
	RSS int64
	// Descriptors and Threads are how many there are now.
	Descriptors, Threads int
	// Processes is how many there are.
	Processes int
}

// Usage reads everything. Its error wraps fs.ErrNotExist when the process has
// ended, and fs.ErrPermission when another user's descriptors may not be counted.
func (p *Process) Usage() (Usage, error) {
	pids, stats, err := p.family()
	if err != nil {
		return Usage{}, err
	}
	var u Usage
	for i, pid := range pids {
		u.CPU += stats[i].cpu
		m, err := p.memory(pid)
		if err == nil {
			m.Descriptors, err = p.descriptors(pid)
		}
		if err != nil {
			if pid != p.pid && gone(err) {
				continue // a child has ended meanwhile
			}
			return Usage{}, fmt.Errorf("process %d: %w", pid, err)
		}
		u.PeakRSS += m.PeakRSS
		u.RSS += m.RSS
		u.Threads += m.Threads
		u.Descriptors += m.Descriptors
		u.Processes++
	}
	return u, nil
}

// CPU is Usage.CPU alone.
func (p *Process) CPU() (time.Duration, error) {
	_, stats, err := p.family()
	var sum time.Duration
	for _, s := range stats {
		sum += s.cpu
	}
	return sum, err
}

// PeakRSS is Usage.PeakRSS alone.
func (p *Process) PeakRSS() (int64, error) {
	u, err := p.sizes()
	return u.PeakRSS, err
}

// RSS is Usage.RSS alone.
func (p *Process) RSS() (int64, error) {
	u, err := p.sizes()
	return u.RSS, err
}

// sizes is what /proc says of memory and threads.
func (p *Process) sizes() (Usage, error) {
	var sum Usage
	pids, _, err := p.family()
	for _, pid := range pids {
		m, err := p.memory(pid)
		if err != nil && (pid == p.pid || !gone(err)) {
			return Usage{}, fmt.Errorf("process %d: %w", pid, err)
		}
		sum.PeakRSS += m.PeakRSS
		sum.RSS += m.RSS
	}
	return sum, err
}

// family is the process and all that descend from it, with their stat.
func (p *Process) family() ([]int, []stat, error) {
	own, err := p.stat(p.pid)
	if err == nil && own.born != p.born {
		err = fmt.Errorf("it has ended, and another has its id: %w", fs.ErrNotExist)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("process %d: %w", p.pid, err)
	}
	entries, err := os.ReadDir(p.proc)
	if err != nil {
		return nil, nil, err
	}
	children := map[int][]int{} // by parent
	all := map[int]stat{p.pid: own}
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil || pid == p.pid {
			continue
		}
		if s, err := p.stat(pid); err == nil { // else it has ended
			children[s.parent] = append(children[s.parent], pid)
			all[pid] = s
		}
	}
	pids, stats := []int{p.pid}, []stat{own}
	for i := 0; i < len(pids); i++ {
		for _, pid := range children[pids[i]] {
			pids, stats = append(pids, pid), append(stats, all[pid])
		}
	}
	return pids, stats, nil
}

// gone reports whether an error means that a process has ended.
func gone(err error) bool { return errors.Is(err, fs.ErrNotExist) || errors.Is(err, errGone) }

// errGone: a process that has ended and was not waited for has no memory.
var errGone = errors.New("the process has ended")

// stat is what /proc/PID/stat says.
type stat struct {
	parent int
	cpu    time.Duration // with children that were waited for
	born   uint64        // in clock ticks since boot
}

func (p *Process) stat(pid int) (stat, error) {
	text, err := os.ReadFile(filepath.Join(p.proc, strconv.Itoa(pid), "stat"))
	if err != nil {
		return stat{}, err
	}
	return parseStat(text)
}

// parseStat reads proc_pid_stat(5). The second field is a name in parentheses
// that may have anything in it.
func parseStat(text []byte) (stat, error) {
	end := bytes.LastIndexByte(text, ')')
	f := strings.Fields(string(text[end+1:]))
	const firstField = 3 // number of f[0], by the manual
	if end < 0 || len(f) <= 22-firstField {
		return stat{}, fmt.Errorf("its stat %.80q has another form than proc(5) says", text)
	}
	var err error
	number := func(field int) uint64 {
		n, e := strconv.ParseUint(f[field-firstField], 10, 64)
		err = errors.Join(err, e)
		return n
	}
	s := stat{parent: int(number(4)), born: number(22)}
	// utime, stime, cutime, cstime
	s.cpu = time.Duration(number(14)+number(15)+number(16)+number(17)) * (time.Second / ticks)
	return s, err
}

func (p *Process) memory(pid int) (Usage, error) {
	text, err := os.ReadFile(filepath.Join(p.proc, strconv.Itoa(pid), "status"))
	if err != nil {
		return Usage{}, err
	}
	return parseStatus(text)
}

// parseStatus takes memory and threads out of proc_pid_status(5). The error is
// errGone for a process without memory.
func parseStatus(text []byte) (Usage, error) {
	values := map[string]int64{}
	for line := range strings.Lines(string(text)) {
		name, rest, _ := strings.Cut(line, ":")
		words := strings.Fields(rest)
		if len(words) == 0 {
			continue
		}
		n, err := strconv.ParseInt(words[0], 10, 64)
		if err != nil {
			continue // not a number
		}
		if len(words) == 2 && words[1] == "kB" {
			n *= 1024
		}
		values[name] = n
	}
	peak, ok := values["VmHWM"]
	if !ok {
		return Usage{}, errGone
	}
	return Usage{PeakRSS: peak, RSS: values["VmRSS"], Threads: int(values["Threads"])}, nil
}

func (p *Process) descriptors(pid int) (int, error) {
	entries, err := os.ReadDir(filepath.Join(p.proc, strconv.Itoa(pid), "fd"))
	return len(entries), err
}
