package farm

import (
	"bytes"
	"fmt"
	"net"
	"net/smtp"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/postseal/postseal/config/postfix"
	"golang.org/x/sys/unix"
)

// One name with the addresses of two hosts stands in Postfix's milter line. Under
// load each of them is killed and comes back: no message is lost, none leaves
// unsigned, and what was in flight is deferred and comes again.
func TestKillUnderLoad(t *testing.T) {
	f := start(t, byName)
	l := f.startLoad()
	for _, n := range []int{0, 1, 0} {
		l.flow(20)
		f.hosts[n].end(syscall.SIGKILL)
		l.flow(20)
		f.hosts[n].serve()
	}
	l.flow(20)
	l.finish()
	for _, h := range f.hosts {
		f.await("each host to have signed", func() bool { return h.signed() > 0 })
	}
}

// The daemon dies in a session: the message on its way gets a 4xx, as does all that
// follows in that session, and a new session has the other host.
func TestKillInSession(t *testing.T) {
	f := start(t, byName)
	for n, row := range []struct {
		name  string
		begin func(*smtp.Client) (end func() error) // of the message in flight
	}{
		{"between two messages", func(c *smtp.Client) func() error {
			must(t, postfix.Send(c, author, []string{inbox}, letter("the one before")))
			return func() error { return postfix.Send(c, author, []string{inbox}, letter("between two messages")) }
		}},
		{"in a message", func(c *smtp.Client) func() error { return sending(t, c, "in a message") }},
	} {
		t.Run(row.name, func(t *testing.T) {
			c, err := f.postfix.Dial(postfix.Client{})
			must(t, err)
			defer c.Close()
			end := row.begin(c)
			f.hosts[0].end(syscall.SIGKILL)
			if code := replyCode(t, end()); code/100 != 4 {
				t.Errorf("Postfix answers %d", code)
			}
			_ = c.Reset()
			if code := replyCode(t, postfix.Send(c, author, []string{inbox}, letter("same session"))); code/100 != 4 {
				t.Errorf("in the same session Postfix answers %d", code)
			}
			must(t, f.postfix.Deliver(postfix.Client{}, author, []string{inbox}, letter(row.name)))
			f.hosts[1].hasSigned(n + 1)
			f.hosts[0].serve()
		})
	}
	f.wantEachOnce(3)
}

// sending sends a message but for its end.
func sending(t testing.TB, c *smtp.Client, subject string) (end func() error) {
	t.Helper()
	must(t, c.Mail(author))
	must(t, c.Rcpt(inbox))
	w, err := c.Data()
	must(t, err)
	_, err = w.Write(letter(subject))
	must(t, err)
	return w.Close
}

// The daemon is stopped: it waits for the message that a client is still sending, and
// signs it. What comes after that in an open session gets a 4xx, and a new session
// has the other host.
func TestStopInSession(t *testing.T) {
	f := start(t, byName)
	dial := func() *smtp.Client {
		c, err := f.postfix.Dial(postfix.Client{})
		must(t, err)
		t.Cleanup(func() { c.Close() })
		return c
	}
	between, busy := dial(), dial()
	must(t, postfix.Send(between, author, []string{inbox}, letter("before")))
	end := sending(t, busy, "in a message")
	must(t, f.hosts[0].cmd.Process.Signal(syscall.SIGTERM))
	f.await("a stop", func() bool { return strings.Contains(f.hosts[0].log.String(), "msg=stopping") })
	must(t, end())
	f.hosts[0].gone()
	f.hosts[0].hasSigned(2)
	for name, c := range map[string]*smtp.Client{"between two messages": between, "after a message": busy} {
		for range 2 {
			if code := replyCode(t, postfix.Send(c, author, []string{inbox}, letter(name))); code/100 != 4 {
				t.Errorf("%s Postfix answers %d", name, code)
			}
			_ = c.Reset()
		}
		must(t, f.postfix.Deliver(postfix.Client{}, author, []string{inbox}, letter(name)))
	}
	f.hosts[1].hasSigned(2)
	f.wantEachOnce(4)
}

// Each host in turn is stopped, exchanged and started. A client that begins a new
// session after a 4xx has one of them for each stop at most.
func TestRollingUpgrade(t *testing.T) {
	f := start(t, byName)
	l := f.startLoad()
	for _, h := range f.hosts {
		l.flow(20)
		h.end(syscall.SIGTERM)
		h.serve()
	}
	l.flow(20)
	l.finish()
	if n := l.deferred.Load(); n > clients*int64(len(f.hosts)) {
		t.Errorf("%d deferrals: more than one for each client and stop", n)
	}
	for _, h := range f.hosts {
		if strings.Contains(h.log.String(), "messages in progress are given up") {
			t.Errorf("a message was given up:\n%s", &h.log)
		}
	}
}

// What is written once into the shared folder holds on every host.
func TestSharedTables(t *testing.T) {
	f := start(t, byName)
	must(t, os.WriteFile(filepath.Join(f.shared, "signing.table"), []byte("*@example.com one\n*@new.example one\n"), 0o644))
	for n, h := range f.hosts {
		f.await("the new row", func() bool { return strings.Contains(h.log.String(), `msg="configuration reloaded"`) })
		subject := fmt.Sprint("by host ", n)
		message := bytes.ReplaceAll(letter(subject), []byte(author), []byte("user@new.example"))
		must(t, f.postfix.Deliver(postfix.Client{}, author, []string{inbox}, message))
		f.wantSealed(f.mailbox()[subject][0], 1)
		h.hasSigned(1)
		h.end(syscall.SIGKILL)
	}
}

// Why the hosts are one entry of the list: Postfix asks every entry.
func TestTwoEntriesSignTwice(t *testing.T) {
	f := start(t, func(f *farm) string {
		return fmt.Sprintf("inet:%s:%d, inet:%s:%d", addresses[0], f.port, addresses[1], f.port)
	})
	must(t, f.postfix.Deliver(postfix.Client{}, author, []string{inbox}, letter("twice")))
	f.wantSealed(f.mailbox()["twice"][0], 2)
	f.hosts[1].end(syscall.SIGKILL)
	if code := replyCode(t, f.postfix.Deliver(postfix.Client{}, author, []string{inbox}, letter("half"))); code/100 != 4 {
		t.Errorf("with one of two milters gone Postfix answers %d", code)
	}
}

// A host that does not even refuse a connection costs each session
// milter_connect_timeout; then the next address is tried.
func TestHostThatIsSilent(t *testing.T) {
	f := start(t, byName)
	f.hosts[0].end(syscall.SIGKILL)
	silent(t, addresses[0], f.port)
	began := time.Now()
	must(t, f.postfix.Deliver(postfix.Client{}, author, []string{inbox}, letter("patient")))
	t.Logf("accepted after %v", time.Since(began).Round(time.Millisecond))
	f.wantSealed(f.mailbox()["patient"][0], 1)
	f.hosts[1].hasSigned(1)
}

// silent listens where nothing is accepted: with its queue full, the kernel drops
// what comes, as the network in front of a dead host does.
func silent(t *testing.T, address string, port int) {
	t.Helper()
	socket, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	must(t, err)
	t.Cleanup(func() { unix.Close(socket) })
	must(t, unix.SetsockoptInt(socket, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1))
	must(t, unix.Bind(socket, &unix.SockaddrInet4{Port: port, Addr: [4]byte(net.ParseIP(address).To4())}))
	must(t, unix.Listen(socket, 0))
	for range 4 {
		c, err := net.DialTimeout("tcp4", fmt.Sprintf("%s:%d", address, port), time.Second)
		if err != nil {
			return
		}
		t.Cleanup(func() { c.Close() })
	}
	t.Fatal("the kernel queues more connections than it was told to")
}
