package milter

import (
	"fmt"
	"strings"
	"time"
)

// Observer is told what the daemon is about, as service managers want to know.
type Observer interface {
	// Serving: the start or a reload has ended. words say how the daemon does.
	Serving(words string)
	// Reloading: a reload has begun.
	Reloading()
	// Stopping: no more connections are taken. Messages in progress have at most
	// this time.
	Stopping(drain time.Duration)
}

// unobserved is for a daemon that nobody asks.
type unobserved struct{}

func (unobserved) Serving(string)         {}
func (unobserved) Reloading()             {}
func (unobserved) Stopping(time.Duration) {}

// words say how the daemon does.
func (d *Daemon) words() string {
	var b strings.Builder
	s := d.server.Snapshot()
	fmt.Fprintf(&b, "serving; keys: %d", s.KeyCount())
	if n := len(s.Disabled()); n > 0 {
		fmt.Fprintf(&b, "; keys and rows that cannot sign: %d", n)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if p := d.lastReload.Problems; len(p) > 0 {
		fmt.Fprintf(&b, "; the last reload failed, the old configuration is in force: %s", p[0])
	}
	return b.String()
}
