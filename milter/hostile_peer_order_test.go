package milter

import (
	"encoding/binary"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/postseal/postseal/milter/dkim"
	"github.com/postseal/postseal/milter/resolver"
	"github.com/postseal/postseal/milter/wire"
)

// everyCommand is each command of the protocol, and one that is none.
const everyCommand = "OCDHMRTLNBEAKUQz"

// conversation is the MTA's side of a sequence of commands, and what it knows
// of the message in it.
type conversation struct {
	order string
	in    []byte
	out   []byte // frames of the filter that are not looked at yet

	negotiated, inMessage, decided bool
	answered                       byte // the last reply of a message that ended with it
	header                         []string
	body                           string
	signed                         int
}

// framesOf are the frames of one command, as a peer sends it that offers no
// steps: each is answered.
func framesOf(cmd byte) []frame {
	switch cmd {
	case 'O':
		return []frame{{wire.CmdOptNeg, offer(6, allActions, uint32(wire.StepHeaderLeadSpace|wire.StepSkip)), 0}}
	case 'C':
		return []frame{{wire.CmdConnect, "localhost\x004\x00\x19127.0.0.1\x00", 0}}
	case 'D':
		return []frame{{wire.CmdMacro, "Mi\x004XQ1\x00", 0}}
	}
	return stepsOf(string(cmd), plainHeader)
}

// next is the next frame of the filter; ok is false at the end.
func (c *conversation) next(t *testing.T) (code byte, payload string, ok bool) {
	t.Helper()
	if len(c.out) == 0 {
		return 0, "", false
	}
	n := int(binary.BigEndian.Uint32(c.out))
	if n < 1 || len(c.out) < 4+n {
		t.Fatalf("%s: a broken frame at the end of the replies: %q", c.order, c.out)
	}
	code, payload, c.out = c.out[4], string(c.out[5:4+n]), c.out[4+n:]
	return code, payload, true
}

// expect follows one command; false means that the connection has to be closed.
func (c *conversation) expect(t *testing.T, records dkim.Resolver, cmd byte) bool {
	t.Helper()
	if !c.negotiated && cmd != 'O' && cmd != 'Q' {
		return false
	}
	reply := func(allowed string) byte {
		code, _, ok := c.next(t)
		if !ok || !strings.ContainsRune(allowed, rune(code)) {
			t.Fatalf("%s: %c is answered with %q, want one of %q", c.order, cmd, code, allowed)
		}
		return code
	}
	forget := func() { c.inMessage, c.decided, c.answered, c.header, c.body = false, false, 0, nil, "" }
	begin := func() { forget(); c.inMessage = true }
	switch cmd {
	case 'O':
		reply("O")
		forget()
		c.negotiated = true
	case 'C':
		reply("c")
		forget()
	case 'H', 'T', 'U':
		reply("c")
	case 'D':
	case 'A', 'K':
		forget()
	case 'M':
		reply("c")
		begin()
	case 'R', 'L':
		if !c.inMessage {
			begin()
		}
		if c.decided {
			return false
		}
		if cmd == 'R' {
			reply("c")
			break
		}
		for range plainHeader {
			reply("c")
		}
		c.header = append(c.header, plainHeader...)
	case 'N', 'B', 'E':
		if !c.inMessage && c.answered != 0 {
			reply(string(c.answered))
			break
		}
		if !c.inMessage {
			begin()
		}
		c.decided = true
		if cmd == 'B' {
			c.body += plainBody
		}
		c.end(t, records, cmd, reply)
	default: // QUIT, and what is no command
		return false
	}
	return true
}

// end follows NBE in a message: changes come at E alone, and what is signed is
// the message as it was sent.
func (c *conversation) end(t *testing.T, records dkim.Resolver, cmd byte, reply func(string) byte) {
	t.Helper()
	for cmd == 'E' && len(c.out) > 4 && c.out[4] == 'i' {
		_, field, _ := c.next(t)
		value, ok := strings.CutPrefix(field[4:], "DKIM-Signature\x00")
		if !ok {
			continue
		}
		c.signed++
		if r := verified(t, records, c.header, strings.TrimSuffix(value, "\x00"), c.body); r.Status != dkim.Pass {
			t.Fatalf("%s: the signature does not verify: %v", c.order, r.Err)
		}
	}
	allowed := map[byte]string{'N': "c", 'B': "cs", 'E': "a"}[cmd]
	if code := reply(allowed); code == 'a' {
		c.inMessage, c.answered = false, code
	}
}

// converse takes a sequence of commands through a session and follows it. It
// returns how many messages were signed.
func converse(t *testing.T, srv *Server, records dkim.Resolver, order string) int {
	t.Helper()
	c := conversation{order: order}
	for _, cmd := range []byte(order) {
		for _, f := range framesOf(cmd) {
			c.in = appendFrame(c.in, f.cmd, f.payload)
		}
	}
	peer := &memoryConn{in: c.in}
	serveMemory(srv, peer)
	c.out = peer.out.Bytes()
	for _, cmd := range []byte(order) {
		if !c.expect(t, records, cmd) {
			break
		}
	}
	if code, payload, ok := c.next(t); ok {
		t.Fatalf("%s: %q %q comes though nothing is to be answered", order, code, payload)
	}
	return c.signed
}

// orderServer signs mail of example.com.
func orderServer(t *testing.T) (*Server, *resolver.Records) {
	t.Helper()
	signer, records := signingServer(t, "")
	return quietServer(signer.Snapshot()), records
}

// Every sequence of two commands at every point of a session, and of three at
// some, is answered command by command or ends the connection; what is signed is
// signed right.
func TestEveryOrderOfCommands(t *testing.T) {
	srv, records := orderServer(t)
	signed := 0
	for _, prefix := range []string{"", "O", "OC", "OCM", "OCML", "OCMLN", "OCMLNB", "OCMLNBE"} {
		var extend func(order string, left int)
		extend = func(order string, left int) {
			signed += converse(t, srv, records, order)
			for i := 0; left > 0 && i < len(everyCommand); i++ {
				extend(order+everyCommand[i:i+1], left-1)
			}
		}
		depth := 2
		if prefix == "OC" || prefix == "OCMLN" {
			depth = 3 // ahead of a message, and in the middle of one
		}
		extend(prefix, depth)
	}
	if n := srv.Counts().Reasons[ReasonPanic]; n != 0 || signed == 0 {
		t.Errorf("%d panics, %d messages signed", n, signed)
	}
}

// The same for long sequences, at random.
func TestLongOrdersOfCommands(t *testing.T) {
	srv, records := orderServer(t)
	random := rand.New(rand.NewPCG(4, 5))
	signed := 0
	for range 1500 {
		order := []byte("OC")
		for range 4 + random.IntN(60) {
			next := everyCommand[random.IntN(len(everyCommand))]
			if strings.IndexByte("Qz", next) >= 0 && random.IntN(8) > 0 {
				next = "MLE"[random.IntN(3)]
			}
			order = append(order, next)
		}
		signed += converse(t, srv, records, string(order))
	}
	if n := srv.Counts().Reasons[ReasonPanic]; n != 0 || signed < 100 {
		t.Errorf("%d panics, %d messages signed", n, signed)
	}
}
