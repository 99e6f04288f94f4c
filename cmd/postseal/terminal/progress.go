package terminal

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"time"
)

const (
	// repaint is how long a line stays on a terminal before it is written anew.
	repaint = 200 * time.Millisecond
	// report is how long a pipe waits for its next line.
	report = 10 * time.Second
	// barWidth is the most columns that the bar takes.
	barWidth = 30
)

// Progress shows how far a piece of work has come: on a terminal in one line that is
// rewritten, elsewhere in a plain line now and then. It is safe for concurrent use.
type Progress struct {
	w        io.Writer
	now      func() time.Time
	label    string
	total    int
	terminal bool

	mu      sync.Mutex
	start   time.Time
	first   int // what was done before the start
	done    int
	note    string
	painted time.Time
	shown   bool // the line is on the terminal
	ended   bool
}

// NewProgress begins to show on w, usually standard error, work of total parts, of
// which done were done before: a resumed work's rate counts what is new. Where total
// is 0 nobody knows it, and count and time are all that is shown. label says what is
// done, in a word or two.
func NewProgress(w io.Writer, now func() time.Time, label string, done, total int) *Progress {
	p := &Progress{w: w, now: now, label: label, total: total, terminal: Is(w), start: now(), first: done, done: done}
	p.painted = p.start
	if p.terminal {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.paint(p.start)
	}
	return p
}

// Set says that done parts are done, and in a few words what is going on; note is
// printable.
func (p *Progress) Set(done int, note string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.done, p.note = done, note
	now := p.now()
	switch since := now.Sub(p.painted); {
	case p.ended:
	case p.terminal && since >= repaint:
		p.paint(now)
	case !p.terminal && since >= report:
		p.painted = now
		fmt.Fprintln(p.w, p.line(now))
	}
}

// Print writes lines above the line that shows the progress.
func (p *Progress) Print(text string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.clear()
	fmt.Fprintln(p.w, text)
	if p.terminal && !p.ended {
		p.paint(p.now())
	}
}

// Done ends the showing with the last state and a newline. Only the first call
// counts.
func (p *Progress) Done() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ended {
		return
	}
	p.ended = true
	now := p.now()
	if p.terminal {
		p.paint(now)
		fmt.Fprintln(p.w)
		p.shown = false
		return
	}
	fmt.Fprintln(p.w, p.line(now))
}

func (p *Progress) paint(now time.Time) {
	p.painted = now
	p.clear()
	// The last column stays free: some terminals begin a new line behind it.
	fmt.Fprint(p.w, truncate(p.bar()+p.line(now), Width(p.w)-1))
	p.shown = true
}

// clear takes the line off the terminal: back to the first column, erase to the end
// (ECMA-48 EL).
func (p *Progress) clear() {
	if p.shown {
		fmt.Fprint(p.w, "\r\x1b[K")
		p.shown = false
	}
}

// bar is a picture of the share that is done, for a terminal wide enough to have
// one beside the words.
func (p *Progress) bar() string {
	n := min(barWidth, Width(p.w)-60)
	if p.total <= 0 || n < 5 {
		return ""
	}
	full := min(max(p.done, 0), p.total) * n / p.total
	return "[" + strings.Repeat("#", full) + strings.Repeat(".", n-full) + "] "
}

// line is the progress in words.
func (p *Progress) line(now time.Time) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %d", p.label, p.done)
	if p.total > 0 {
		fmt.Fprintf(&b, " of %d", p.total)
	}
	elapsed := now.Sub(p.start)
	fmt.Fprintf(&b, ", %s", clock(elapsed))
	if rate, left := p.rate(elapsed); rate != "" {
		fmt.Fprintf(&b, ", %s/s", rate)
		if left > 0 && !p.ended {
			fmt.Fprintf(&b, ", %s left", clock(left))
		}
	}
	if p.note != "" {
		b.WriteString(", " + p.note)
	}
	return b.String()
}

// rate is how many parts a second are done and how long the rest takes at that
// rate; "" where nothing can be said yet.
func (p *Progress) rate(elapsed time.Duration) (perSecond string, left time.Duration) {
	fresh := p.done - p.first
	if fresh <= 0 || elapsed < time.Second {
		return "", 0
	}
	each := float64(elapsed) / float64(fresh)
	switch r := float64(time.Second) / each; {
	case r >= 10:
		perSecond = fmt.Sprintf("%.0f", r)
	case r >= 0.1:
		perSecond = fmt.Sprintf("%.1f", r)
	default:
		return "", 0 // it is waiting, not working
	}
	return perSecond, time.Duration(each * float64(max(p.total-p.done, 0)))
}

// clock writes a time to the second: 0:07, 12:34, 1:02:03.
func clock(d time.Duration) string {
	s := int(max(d, 0) / time.Second)
	if s < 3600 {
		return fmt.Sprintf("%d:%02d", s/60, s%60)
	}
	return fmt.Sprintf("%d:%02d:%02d", s/3600, s/60%60, s%60)
}
