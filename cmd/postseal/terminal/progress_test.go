package terminal

import (
	"io"
	"strings"
	"testing"
	"time"
)

// hand is a clock that a test turns.
type hand struct{ t time.Time }

func (h *hand) now() time.Time         { return h.t }
func (h *hand) move(d time.Duration)   { h.t = h.t.Add(d) }
func startClock() *hand                { return &hand{time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)} }
func lines(screen string) []string     { return strings.Split(screen, "\r\x1b[K") }
func count(of, screen string) (n int)  { return strings.Count(screen, of) }
func last(screen string) (line string) { l := lines(screen); return l[len(l)-1] }

func TestProgressOnTerminal(t *testing.T) {
	tty, s := pty(t, 100)
	h := startClock()
	p := NewProgress(tty, h.now, "keys", 0, 1000)
	for i := 1; i <= 1000; i++ {
		h.move(10 * time.Millisecond)
		p.Set(i, "")
	}
	p.Done()
	p.Done()
	p.Set(7, "late")
	got := s.end(t)
	painted := lines(got)
	// Ten seconds, five times a second, the first and the last.
	if len(painted) != 52 {
		t.Errorf("painted %d times", len(painted))
	}
	if want := "[..............................] keys: 0 of 1000, 0:00"; painted[0] != want {
		t.Errorf("begins with %q, want %q", painted[0], want)
	}
	if want := "[###############...............] keys: 500 of 1000, 0:05, 100/s, 0:05 left"; painted[25] != want {
		t.Errorf("half way: %q, want %q", painted[25], want)
	}
	if want := "[##############################] keys: 1000 of 1000, 0:10, 100/s\n"; last(got) != want {
		t.Errorf("ends with %q, want %q", last(got), want)
	}
	if count("\n", got) != 1 {
		t.Errorf("%q has more than the last newline", got)
	}
}

// What is printed meanwhile stands above the line, whole.
func TestProgressPrint(t *testing.T) {
	tty, s := pty(t, 40)
	h := startClock()
	p := NewProgress(tty, h.now, "records", 0, 0)
	p.Print("example.com: visible")
	h.move(time.Second)
	p.Set(1, "1 of 2 servers of example.net, which is too long for the line")
	p.Done()
	want := "records: 0, 0:00\r\x1b[Kexample.com: visible\nrecords: 0, 0:00" +
		"\r\x1b[Krecords: 1, 0:01, 1.0/s, 1 of 2 servers" +
		"\r\x1b[Krecords: 1, 0:01, 1.0/s, 1 of 2 servers\n"
	if got := s.end(t); got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestProgressInPipe(t *testing.T) {
	var b strings.Builder
	h := startClock()
	p := NewProgress(&b, h.now, "keys", 400, 1000)
	for i := 401; i <= 1000; i++ {
		h.move(50 * time.Millisecond)
		p.Set(i, "")
	}
	p.Print("one failed")
	p.Done()
	p.Done()
	want := `keys: 600 of 1000, 0:10, 20/s, 0:20 left
keys: 800 of 1000, 0:20, 20/s, 0:10 left
keys: 1000 of 1000, 0:30, 20/s
one failed
keys: 1000 of 1000, 0:30, 20/s
`
	if b.String() != want {
		t.Errorf("%s, want %s", b.String(), want)
	}
}

func TestProgressRate(t *testing.T) {
	for _, row := range []struct {
		name               string
		first, done, total int
		elapsed            time.Duration
		want               string
	}{
		{"too early", 0, 10, 100, 999 * time.Millisecond, "x: 10 of 100, 0:00"},
		{"nothing done", 10, 10, 100, time.Minute, "x: 10 of 100, 1:00"},
		{"slow", 0, 6, 100, 2 * time.Minute, "x: 6 of 100, 2:00"},
		{"hours", 0, 10_000, 110_000, time.Hour, "x: 10000 of 110000, 1:00:00, 2.8/s, 10:00:00 left"},
		{"all done", 0, 100, 100, 10 * time.Second, "x: 100 of 100, 0:10, 10/s"},
		{"more than all", 0, 200, 100, 10 * time.Second, "x: 200 of 100, 0:10, 20/s"},
		{"the clock goes back", 0, 10, 100, -time.Hour, "x: 10 of 100, 0:00"},
	} {
		t.Run(row.name, func(t *testing.T) {
			h := startClock()
			p := NewProgress(io.Discard, h.now, "x", row.first, row.total)
			h.move(row.elapsed)
			p.Set(row.done, "")
			if got := p.line(h.now()); got != row.want {
				t.Errorf("%q, want %q", got, row.want)
			}
		})
	}
}

func TestTruncate(t *testing.T) {
	for _, row := range []struct {
		text string
		n    int
		want string
	}{
		{"abc", 3, "abc"}, {"abcd", 3, "abc"}, {"日本", 3, "日"}, {"abc", 0, ""}, {"abc", -1, ""},
	} {
		if got := truncate(row.text, row.n); got != row.want {
			t.Errorf("truncate(%q, %d) = %q, want %q", row.text, row.n, got, row.want)
		}
	}
}
