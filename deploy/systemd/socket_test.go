//go:build deploy

package systemd_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// A whole message, as it can be written at once: an offer of everything but of steps
// to leave out, the client, the envelope, the header, the body.
var message = frames("O\x00\x00\x00\x06\x00\x00\x01\xff\x00\x00\x00\x00", "Clocalhost\x004\x00\x19127.0.0.1\x00",
	"M<user@example.com>\x00", "R<user@example.net>\x00", "LFrom\x00user@example.com\x00", "N", "Bx\r\n", "E")

func frames(list ...string) (stream []byte) {
	for _, f := range list {
		stream = append(binary.BigEndian.AppendUint32(stream, uint32(len(f))), f...)
	}
	return stream
}

// deliver takes a connection and a whole message through it. Whoever is accepted is
// to be served.
func (h *host) deliver() error {
	c, err := net.Dial("unix", h.Path(socketPath))
	if err != nil {
		return err
	}
	defer c.Close()
	return served(c)
}

// served sends a message on a new connection, and wants it signed.
func served(c net.Conn) error {
	if err := c.SetDeadline(time.Now().Add(2 * time.Minute)); err != nil {
		return err
	}
	if _, err := c.Write(message); err != nil {
		return err
	}
	var replies strings.Builder
	signed := false
	for {
		var head [5]byte
		if _, err := io.ReadFull(c, head[:]); err != nil {
			return fmt.Errorf("after the replies %q: %w", replies.String(), err)
		}
		payload := make([]byte, binary.BigEndian.Uint32(head[:])-1)
		if _, err := io.ReadFull(c, payload); err != nil {
			return err
		}
		code := head[4]
		replies.WriteByte(code)
		signed = signed || (code == 'i' || code == 'h') && strings.Contains(string(payload), "DKIM-Signature\x00")
		switch {
		case code == 'a' && signed:
			return nil
		case code != 'O' && code != 'c' && code != 'i' && code != 'h' && code != 'm':
			return errors.New("the replies are " + replies.String())
		}
	}
}

// With sockets that systemd opens, no connection is refused while the daemon is
// replaced by a new one, or while its configuration is broken: what connects then
// waits for it.
func TestSockets(t *testing.T) {
	t.Parallel()
	h := install(t)
	h.dropIn("postseal.socket", "[Socket]\nListenStream=127.0.0.1:8891\n")
	h.config("drain_timeout = \"10m\"\n")
	h.Shell("systemctl start postseal.socket")
	if out := h.Shell("stat -c '%a %U:%G' " + socketPath); out != "660 postseal:postseal" {
		t.Errorf("the socket is %s", out)
	}
	if state := h.property("postseal.service", "ActiveState"); state != "inactive" {
		t.Errorf("the service is %s before anybody needs it", state)
	}
	h.wantSigned("example.com") // this starts it
	if err := h.mail("--want DKIM-Signature --from user@example.com inet:8891@127.0.0.1"); err != nil {
		t.Error(err)
	}
	status := h.Shell("postseal status")
	for _, want := range []string{"socket    local:" + socketPath + " (inherited)", "socket    inet:8891@127.0.0.1 (inherited)"} {
		if !strings.Contains(status, want) {
			t.Errorf("no %q:\n%s", want, status)
		}
	}

	// Upgrades, while mail comes in.
	var load sync.WaitGroup
	var done, count atomic.Int64
	for range 3 {
		load.Go(func() {
			for done.Load() == 0 {
				if err := h.deliver(); err != nil {
					t.Errorf("while the daemon is replaced: %v", err)
					return
				}
				count.Add(1)
			}
		})
	}
	for range 3 {
		before := count.Load()
		h.Await("mail", func() bool { return count.Load() > before+10 || t.Failed() })
		h.Shell("cp /usr/bin/postseal /usr/bin/postseal.new && mv /usr/bin/postseal.new /usr/bin/postseal && systemctl restart postseal.service")
	}
	done.Store(1)
	load.Wait()

	// Who connects while a message keeps the old daemon from its end waits for the
	// new one.
	finish := h.begin()
	pid := h.pid()
	h.Shell("systemctl restart --no-block postseal.service")
	h.await("postseal.service", "StatusText", "stopping; messages in progress have 10m0s")
	var waiting []net.Conn
	for range 50 {
		c, err := net.Dial("unix", h.Path(socketPath))
		if err != nil {
			t.Fatalf("while the daemon stops: %v", err)
		}
		defer c.Close()
		waiting = append(waiting, c)
	}
	if err := finish(); err != nil {
		t.Errorf("the message in progress: %v", err)
	}
	for _, c := range waiting {
		if err := served(c); err != nil {
			t.Fatalf("who waited for the new daemon: %v", err)
		}
	}
	if h.pid() == pid {
		t.Error("the daemon is still the old one")
	}

	// A configuration that is broken, and mended: nobody starts anything by hand.
	h.config("nosuchsetting = 1\n")
	if out, err := h.Try("systemctl restart postseal.service"); err == nil {
		t.Errorf("a broken configuration is started: %s", out)
	}
	h.says("nosuchsetting")
	c, err := net.Dial("unix", h.Path(socketPath))
	if err != nil {
		t.Fatalf("while the configuration is broken: %v", err)
	}
	defer c.Close()
	tries := h.property("postseal.service", "NRestarts")
	h.Await("another attempt", func() bool { return h.property("postseal.service", "NRestarts") != tries })
	h.config("")
	if err := served(c); err != nil {
		t.Errorf("who waited for the configuration to be mended: %v", err)
	}
	h.await("postseal.socket", "ActiveState", "active")
	h.wantSigned("example.com")
	h.Shell("systemctl stop postseal.service postseal.socket")
}
