package systemd_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/emersion/go-milter"
	"github.com/landlock-lsm/go-landlock/landlock/syscall"
)

// The service signs mail through a socket below Postfix's queue folder, in its
// sandbox; a reload waits for its end and fails with the problems; a stop lets mail
// end; a daemon that hangs is started again.
func TestService(t *testing.T) {
	t.Parallel()
	h := install(t)
	h.verify()
	h.config("syslog = true\ndrain_timeout = \"10m\"\n")
	h.Shell("systemctl start postseal.service")
	h.await("postseal.service", "StatusText", "serving; keys: 1")
	h.wantSigned("example.com")
	if h.signed("example.org") == nil {
		t.Error("mail of example.org is signed before there is a key")
	}
	h.inSandbox()
	h.Await("a line of the message in the log", func() bool {
		_, err := h.Try("journalctl _TRANSPORT=syslog -t postseal -o cat | grep -q 'decision=sign'")
		return err == nil
	})

	// A reload: a new domain, then a table that is broken.
	pid := h.pid()
	h.Shell("postseal genkey -d example.org -s mail2026 --add --user postseal")
	h.Shell("systemctl reload postseal.service")
	h.wantSigned("example.org")
	if text := h.property("postseal.service", "StatusText"); text != "serving; keys: 2" {
		t.Errorf("the service says %q", text)
	}
	h.Shell("echo '*@example.net nosuchkey' >>/etc/postseal/signing.table")
	if out, err := h.Try("systemctl reload postseal.service"); err == nil {
		t.Errorf("a reload of a broken table succeeds: %s", out)
	}
	// The words may stand on lines of their own before the state.
	out, _ := h.Try("systemctl status --no-pager --full postseal.service")
	for _, want := range []string{"Active: active (running)", "Status: \"serving; keys: 2; the last reload failed", "nosuchkey", "the old configuration stays in force"} {
		if !strings.Contains(out, want) {
			t.Errorf("systemctl status does not show %q:\n%s", want, out)
		}
	}
	h.wantSigned("example.org")
	h.Shell("sed -i '$d' /etc/postseal/signing.table && systemctl reload postseal.service")
	h.Shell("kill -HUP " + pid)
	h.Await("a reload by signal", func() bool {
		out, _ := h.Try("postseal status --json")
		return strings.Contains(out, `"success": 3`) || strings.Contains(out, `"success":3`)
	})
	h.await("postseal.service", "ActiveState", "active")
	if now := h.pid(); now != pid {
		t.Errorf("process %s became %s", pid, now)
	}

	// A stop waits for a message whose client is still sending.
	finish := h.begin()
	h.Shell("systemctl stop --no-block postseal.service")
	h.await("postseal.service", "StatusText", "stopping; messages in progress have 10m0s")
	if state := h.property("postseal.service", "ActiveState"); state != "deactivating" {
		t.Errorf("with a message in progress, the service is %s", state)
	}
	if err := finish(); err != nil {
		t.Errorf("the message in progress: %v", err)
	}
	h.await("postseal.service", "ActiveState", "inactive")
	if result := h.property("postseal.service", "Result"); result != "success" {
		t.Errorf("it ended with %s", result)
	}
	if out, err := h.Try("ls " + socketPath + " /run/postseal"); err == nil {
		t.Errorf("left behind: %s", out)
	}
	h.hang()
}

// inSandbox looks at what the process can do, and what it sees.
func (h *host) inSandbox() {
	h.t.Helper()
	pid := h.pid()
	status := h.Shell("cat /proc/" + pid + "/status")
	for _, want := range []string{"NoNewPrivs:\t1", "Seccomp:\t2", "CapEff:\t0000000000000000", "CapBnd:\t0000000000000000"} {
		if !strings.Contains(status, want) {
			h.t.Errorf("the process's status has no %q:\n%s", want, status)
		}
	}
	if uid := h.Shell("stat -c %U /proc/" + pid); uid != "postseal" {
		h.t.Errorf("the process is %s's", uid)
	}
	h.Shell("mkdir -p /home/user && touch /home/user/secret && chmod -R a+rX /home/user")
	inside := "nsenter -m -r -t " + pid + " -- "
	for _, line := range []string{"ls /home/user", "touch /etc/postseal/x", "touch /usr/x", "touch /var/lib/x", "ls /dev/mem"} {
		if out, err := h.Try(inside + line); err == nil {
			h.t.Errorf("in the sandbox, root can %s: %s", line, out)
		}
	}
	if out := h.Shell(inside + "ls /tmp"); out != "" {
		h.t.Errorf("in the sandbox, /tmp has %s", out)
	}
	want := "landlock, ABI "
	if _, err := syscall.LandlockGetABIVersion(); err != nil {
		want = "none: "
	}
	if out := h.Shell("postseal status"); !strings.Contains(out, "sandbox   "+want) {
		h.t.Errorf("no sandbox %q of its own:\n%s", want, out)
	}
}

// begin sends a message up to where Postfix waits for its client's DATA. finish sends
// the rest, and wants it signed.
func (h *host) begin() (finish func() error) {
	h.t.Helper()
	s, err := milter.NewClientWithOptions("unix", h.Path(socketPath), milter.ClientOptions{
		ActionMask: milter.OptAddHeader | milter.OptChangeHeader | milter.OptQuarantine,
	}).Session()
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() { s.Close() })
	play := func(steps ...func() (*milter.Action, error)) error {
		for n, step := range steps {
			if a, err := step(); err != nil || a.Code != milter.ActContinue {
				return fmt.Errorf("step %d: %+v, %w", n, a, err)
			}
		}
		return nil
	}
	if err := play(
		func() (*milter.Action, error) { return s.Conn("localhost", milter.FamilyInet, 25, "127.0.0.1") },
		func() (*milter.Action, error) { return s.Mail("user@example.com", nil) },
		func() (*milter.Action, error) { return s.Rcpt("user@example.net", nil) },
	); err != nil {
		h.t.Fatal(err)
	}
	return func() error {
		if err := play(
			func() (*milter.Action, error) { return s.HeaderField("From", "user@example.com") },
			s.HeaderEnd,
		); err != nil {
			return err
		}
		changes, _, err := s.BodyReadFrom(strings.NewReader("x\r\n"))
		if err != nil {
			return err
		}
		for _, c := range changes {
			if c.HeaderName == "DKIM-Signature" {
				return nil
			}
		}
		return errors.New("not signed")
	}
}

// hang starts the daemon and has it do nothing any more: it is killed and started
// again.
func (h *host) hang() {
	h.t.Helper()
	h.dropIn("postseal.service", "[Service]\nWatchdogSec=4\n")
	h.Shell("systemctl start postseal.service")
	const sign = "WatchdogTimestampMonotonic"
	first := h.property("postseal.service", sign)
	h.Await("signs of life", func() bool { return h.property("postseal.service", sign) != first })
	restarts := h.property("postseal.service", "NRestarts")
	h.Shell("kill -STOP " + h.pid())
	h.Await("another start", func() bool {
		return h.property("postseal.service", "NRestarts") != restarts && h.property("postseal.service", "SubState") == "running"
	})
	h.says("SIGABRT") // where it hung is in the journal
	h.wantSigned("example.com")
}
