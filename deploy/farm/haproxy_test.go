//go:build deploy

package farm

import (
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/postseal/postseal/testdata/peers"
	"github.com/postseal/postseal/testdata/program"
)

// balancer is haproxy in TCP mode before the hosts.
type balancer struct {
	f        *farm
	port     int
	commands string // its socket
}

// startBalancer starts haproxy with the section of README.md; the test says where
// everything is.
func startBalancer(f *farm) *balancer {
	t := f.t
	t.Helper()
	haproxy, err := exec.LookPath("haproxy")
	if err != nil {
		haproxy, err = exec.LookPath("/usr/sbin/haproxy")
	}
	if err != nil {
		peers.Require(t, fmt.Errorf("%w; testdata/peers.sh deploy installs haproxy", err))
	}
	readme, err := os.ReadFile("README.md")
	must(t, err)
	_, section, ok := strings.Cut(string(readme), "```haproxy\n")
	section, _, closed := strings.Cut(section, "```")
	if !ok || !closed {
		t.Fatal("the README has no section for haproxy")
	}
	dir, err := os.MkdirTemp("", "ha-") // t.TempDir may be too long for a socket
	must(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	b := &balancer{f: f, port: freePort(t), commands: filepath.Join(dir, "socket")}
	section = strings.NewReplacer(
		"127.0.0.1:8891", fmt.Sprintf("127.0.0.1:%d", b.port),
		"192.0.2.11:8891", fmt.Sprintf("%s:%d", addresses[0], f.port),
		"192.0.2.12:8891", fmt.Sprintf("%s:%d", addresses[1], f.port)).Replace(section)
	conf := filepath.Join(dir, "haproxy.cfg")
	must(t, os.WriteFile(conf, []byte("global\n  stats socket "+b.commands+" level admin\n"+section), 0o600))
	cmd := exec.Command(haproxy, "-db", "-f", conf)
	var log program.Output
	cmd.Stdout, cmd.Stderr = &log, &log
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} // a test that times out cleans nothing up
	must(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("haproxy:\n%s", &log)
		}
	})
	f.await("haproxy", func() bool { return b.field(0, "status") == "UP" && b.field(1, "status") == "UP" })
	return b
}

// tell sends a command to haproxy and returns the answer.
func (b *balancer) tell(command string) string {
	c, err := net.Dial("unix", b.commands)
	if err != nil {
		return "" // not yet
	}
	defer c.Close()
	_, _ = io.WriteString(c, command+"\n")
	answer, err := io.ReadAll(c)
	must(b.f.t, err)
	return strings.TrimSpace(string(answer))
}

// field is what haproxy's statistics say of a host.
func (b *balancer) field(host int, name string) string {
	lines := strings.Split(b.tell("show stat"), "\n")
	names := strings.Split(strings.TrimPrefix(lines[0], "# "), ",")
	for _, line := range lines {
		values := strings.Split(line, ",")
		if len(values) < 2 || values[1] != fmt.Sprint("host", host+1) {
			continue
		}
		for n := range names {
			if names[n] == name {
				return values[n]
			}
		}
	}
	return ""
}

// byBalancer is haproxy in the list.
func byBalancer(f *farm) string { return fmt.Sprintf("inet:127.0.0.1:%d", startBalancer(f).port) }

// Behind a balancer, too, nothing is lost and nothing leaves unsigned while hosts
// are killed; both of them work.
func TestBalancerKillUnderLoad(t *testing.T) {
	f := start(t, byBalancer)
	l := f.startLoad()
	for _, h := range f.hosts {
		f.await("both hosts to sign", func() bool { return h.signed() > 0 })
	}
	for _, n := range []int{0, 1, 0} {
		f.hosts[n].end(syscall.SIGKILL)
		l.flow(20)
		was := f.hosts[n].signed()
		f.hosts[n].serve()
		f.await("the host to be used again", func() bool { return f.hosts[n].signed() > was })
	}
	l.finish()
}

// A host that is drained before it stops has no connection left, so that a rolling
// upgrade defers nothing at all.
func TestBalancerRollingUpgrade(t *testing.T) {
	var b *balancer
	f := start(t, func(f *farm) string {
		b = startBalancer(f)
		return fmt.Sprintf("inet:127.0.0.1:%d", b.port)
	})
	l := f.startLoad()
	for n, h := range f.hosts {
		l.flow(20)
		server := fmt.Sprint("milters/host", n+1)
		b.tell("set server " + server + " state drain")
		f.await("the last session of the host", func() bool { return b.field(n, "scur") == "0" })
		h.end(syscall.SIGTERM)
		l.flow(20)
		was := h.signed()
		h.serve()
		b.tell("set server " + server + " state ready")
		f.await("the host to be used again", func() bool { return h.signed() > was })
	}
	l.finish()
	if n := l.deferred.Load(); n != 0 {
		t.Errorf("%d deferrals", n)
	}
}
