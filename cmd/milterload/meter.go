package main

import (
	"time"

	"github.com/postseal/postseal/milter/load"
)

// meter reads what the milter's process uses. err is why it does not.
type meter struct {
	pid     int
	process *load.Process
	before  time.Duration
	err     error
}

// meter finds the milter's process. That it cannot be found is an error only
// where --pid names it.
func (f *flags) meter(socket string) (*meter, error) {
	m := &meter{pid: f.pid}
	if f.pid == 0 {
		m.pid, m.err = load.Owner(socket)
	}
	if m.err == nil {
		m.process, m.err = load.Watch(m.pid)
	}
	if m.err != nil && f.pid != 0 {
		return nil, usage("--pid: %w", m.err)
	}
	return m, nil
}

// start notes the CPU time before the run.
func (m *meter) start() {
	if m.err == nil {
		m.before, m.err = m.process.CPU()
	}
}

// stop adds to the result what the run has cost.
func (m *meter) stop(r *result) error {
	if m.err != nil || r.Messages == 0 {
		return m.err
	}
	after, err := m.process.CPU()
	if err != nil {
		return err
	}
	peak, err := m.process.PeakRSS()
	if err != nil {
		return err
	}
	const wellKnown = 200 * time.Millisecond // 20 steps
	used := after - m.before
	r.rough = used < wellKnown
	each := milliseconds(used) / float64(r.Messages)
	r.PID, r.CPU, r.PeakRSS = m.pid, &each, &peak
	return nil
}
