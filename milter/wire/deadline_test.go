package wire

import (
	"errors"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// trickle writes p one octet a second until the other end closes.
func trickle(c net.Conn, p []byte) {
	for i := range p {
		if _, err := c.Write(p[i : i+1]); err != nil {
			return
		}
		time.Sleep(time.Second)
	}
}

func TestFrameDeadlineCountsFromFirstOctet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mta, filter := net.Pipe()
		c := NewConn(filter, Limits{Idle: 5 * time.Second, Frame: 30 * time.Second})
		var wg sync.WaitGroup
		wg.Go(func() { trickle(mta, frame('H', strings.Repeat("x", 100))) })
		start := time.Now()
		_, _, err := c.Read()
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatalf("got %v, want %v", err, os.ErrDeadlineExceeded)
		}
		if d := time.Since(start); d != 30*time.Second {
			t.Errorf("cut after %v, want 30s from the first octet", d)
		}
		filter.Close()
		wg.Wait()
	})
}

func TestIdleDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mta, filter := net.Pipe()
		defer mta.Close()
		defer filter.Close()
		c := NewConn(filter, Limits{Idle: 2 * time.Hour, Frame: 30 * time.Second})
		go func() {
			time.Sleep(time.Hour)
			trickle(mta, frame('H', "ab\x00"))
			time.Sleep(time.Hour)
			mta.Write(frame('N', ""))
		}()
		start := time.Now()
		for _, want := range []Command{CmdHelo, CmdEOH} {
			if cmd, _, err := c.Read(); cmd != want || err != nil {
				t.Fatalf("got %v %v, want %v", cmd, err, want)
			}
		}
		idle := time.Now()
		if _, _, err := c.Read(); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatalf("got %v, want %v", err, os.ErrDeadlineExceeded)
		}
		if d := time.Since(idle); d != 2*time.Hour {
			t.Errorf("cut after %v of silence, want 2h", d)
		}
		if d := time.Since(start); d < 4*time.Hour {
			t.Errorf("the idle time was not counted anew: all took %v", d)
		}
	})
}

func TestDeadlineCalls(t *testing.T) {
	helo := frame('H', "a\x00")
	tests := []struct {
		name   string
		limits Limits
		chunks [][]byte
		frames int
		want   int // calls; the last of them may clear
		clears bool
	}{
		{"none without limits", Limits{}, [][]byte{helo, helo}, 2, 0, false},
		{"one a wait", Limits{Idle: 1, Frame: 1}, [][]byte{helo, helo}, 2, 2, false},
		{"none for what is buffered", Limits{Idle: 1, Frame: 1}, [][]byte{append(helo, helo...)}, 2, 1, false},
		{"one more for a frame in pieces", Limits{Idle: 1, Frame: 1}, [][]byte{helo[:1], helo[1:3], helo[3:5], helo[5:]}, 1, 2, false},
		{"frame deadline alone is cleared", Limits{Frame: 1}, [][]byte{helo[:1], helo[1:], helo}, 2, 2, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := &scriptConn{chunks: tt.chunks}
			c := NewConn(s, tt.limits)
			for range tt.frames {
				if _, _, err := c.Read(); err != nil {
					t.Fatal(err)
				}
			}
			if len(s.readDeadlines) != tt.want {
				t.Fatalf("%d calls of SetReadDeadline, want %d", len(s.readDeadlines), tt.want)
			}
			if tt.clears != (tt.want > 0 && s.readDeadlines[tt.want-1].IsZero()) {
				t.Errorf("deadlines %v, cleared at the end: want %v", s.readDeadlines, tt.clears)
			}
		})
	}
}

func TestWriteDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mta, filter := net.Pipe()
		defer mta.Close()
		defer filter.Close()
		c := NewConn(filter, Limits{Write: 10 * time.Second})
		start := time.Now()
		err := c.Reply(CmdHelo, Continue())
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("got %v, want %v", err, os.ErrDeadlineExceeded)
		}
		if d := time.Since(start); d != 10*time.Second {
			t.Errorf("gave up after %v, want 10s", d)
		}
	})
}

func TestNoWriteDeadlineWithoutLimit(t *testing.T) {
	s := &scriptConn{}
	if err := NewConn(s, Limits{}).Reply(CmdHelo, Continue()); err != nil {
		t.Fatal(err)
	}
	if s.writeDeadlines != 0 || len(s.writes) != 1 {
		t.Errorf("%d deadlines and %d writes, want 0 and 1", s.writeDeadlines, len(s.writes))
	}
}
