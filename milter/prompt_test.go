package milter_test

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"github.com/postseal/postseal/config/postfix"
	"github.com/postseal/postseal/testdata/peers"
	"github.com/postseal/postseal/testdata/program"
)

// Between Postfix and the daemon nobody waits for a delayed acknowledgement.
// The kernel counts those that its timer sent. The same mail is sent twice, to
// postseal directly and through a relay that reads as an ordinary program
// does: there Postfix waits at each message, which shows that the count sees it.
//
// The counter is the whole network namespace's, so the test runs in one of its
// own.
func TestPostfixPromptTCP(t *testing.T) {
	const alone = "POSTSEAL_TEST_OWN_NETWORK"
	if os.Getenv(alone) == "" {
		t.Parallel()
		peers.Require(t, postfix.Available())
		cmd := exec.Command("unshare", "--net", "sh", "-c", `ip link set lo up && exec "$@"`, "sh",
			os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v")
		cmd.Env = append(os.Environ(), alone+"=1")
		out, err := cmd.CombinedOutput()
		t.Logf("%s", out)
		if err != nil || !bytes.Contains(out, []byte("--- PASS: "+t.Name())) {
			t.Errorf("in a network namespace of its own: %v", err)
		}
		return
	}
	const messages = 30
	s := start(t, setup{tcp: true})
	direct := s.delayedACKs(messages)

	port := program.FreePort(t)
	relay(t, port, s.daemon.Addrs()[0].String())
	spec := fmt.Sprintf("inet:127.0.0.1:%d", port)
	if err := s.postfix.Reconfigure(s.ctx, map[string]string{"smtpd_milters": spec, "milter_default_action": "tempfail"}); err != nil {
		t.Fatal(err)
	}
	relayed := s.delayedACKs(messages)
	t.Logf("delayed acknowledgements for %d messages: %d direct, %d through an ordinary reader", messages, direct, relayed)
	if relayed < messages/2 {
		t.Fatalf("the relay caused %d delayed acknowledgements only: the test does not see what it is for", relayed)
	}
	if direct > relayed/4 {
		t.Errorf("%d delayed acknowledgements, %d with an ordinary reader", direct, relayed)
	}
}

// delayedACKs sends messages in one SMTP session and returns how many delayed
// acknowledgements the kernel has sent meanwhile.
func (s *site) delayedACKs(messages int) int {
	s.t.Helper()
	c, err := s.postfix.Dial(postfix.Client{})
	if err != nil {
		s.t.Fatal(err)
	}
	defer c.Close()
	before := delayedACKs(s.t)
	for range messages {
		if err := postfix.Send(c, "user@example.com", []string{inbox}, letter("prompt", "hello\r\n")); err != nil {
			s.t.Fatal(err)
		}
	}
	after := delayedACKs(s.t)
	for range messages {
		s.wantSealed(s.next())
	}
	return after - before
}

// delayedACKs reads the kernel's counter.
func delayedACKs(t testing.TB) int {
	t.Helper()
	text, err := os.ReadFile("/proc/net/netstat")
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for line := range bytes.Lines(text) {
		fields := strings.Fields(string(line))
		if len(fields) == 0 || fields[0] != "TcpExt:" {
			continue
		}
		if names == nil {
			names = fields
			continue
		}
		for i, name := range names {
			if name == "DelayedACKs" {
				n, err := strconv.Atoi(fields[i])
				if err != nil {
					t.Fatal(err)
				}
				return n
			}
		}
	}
	t.Fatal("/proc/net/netstat has no DelayedACKs")
	return 0
}

// relay hands connections on to target, with reads that ask for nothing.
func relay(t *testing.T, port int, target string) {
	t.Helper()
	l, err := net.Listen("tcp4", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			in, err := l.Accept()
			if err != nil {
				return
			}
			out, err := net.Dial("tcp4", target)
			if err != nil {
				in.Close()
				continue
			}
			for _, pair := range [][2]net.Conn{{in, out}, {out, in}} {
				go func() {
					_, _ = io.Copy(struct{ io.Writer }{pair[0]}, pair[1])
					pair[0].Close()
				}()
			}
		}
	}()
}
