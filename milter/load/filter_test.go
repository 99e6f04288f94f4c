package load

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/postseal/postseal/milter/wire"
)

// filter is a milter that records what it is sent.
type filter struct {
	actions wire.Action
	steps   wire.Step
	symbols string // what follows the three numbers of its negotiation
	version uint32 // 0: the MTA's
	// answers are frames, each as its code and payload, by command; default
	// continue. No frame at all is silence, and "close" ends the connection.
	answers map[wire.Command][]string

	listener net.Listener
	mu       sync.Mutex
	sessions []*[]string // the frames of each connection, as "C payload"
	ended    int         // connections that are closed
}

// listen starts the filter and returns its socket.
func (f *filter) listen(t testing.TB, network string) string {
	t.Helper()
	address := "127.0.0.1:0"
	if network == "unix" {
		address = filepath.Join(t.TempDir(), "s")
	}
	l, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	f.serve(l)
	if network == "unix" {
		return "unix:" + address
	}
	return fmt.Sprintf("inet:%d@127.0.0.1", l.Addr().(*net.TCPAddr).Port)
}

// serve answers in the background until the listener is closed.
func (f *filter) serve(l net.Listener) {
	f.listener = l
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go f.session(c)
		}
	}()
}

// suppressors are the steps that leave the answer to a command out.
var suppressors = map[wire.Command]wire.Step{
	wire.CmdConnect: wire.StepNRConnect, wire.CmdHelo: wire.StepNRHelo, wire.CmdMail: wire.StepNRMail,
	wire.CmdRcpt: wire.StepNRRcpt, wire.CmdData: wire.StepNRData, wire.CmdHeader: wire.StepNRHeader,
	wire.CmdEOH: wire.StepNREOH, wire.CmdBody: wire.StepNRBody, wire.CmdEOM: 0,
}

func (f *filter) session(c net.Conn) {
	defer func() {
		c.Close()
		f.mu.Lock()
		f.ended++
		f.mu.Unlock()
	}()
	frames := new([]string)
	f.mu.Lock()
	f.sessions = append(f.sessions, frames)
	f.mu.Unlock()
	r := bufio.NewReader(c)
	for {
		var head [5]byte
		if _, err := io.ReadFull(r, head[:]); err != nil {
			return
		}
		p := make([]byte, binary.BigEndian.Uint32(head[:])-1)
		if _, err := io.ReadFull(r, p); err != nil {
			return
		}
		cmd := wire.Command(head[4])
		f.mu.Lock()
		*frames = append(*frames, string(head[4])+" "+string(p))
		f.mu.Unlock()
		nr, answered := suppressors[cmd]
		list, scripted := f.answers[cmd]
		switch {
		case scripted:
		case cmd == wire.CmdOptNeg:
			list = []string{"O" + f.negotiation(p)}
		case answered && f.steps&nr == 0:
			list = []string{"c"}
		}
		for _, a := range list {
			if a == "close" {
				return
			}
			if _, err := c.Write(frame(wire.Command(a[0]), a[1:])); err != nil {
				return
			}
		}
	}
}

func (f *filter) negotiation(offer []byte) string {
	p := append([]byte(nil), offer[:4]...)
	if f.version != 0 {
		p = binary.BigEndian.AppendUint32(nil, f.version)
	}
	p = binary.BigEndian.AppendUint32(p, uint32(f.actions))
	p = binary.BigEndian.AppendUint32(p, uint32(f.steps))
	return string(p) + f.symbols
}

// transcript waits for a connection with a message to end and returns its frames,
// one a line; those up to it are forgotten.
func (f *filter) transcript(t *testing.T) string {
	t.Helper()
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		f.mu.Lock()
		for i, frames := range f.sessions {
			n := len(*frames)
			message := slices.ContainsFunc(*frames, func(s string) bool { return strings.HasPrefix(s, "D M") })
			if message && (*frames)[n-1] == "Q " {
				f.sessions = f.sessions[i+1:]
				f.mu.Unlock()
				return lines(*frames)
			}
		}
		f.mu.Unlock()
	}
	t.Fatal("no connection with a message ends")
	return ""
}

// lines quotes frames; a long one is cut.
func lines(frames []string) string {
	var b strings.Builder
	for _, frame := range frames {
		if len(frame) > 300 {
			frame = fmt.Sprintf("%s… %d octets", frame[:300], len(frame))
		}
		fmt.Fprintf(&b, "%q\n", frame)
	}
	return b.String()
}

// symbol is an entry of a negotiation with SETSYMLIST.
func symbol(s stage, names string) string {
	return string(binary.BigEndian.AppendUint32(nil, uint32(s))) + names + "\x00"
}
