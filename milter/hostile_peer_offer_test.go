package milter

import (
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/postseal/postseal/milter/wire"
)

// offered plays a message to a filter that is offered a version, actions and
// steps, and follows every frame that comes back. signed reports whether the
// message was; ok is false where the filter refused the offer.
func offered(t *testing.T, srv *Server, version, actions, steps uint32) (signed, ok bool) {
	t.Helper()
	in := appendFrame(nil, wire.CmdOptNeg, offer(version, actions, steps))
	agreedSteps := srv.Snapshot().want.Steps & wire.Step(steps)
	type due struct {
		cmd wire.Command
		nr  wire.Step
	}
	var expected []due
	for _, cmd := range []byte("CHMRTLNBE") {
		for _, f := range framesOf(cmd) {
			nr := f.nr
			if f.cmd == wire.CmdConnect {
				nr = wire.StepNRConnect
			}
			in = appendFrame(in, f.cmd, f.payload)
			expected = append(expected, due{f.cmd, nr})
		}
	}
	peer := &memoryConn{in: in}
	serveMemory(srv, peer)
	replies := conversation{out: peer.out.Bytes()}
	code, p, answered := replies.next(t)
	if !answered {
		return false, false
	}
	if code != 'O' || len(p) < 12 {
		t.Fatalf("offer %d %#x %#x is answered with %q %q", version, actions, steps, code, p)
	}
	gotVersion, gotActions, gotSteps := uint32(p[3]), uint32(p[6])<<8|uint32(p[7]), uint32(p[9])<<16|uint32(p[10])<<8|uint32(p[11])
	if gotVersion > version || gotVersion < 2 || gotActions&^actions != 0 || gotSteps != uint32(agreedSteps) ||
		string(p[:3])+string(p[4:6])+p[8:9] != "\x00\x00\x00\x00\x00\x00" {
		t.Fatalf("offer %d %#x %#x is answered with %d %#x %#x", version, actions, steps, gotVersion, gotActions, gotSteps)
	}
	for _, d := range expected {
		if d.nr != 0 && uint32(d.nr)&gotSteps != 0 {
			continue
		}
		for {
			code, p, answered := replies.next(t)
			if !answered {
				t.Fatalf("offer %d %#x %#x: %v is not answered", version, actions, steps, d.cmd)
			}
			if strings.ContainsRune("ihmq+-", rune(code)) {
				need := map[byte]wire.Action{'i': wire.ActAddHeaders, 'h': wire.ActAddHeaders, 'm': wire.ActChangeHeaders,
					'q': wire.ActQuarantine, '+': wire.ActAddRcpt, '-': wire.ActDelRcpt}[code]
				if d.cmd != wire.CmdEOM || uint32(need)&gotActions == 0 {
					t.Fatalf("offer %d %#x %#x: change %q at %v", version, actions, steps, code, d.cmd)
				}
				signed = signed || code == 'i' && strings.HasPrefix(p[4:], "DKIM-Signature\x00")
				continue
			}
			if code == 's' && gotSteps&uint32(wire.StepSkip) == 0 {
				t.Fatalf("offer %d %#x %#x: SKIP was not agreed", version, actions, steps)
			}
			break
		}
	}
	if code, p, more := replies.next(t); more {
		t.Fatalf("offer %d %#x %#x: %q %q at the end", version, actions, steps, code, p)
	}
	return signed, true
}

// Whatever of the protocol a peer offers, the filter takes no more of it, keeps
// to it through a message, and signs; or it refuses the connection.
func TestEveryOffer(t *testing.T) {
	srv, _ := orderServer(t)
	needed := uint32(srv.Snapshot().want.Actions)
	check := func(version, actions, steps uint32) {
		t.Helper()
		signed, ok := offered(t, srv, version, actions, steps)
		if want := version >= 2 && needed&^actions == 0; ok != want || signed != want {
			t.Errorf("offer %d %#x %#x: taken %t, signed %t, want %t", version, actions, steps, ok, signed, want)
		}
	}
	const everyStep = 0x1fffff
	for actions := range uint32(512) { // every set of the protocol's nine
		check(2, actions, 0)
		check(6, actions, everyStep)
		check(6, actions|0xfffffe00, 0)
	}
	for _, version := range []uint32{0, 1, 2, 3, 4, 5, 6, 7, 8, 255, 256, 1 << 16, 1<<24 + 6, 1<<31 - 1, 1 << 31, 1<<32 - 1} {
		check(version, allActions, everyStep)
		check(version, 1<<32-1, 1<<32-1)
		check(version, 0, 0)
	}
	for i := range 32 { // each step alone, each left out, and each two
		check(6, allActions, 1<<i)
		check(6, allActions, everyStep&^(1<<i))
		for j := range i {
			check(6, allActions, 1<<i|1<<j)
		}
	}
	random := rand.New(rand.NewPCG(6, 7))
	for range 500 {
		check(random.Uint32()%10, random.Uint32(), random.Uint32())
	}
}

// An OPTNEG of any length is answered or refused.
func TestOfferOfEveryLength(t *testing.T) {
	srv, _ := orderServer(t)
	whole := offer(6, allActions, allSteps) + strings.Repeat("\x00\x00\x00\x01i\x00", 50)
	for n := range len(whole) {
		peer := &memoryConn{in: appendFrame(nil, wire.CmdOptNeg, whole[:n])}
		serveMemory(srv, peer)
		if answered := peer.out.Len() > 0; answered != (n >= 12) {
			t.Errorf("an OPTNEG of %d octets: answered %t", n, answered)
		}
	}
}
