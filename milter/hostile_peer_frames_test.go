package milter

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/postseal/postseal/milter/wire"
)

// Frames of every length up to that of a body chunk and beyond, with every
// command, filled with anything, inside a message and before it: the filter
// answers with whole frames or closes, and what is too long is not waited for.
func TestFramesOfEveryLength(t *testing.T) {
	srv, _ := orderServer(t)
	var lengths []int
	for n := range 300 {
		lengths = append(lengths, n)
	}
	for _, around := range []int{511, 512, 1024, 2048, 4096, 8192, 16384, 32768, 65535, 65536, wire.MaxFrame} {
		lengths = append(lengths, around-1, around, around+1)
	}
	beginnings := map[string][]byte{"nothing": nil, "OPTNEG": nil, "header": nil}
	for _, order := range []struct{ name, commands string }{{"OPTNEG", "O"}, {"header", "OCML"}} {
		for _, cmd := range []byte(order.commands) {
			for _, f := range framesOf(cmd) {
				beginnings[order.name] = appendFrame(beginnings[order.name], f.cmd, f.payload)
			}
		}
	}
	fills := []string{"\x00", "a", "a\x00", "\xff", "\r\n", "<>\x00@,:;\"\\"}
	for name, before := range beginnings {
		first := &memoryConn{in: before}
		serveMemory(srv, first)
		answers := first.out.Bytes() // to before alone
		for i, n := range lengths {
			commands := everyCommand
			if n > 300 {
				commands = everyCommand[i%len(everyCommand):][:1] + "LBDMC" // each of the others at some length
			}
			for _, cmd := range []byte(commands) {
				fill := fills[(i+int(cmd))%len(fills)]
				in := binary.BigEndian.AppendUint32(before[:len(before):len(before)], uint32(n))
				if n > 0 {
					in = append(append(in, cmd), strings.Repeat(fill, n/len(fill)+1)[:n-1]...)
				}
				in = append(in, before...) // and on it goes
				peer := &memoryConn{in: in}
				serveMemory(srv, peer)
				replies := conversation{order: fmt.Sprintf("%s, then %c of %d octets %q", name, cmd, n, fill), out: peer.out.Bytes()}
				for ok := true; ok; {
					_, _, ok = replies.next(t)
				}
				if forbidden := n == 0 || n > wire.MaxFrame; forbidden && !bytes.Equal(peer.out.Bytes(), answers) {
					t.Errorf("%s is answered with %q", replies.order, peer.out.Bytes()[len(answers):])
				}
			}
		}
	}
	if n := srv.Counts().Reasons[ReasonPanic]; n != 0 {
		t.Errorf("%d sessions panicked", n)
	}
}

// Whoever announces more than a frame may have is not waited for, and costs no
// memory: 4 GiB as little as one octet too many.
func TestAnnouncedGigabytes(t *testing.T) {
	srv, _ := orderServer(t)
	negotiation := appendFrame(nil, wire.CmdOptNeg, offer(6, allActions, allSteps))
	for _, n := range []uint32{0, wire.MaxFrame + 1, 1 << 20, math.MaxInt32, math.MaxInt32 + 1, math.MaxUint32 - 3, math.MaxUint32} {
		in := append(binary.BigEndian.AppendUint32(negotiation[:len(negotiation):len(negotiation)], n), strings.Repeat("B", 1<<20)...)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		peer := &memoryConn{in: in}
		serveMemory(srv, peer)
		runtime.ReadMemStats(&after)
		if len(peer.in) < len(in)-64<<10 {
			t.Errorf("%d octets announced: %d of them were read", n, len(in)-len(peer.in))
		}
		if grown := after.TotalAlloc - before.TotalAlloc; grown > 256<<10 {
			t.Errorf("%d octets announced: %d allocated", n, grown)
		}
	}
}

// A storm of one command costs time in proportion to its length, and its
// session holds no more for it.
func TestStormsOfFrames(t *testing.T) {
	srv, _ := orderServer(t)
	for _, row := range []struct {
		name, before string // before: commands ahead of the storm
		cmd          wire.Command
		payload      string
		header       bool // the storm is a header up to its limits, which is kept
	}{
		{name: "QUIT_NC", before: "OC", cmd: wire.CmdQuitNC},
		{name: "ABORT", before: "OCM", cmd: wire.CmdAbort},
		{name: "OPTNEG", before: "OC", cmd: wire.CmdOptNeg, payload: offer(6, allActions, allSteps)},
		{name: "CONNECT", before: "O", cmd: wire.CmdConnect, payload: "localhost\x004\x00\x19127.0.0.1\x00"},
		{name: "HELO", before: "OC", cmd: wire.CmdHelo, payload: "x\x00"},
		{name: "UNKNOWN", before: "OC", cmd: wire.CmdUnknown, payload: "x\x00"},
		{name: "MACRO", before: "OC", cmd: wire.CmdMacro, payload: "M{a}\x00b\x00"},
		{name: "MAIL", before: "OC", cmd: wire.CmdMail, payload: "<user@example.com>\x00"},
		{name: "RCPT", before: "OCM", cmd: wire.CmdRcpt, payload: "<user@example.com>\x00"},
		{name: "header fields", before: "OCM", cmd: wire.CmdHeader, payload: "X\x00 y\x00", header: true},
		{name: "forged results", before: "OCM", cmd: wire.CmdHeader, payload: "Authentication-Results\x00 host.example; dkim=pass\x00", header: true},
		{name: "EOH", before: "OCML", cmd: wire.CmdEOH},
		{name: "small pieces of a body", before: "OCMLN", cmd: wire.CmdBody, payload: " "},
		{name: "empty pieces of a body", before: "OCMLN", cmd: wire.CmdBody},
		{name: "EOM", before: "OCMLN", cmd: wire.CmdEOM},
	} {
		t.Run(row.name, func(t *testing.T) {
			var before []byte
			for _, cmd := range []byte(row.before) {
				for _, f := range framesOf(cmd) {
					before = appendFrame(before, f.cmd, f.payload)
				}
			}
			one := appendFrame(nil, row.cmd, row.payload)
			storm := func(n int) *memoryConn {
				return &memoryConn{in: append(before[:len(before):len(before)], strings.Repeat(string(one), n)...), forget: true}
			}
			const frames = 10_000
			cost := func(n int) time.Duration {
				in := storm(n).in
				return threadCPU(t, func() { serveMemory(srv, &memoryConn{in: in, forget: true}) })
			}
			once, twice := cost(frames), cost(2*frames)
			peer, base, held := storm(2*frames), liveHeap(), int64(0)
			peer.atEnd = func() { held = liveHeap() - base }
			serveMemory(srv, peer)
			limit := int64(64 << 10)
			if row.header {
				limit = 2 << 20
			}
			if held > limit {
				t.Errorf("%d octets are held after %d frames, want at most %d", held, 2*frames, limit)
			}
			if twice > 3*once+tick {
				t.Errorf("%v for %d frames, %v for twice as many", once, frames, twice)
			}
		})
	}
}
