package machine

import (
	"os"
	"testing"
)

// A machine has a systemd, a journal and this machine's programs; what happens on
// it leaves no trace on ours.
func TestMachine(t *testing.T) {
	m := Start(t)
	if out := m.Shell("ps -o comm= -p 1"); out != "systemd" {
		t.Errorf("process 1 is %q", out)
	}
	const unit = "/etc/systemd/system/hello.service"
	m.Write(unit, "[Service]\nType=oneshot\nExecStart=/bin/echo hello from a unit\n", 0o644)
	m.Shell("systemctl daemon-reload && systemctl start hello.service")
	m.Await("the journal", func() bool {
		out, err := m.Try("journalctl -u hello.service -o cat | grep -x 'hello from a unit'")
		return err == nil && out != ""
	})
	m.Shell("ip link show lo | grep -q UP && touch /usr/bin/left-behind && useradd --system left-behind")
	for _, path := range []string{unit, "/usr/bin/left-behind"} {
		if _, err := os.Lstat(path); err == nil {
			t.Errorf("%s is on our machine", path)
		}
	}
	if out := m.Shell("ip -o link | wc -l"); out != "1" {
		t.Errorf("%s links, want the loopback alone", out)
	}
}
