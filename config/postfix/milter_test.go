package postfix

import (
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/postseal/postseal/milter/wire"
)

// milter is a filter that adds a field X-Passed to each message and remembers its
// clients.
type milter struct {
	socket Socket

	mu      sync.Mutex
	clients []string
	silent  bool // it ends each connection at once
}

// listen starts a milter; on a unix socket its mode is mode.
func listen(t *testing.T, network, address string, mode os.FileMode) *milter {
	t.Helper()
	l, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	m := &milter{socket: Socket{Network: network, Address: l.Addr().String()}}
	if network == "unix" {
		if err := os.Chmod(address, mode); err != nil {
			t.Fatal(err)
		}
		m.socket.Address = filepath.Clean(address)
	}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go m.serve(c)
		}
	}()
	return m
}

func (m *milter) serve(c net.Conn) {
	defer c.Close()
	m.mu.Lock()
	silent := m.silent
	m.mu.Unlock()
	if silent {
		return
	}
	w := wire.NewConn(c, wire.Limits{})
	for {
		cmd, p, err := w.Read()
		if err != nil || cmd == wire.CmdQuit {
			return
		}
		switch cmd {
		case wire.CmdOptNeg:
			_, err = w.Negotiate(p, wire.Want{Actions: wire.ActAddHeaders})
		case wire.CmdConnect:
			if from, parseErr := wire.ParseConnect(p); parseErr == nil {
				m.mu.Lock()
				m.clients = append(m.clients, from.Address)
				m.mu.Unlock()
			}
			err = w.Reply(cmd, wire.Continue())
		case wire.CmdEOM:
			if err = w.AddHeader("X-Passed", "yes"); err == nil {
				err = w.Reply(cmd, wire.Continue())
			}
		case wire.CmdMacro, wire.CmdAbort, wire.CmdQuitNC:
		default:
			err = w.Reply(cmd, wire.Continue())
		}
		if err != nil {
			return
		}
	}
}

// mute has it answer no more.
func (m *milter) mute() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.silent = true
}

// seen are the clients' addresses, in order.
func (m *milter) seen() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return append([]string(nil), m.clients...)
}
