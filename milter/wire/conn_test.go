package wire

import (
	"bytes"
	"errors"
	"io"
	"os"
	"strings"
	"testing"
)

// got is a frame that was read.
type got struct {
	cmd     Command
	payload string
}

// readAll reads until an error.
func readAll(c *Conn) (all []got, err error) {
	for {
		cmd, payload, err := c.Read()
		if err != nil {
			return all, err
		}
		all = append(all, got{cmd, string(payload)})
	}
}

func TestReadFrames(t *testing.T) {
	stream := bytes.Join([][]byte{
		frame('C', "host\x00U"), frame('N', ""), frame('B', strings.Repeat("x", 65535)), frame('?', "odd"), frame('Q', ""),
	}, nil)
	want := []got{{CmdConnect, "host\x00U"}, {CmdEOH, ""}, {CmdBody, strings.Repeat("x", 65535)}, {'?', "odd"}, {CmdQuit, ""}}
	for _, size := range []int{1, 2, 3, 5, 4095, 4096, 4097, 65539, len(stream)} {
		s := &scriptConn{}
		for rest := stream; len(rest) > 0; {
			n := min(size, len(rest))
			s.chunks = append(s.chunks, rest[:n])
			rest = rest[n:]
		}
		all, err := readAll(NewConn(s, Limits{}))
		if err != io.EOF {
			t.Errorf("pieces of %d: ended with %v, want io.EOF", size, err)
		}
		if len(all) != len(want) {
			t.Fatalf("pieces of %d: %d frames, want %d", size, len(all), len(want))
		}
		for i := range want {
			if all[i] != want[i] {
				t.Errorf("pieces of %d: frame %d is %v of %d octets, want %v of %d",
					size, i, all[i].cmd, len(all[i].payload), want[i].cmd, len(want[i].payload))
			}
		}
	}
}

func TestReadErrors(t *testing.T) {
	broken := errors.New("broken")
	tests := []struct {
		name   string
		stream string
		end    error
		limits Limits
		want   error
		text   string
	}{
		{"nothing", "", nil, Limits{}, io.EOF, "EOF"},
		{"end in the length", "\x00\x00", nil, Limits{}, io.ErrUnexpectedEOF, "2 of at least 5 octets"},
		{"end in the payload", "\x00\x00\x00\x09Hab", nil, Limits{}, io.ErrUnexpectedEOF, "7 of at least 13 octets"},
		{"no octets", "\x00\x00\x00\x00", nil, Limits{}, ErrFrameSize, "0 octets announced"},
		{"HTTP", "GET / HTTP/1.1\r\n\r\n", nil, Limits{}, ErrFrameSize, "speaks milter?"},
		{"largest length", "\xff\xff\xff\xff", nil, Limits{}, ErrFrameSize, "4294967295"},
		{"one above the default", "\x00\x01\x10\x01", nil, Limits{}, ErrFrameSize, "69633"},
		{"one above a limit", "\x00\x00\x00\x0bH", nil, Limits{MaxFrame: 10}, ErrFrameSize, "11 octets"},
		{"silence", "", os.ErrDeadlineExceeded, Limits{}, os.ErrDeadlineExceeded, "wait for a milter frame"},
		{"slow", "\x00\x00\x00\x02", os.ErrDeadlineExceeded, Limits{}, os.ErrDeadlineExceeded, "4 of at least 6 octets"},
		{"broken", "\x00", broken, Limits{}, broken, "broken"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := &scriptConn{chunks: [][]byte{[]byte(tt.stream)}, end: tt.end}
			_, _, err := NewConn(s, tt.limits).Read()
			if !errors.Is(err, tt.want) || !strings.Contains(err.Error(), tt.text) {
				t.Errorf("got %v, want %v with %q", err, tt.want, tt.text)
			}
			if tt.want == io.EOF && err != io.EOF {
				t.Errorf("a clean end is not bare: %v", err)
			}
		})
	}
}

// stallConn never gives data and never an error.
type stallConn struct{ scriptConn }

func (*stallConn) Read([]byte) (int, error) { return 0, nil }

func TestReadWithoutProgress(t *testing.T) {
	if _, _, err := NewConn(&stallConn{}, Limits{}).Read(); !errors.Is(err, io.ErrNoProgress) {
		t.Errorf("got %v, want %v", err, io.ErrNoProgress)
	}
}

func TestReadLargestFrame(t *testing.T) {
	s := &scriptConn{chunks: [][]byte{frame('B', strings.Repeat("x", MaxFrame-1)), frame('E', "")}}
	all, err := readAll(NewConn(s, Limits{}))
	if err != io.EOF || len(all) != 2 || len(all[0].payload) != MaxFrame-1 {
		t.Errorf("got %d frames and %v", len(all), err)
	}
}

func TestReadAfterTimeout(t *testing.T) {
	s := &scriptConn{chunks: [][]byte{[]byte("\x00\x00\x00\x04H")}, end: os.ErrDeadlineExceeded}
	c := NewConn(s, Limits{})
	if _, _, err := c.Read(); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("got %v", err)
	}
	s.chunks = [][]byte{[]byte("ab\x00")}
	cmd, payload, err := c.Read()
	if cmd != CmdHelo || string(payload) != "ab\x00" || err != nil {
		t.Errorf("got %v %q %v: what had arrived is lost", cmd, payload, err)
	}
}

// Frames that arrive together cost one read.
func TestReadCalls(t *testing.T) {
	var stream []byte
	for range 50 {
		stream = append(stream, frame('L', "Subject\x00 a line of text\x00")...)
	}
	s := &scriptConn{chunks: [][]byte{stream}}
	c := NewConn(s, Limits{})
	for range 50 {
		if _, _, err := c.Read(); err != nil {
			t.Fatal(err)
		}
	}
	if s.reads != 1 {
		t.Errorf("%d reads for one piece of %d octets, want 1", s.reads, len(stream))
	}
}

func TestPayloadCannotReachNextFrame(t *testing.T) {
	s := &scriptConn{chunks: [][]byte{append(frame('H', "a\x00"), frame('M', "<b>\x00")...)}}
	c := NewConn(s, Limits{})
	_, p, err := c.Read()
	if err != nil {
		t.Fatal(err)
	}
	_ = append(p, "overwritten"...)
	if _, p, err = c.Read(); err != nil || string(p) != "<b>\x00" {
		t.Errorf("got %q, %v: append to a payload reached the next frame", p, err)
	}
}

// FuzzRead: a stream gives the same frames and the same end however it is
// split, and the buffer follows what has arrived.
func FuzzRead(f *testing.F) {
	f.Add(frame('H', "a\x00"), uint16(1), uint16(3))
	f.Add(append(frame('C', "host\x00U"), frame('Q', "")...), uint16(5), uint16(9))
	f.Add([]byte("\x00\x01\x00\x00Bxxx"), uint16(2), uint16(6))
	f.Add(append(frame('B', strings.Repeat("x", 9000)), 0, 0, 0), uint16(4096), uint16(8192))
	f.Add([]byte("\x00\x00\x00\x00"), uint16(0), uint16(0))
	f.Fuzz(func(t *testing.T, stream []byte, a, b uint16) {
		whole, wholeErr := readAll(NewConn(&scriptConn{chunks: [][]byte{stream}}, Limits{}))
		first := min(int(a), len(stream))
		second := first + min(int(b), len(stream)-first)
		s := &scriptConn{chunks: [][]byte{stream[:first], stream[first:second], stream[second:]}}
		c := NewConn(s, Limits{})
		split, splitErr := readAll(c)
		if wholeErr.Error() != splitErr.Error() {
			t.Fatalf("ended with %v, and split with %v", wholeErr, splitErr)
		}
		if len(whole) != len(split) {
			t.Fatalf("%d frames, and %d split at %d and %d", len(whole), len(split), first, second)
		}
		rest := stream
		for i := range whole {
			if whole[i] != split[i] {
				t.Fatalf("frame %d: %+v, and split %+v", i, whole[i], split[i])
			}
			want := frame(byte(whole[i].cmd), whole[i].payload)
			if !bytes.HasPrefix(rest, want) {
				t.Fatalf("frame %d: %+v is not what the stream holds", i, whole[i])
			}
			rest = rest[len(want):]
		}
		if limit := max(smallBuffer, (bufferGrowth+1)*len(stream)); cap(c.in) > limit || cap(c.in) > lengthSize+MaxFrame {
			t.Fatalf("buffer of %d for a stream of %d", cap(c.in), len(stream))
		}
	})
}
