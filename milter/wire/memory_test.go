package wire

import (
	"os"
	"runtime"
	"strings"
	"testing"
)

// allocated is how many octets a call of f allocates, the mean of many.
func allocated(f func()) uint64 {
	const runs = 100
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for range runs {
		f()
	}
	runtime.ReadMemStats(&after)
	return (after.TotalAlloc - before.TotalAlloc) / runs
}

func TestAnnouncedLengthCostsNothing(t *testing.T) {
	tests := []struct {
		name   string
		stream string
		limit  uint64
	}{
		{"silent", "", 8 << 10},
		{"five octets of 64 KiB", "\x00\x01\x00\x00B", 8 << 10},
		{"4 KiB of 64 KiB", "\x00\x01\x00\x00B" + strings.Repeat("x", 4<<10), 24 << 10},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			stream := []byte(tt.stream)
			n := allocated(func() {
				s := &scriptConn{chunks: [][]byte{stream}, end: os.ErrDeadlineExceeded}
				if _, _, err := NewConn(s, Limits{}).Read(); err == nil {
					t.Fatal("a frame from nowhere")
				}
			})
			if n >= tt.limit {
				t.Errorf("%d octets allocated, want less than %d", n, tt.limit)
			}
		})
	}
}

func TestNewConnHoldsNoBuffer(t *testing.T) {
	if c := NewConn(&scriptConn{}, Limits{}); c.in != nil || c.out != nil {
		t.Errorf("buffers of %d and %d before the first octet", cap(c.in), cap(c.out))
	}
}

// A large frame that trickles in moves the buffer three times, however many
// reads it takes.
func TestBufferGrowsInSteps(t *testing.T) {
	stream := append(frame('H', "first\x00"), frame('B', strings.Repeat("x", 60000))...)
	s := &scriptConn{}
	for i := range stream {
		s.chunks = append(s.chunks, stream[i:i+1])
	}
	c := NewConn(s, Limits{})
	var sizes []int
	c.net = readHook{s, func() {
		if n := len(sizes); n == 0 || sizes[n-1] != cap(c.in) {
			sizes = append(sizes, cap(c.in))
		}
	}}
	for range 2 {
		if _, _, err := c.Read(); err != nil {
			t.Fatal(err)
		}
	}
	if len(sizes) != 3 || sizes[0] != smallBuffer || sizes[2] != lengthSize+MaxFrame {
		t.Errorf("buffers of %v octets, want three up to %d", sizes, lengthSize+MaxFrame)
	}
}

// readHook calls before ahead of each Read.
type readHook struct {
	*scriptConn
	before func()
}

func (h readHook) Read(p []byte) (int, error) {
	h.before()
	return h.scriptConn.Read(p)
}

func TestBigBufferIsGivenBack(t *testing.T) {
	s := &scriptConn{
		chunks: [][]byte{frame('B', strings.Repeat("x", 60000)), frame('B', strings.Repeat("x", 60000)), frame('E', ""), frame('A', "")},
		end:    os.ErrDeadlineExceeded,
	}
	c := NewConn(s, Limits{})
	for i, wantBig := range []bool{true, true, true, false} {
		if _, _, err := c.Read(); err != nil {
			t.Fatal(err)
		}
		if big := cap(c.in) > smallBuffer; big != wantBig {
			t.Errorf("after frame %d: buffer of %d octets", i, cap(c.in))
		}
	}
	if _, _, err := c.Read(); err == nil || cap(c.in) > smallBuffer {
		t.Errorf("waiting with a buffer of %d octets, %v", cap(c.in), err)
	}
}

func TestBigOutputIsGivenBack(t *testing.T) {
	c, _ := agreed(t, ActAddHeaders, StepHeaderLeadSpace)
	if err := c.AddHeader("X-Big", " "+strings.Repeat("x", 60000)); err != nil {
		t.Fatal(err)
	}
	if err := c.Reply(CmdEOM, Continue()); err != nil {
		t.Fatal(err)
	}
	if cap(c.out) > largestKept {
		t.Errorf("output buffer of %d octets kept", cap(c.out))
	}
}

// A header field costs the one allocation that holds its name and value.
func TestAllocationsPerHeader(t *testing.T) {
	tests := []struct {
		name  string
		steps Step
		field string
	}{
		{"plain", StepNRHeader | StepHeaderLeadSpace, "Subject\x00 hello\x00"},
		{"folded", StepNRHeader | StepHeaderLeadSpace, "Subject\x00 hello\n world\x00"},
		{"space put back, answered", 0, "Subject\x00hello\n world\x00"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c, s := agreed(t, 0, tt.steps)
			sink := discardConn{s}
			c.net = sink
			f, chunk := frame('L', tt.field), make([][]byte, 1)
			n := testing.AllocsPerRun(100, func() {
				chunk[0] = f
				s.chunks = chunk
				cmd, p, err := c.Read()
				if err == nil {
					_, _, err = c.ParseHeader(p)
				}
				if err == nil {
					err = c.Reply(cmd, Continue())
				}
				if err != nil {
					t.Fatal(err)
				}
			})
			if n > 1 {
				t.Errorf("%v allocations, want 1", n)
			}
		})
	}
}

// discardConn forgets what is written.
type discardConn struct{ *scriptConn }

func (discardConn) Write(p []byte) (int, error) { return len(p), nil }
