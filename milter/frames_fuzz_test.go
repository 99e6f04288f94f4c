package milter

import (
	"bytes"
	"encoding/binary"
	"log/slog"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/postseal/postseal/milter/resolver"
	"github.com/postseal/postseal/milter/wire"
)

// framesOn cuts what goes over a wire into frames; rest is what is no whole one.
func framesOn(b []byte) (frames [][]byte, rest []byte) {
	for len(b) >= 4 {
		n := int(binary.BigEndian.Uint32(b))
		if n < 1 || n > len(b)-4 {
			break
		}
		frames = append(frames, b[4:4+n])
		b = b[4+n:]
	}
	return frames, b
}

// FuzzFrames plays any octets to a live session, behind an offer of any protocol.
// The session ends without a panic, answers each command at most once and
// nothing that has no answer, changes a message at its end alone, and leaves
// nothing behind.
func FuzzFrames(f *testing.F) {
	whole := stream(f)
	f.Add(whole[17:], uint32(allSteps), uint32(allActions), false)
	f.Add(whole[17:], uint32(0), uint32(allActions), false)
	f.Add(whole[17:len(whole)-9], uint32(allSteps)&^uint32(wire.StepNRHeader), uint32(allActions), true)
	hostile := func(header ...string) []byte {
		b := appendFrame(nil, wire.CmdConnect, "mx.elsewhere.example\x004\x00\x19192.0.2.9\x00")
		b = appendFrame(b, wire.CmdMail, "<a@example.com>\x00SIZE=1\x00")
		for _, h := range header {
			name, value, _ := strings.Cut(h, ":")
			b = appendFrame(b, wire.CmdHeader, name+"\x00"+value+"\x00")
		}
		b = appendFrame(b, wire.CmdBody, "x \r\n")
		return appendFrame(appendFrame(b, wire.CmdEOM, "y"), wire.CmdEOM, "")
	}
	signature := badSignature()
	f.Add(hostile("From: a@example.com", "DKIM-Signature:"+signature.Value, "Authentication-Results: host.example; dkim=pass"), uint32(allSteps), uint32(allActions), false)
	f.Add(hostile("From: a@example.com", "From: b@example.com", "Authentication-Results\t:(host.example"), uint32(0x7f), uint32(1), true)
	f.Add(appendFrame(appendFrame(nil, wire.CmdMacro, "Mi\x00Q\x00{auth_type}\x00P\x00"), wire.CmdEOM, ""), uint32(allSteps), uint32(allActions), false)

	tables := "key_table = [\"k=example.com:s1:" + hostileKey.inline + "\"]\nsigning_table = [\"example.com=k\"]\n"
	records := resolver.NewRecords(map[string][]string{"s1._domainkey.example.com": {hostileKey.record}})
	signs := loadText(f, tables+"remove_old_signatures = true\nsoftware_header = true\nsign_once = true\non_bad_from = \"reject\"\n", records)
	refuses := loadText(f, tables+"on_default = \"reject\"\nalways_add_ar_header = true\nstrict_headers = true\n", records)
	f.Fuzz(func(t *testing.T, script []byte, steps, actions uint32, strict bool) {
		snapshot, log := signs, new(lockedLog)
		if strict {
			snapshot = refuses
		}
		srv := NewServer(snapshot, ServerOptions{Log: slog.New(slog.NewTextHandler(log, nil)), Hostname: "host.example"})
		before := runtime.NumGoroutine()
		sent := append(appendFrame(nil, wire.CmdOptNeg, offer(6, actions, steps)), script...)
		c := &memoryConn{in: sent}
		serveMemory(srv, c)
		if text := log.String(); strings.Contains(text, "panic") {
			t.Fatal(text)
		}
		for end := time.Now().Add(time.Minute); runtime.NumGoroutine() > before && lookupsRun(); time.Sleep(time.Millisecond) {
			if time.Now().After(end) {
				t.Fatal("a look-up is left behind")
			}
		}
		checkReplies(t, sent, c.out.Bytes())
	})
}

// lookupsRun reports whether a goroutine that asks for a key is there: it is the
// only kind that a session starts.
func lookupsRun() bool {
	stacks := make([]byte, 1<<20)
	return bytes.Contains(stacks[:runtime.Stack(stacks, true)], []byte("dkim.(*Verifier).ask"))
}

// checkReplies compares what a session answered with what it was sent: replies
// stand in the order of their commands.
func checkReplies(t *testing.T, sent, answered []byte) {
	t.Helper()
	commands, _ := framesOn(sent)
	replies, rest := framesOn(answered)
	if len(rest) > 0 {
		t.Fatalf("half a reply: %q", rest)
	}
	for _, r := range replies {
		changes := strings.IndexByte("ihm+-qp", r[0]) >= 0
		// The command that r answers is the next one that may have such a reply.
		for len(commands) > 0 && !answers(commands[0][0], r[0]) {
			commands = commands[1:]
		}
		if len(commands) == 0 {
			t.Fatalf("%q answers no command", r)
		}
		if !changes {
			commands = commands[1:]
		}
	}
}

// answers reports whether a command may have a reply.
func answers(command, reply byte) bool {
	switch wire.Command(command) {
	case wire.CmdOptNeg:
		return reply == 'O'
	case wire.CmdMacro, wire.CmdAbort, wire.CmdQuit, wire.CmdQuitNC:
		return false
	case wire.CmdEOM:
		return strings.IndexByte("ihm+-qpacdrty", reply) >= 0
	case wire.CmdBody:
		return strings.IndexByte("sacdrty", reply) >= 0
	case wire.CmdConnect, wire.CmdHelo, wire.CmdMail, wire.CmdRcpt, wire.CmdData, wire.CmdHeader, wire.CmdEOH, wire.CmdUnknown:
		return strings.IndexByte("acdrty", reply) >= 0
	}
	return false
}
