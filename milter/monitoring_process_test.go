package milter

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/postseal/postseal/testdata/peers"
)

// In its sandbox the daemon answers as outside of it, with what the process is
// like, and removes the monitor's socket in the end.
func TestMonitorConfined(t *testing.T) {
	landlocked(t)
	t.Parallel()
	c := startConfined(t, buildProgram(t), "monitor_socket = \"local:@/m\"\n", nil)
	c.wantLine("msg=started", `sandbox="landlock, ABI`)
	socket := filepath.Join(c.elsewhere, "m")
	if !c.signs("example.com") {
		t.Fatal("no signature")
	}
	code, text := askMonitor(t, socket, "/metrics")
	if code != 200 {
		t.Fatalf("%d %s", code, text)
	}
	for _, name := range []string{
		"process_cpu_seconds_total", "process_open_fds", "process_max_fds", "process_resident_memory_bytes",
		"process_virtual_memory_bytes", "process_start_time_seconds", "go_goroutines", "postseal_build_info",
	} {
		if !strings.Contains(text, "\n"+name+" ") && !strings.Contains(text, "\n"+name+"{") {
			t.Errorf("there is no %s", name)
		}
	}
	if n := samples(t, text)[`postseal_messages_total{decision="sign",result="signed"}`]; n != 1 {
		t.Errorf("%v messages are signed", n)
	}
	for path, want := range map[string]string{"/healthz": "alive\n", "/readyz": "ready\n"} {
		if code, text := askMonitor(t, socket, path); code != 200 || text != want {
			t.Errorf("%s: %d %q", path, code, text)
		}
	}
	c.must(c.Signal(syscall.SIGTERM))
	select {
	case err := <-c.ended:
		c.must(err)
	case <-time.After(time.Minute):
		t.Fatal("it does not stop")
	}
	if _, err := os.Lstat(socket); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the socket is left: %v", err)
	}
	if log := c.log.String(); strings.Contains(log, "level=ERROR") {
		t.Errorf("the log has errors:\n%s", log)
	}
}

// The monitor's socket is opened by the user that the daemon becomes.
func TestMonitorOfAnotherUser(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		peers.Require(t, errors.New("only root can become another user"))
	}
	nobody, err := user.Lookup("nobody")
	if err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp("", "ps")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	uid, _ := strconv.Atoi(nobody.Uid)
	gid, _ := strconv.Atoi(nobody.Gid)
	p := &process{dir: dir, log: new(lockedLog), ended: make(chan error, 1)}
	w := &watching{t: t, program: buildProgram(t), process: p}
	w.must(os.Chown(dir, uid, gid))
	w.put("postseal.toml", fmt.Sprintf("socket = \"local:%[1]s/s\"\nruntime_directory = \"%[1]s/run\"\nmonitor_socket = \"local:%[1]s/m\"\nuser_id = \"nobody\"\nmode = \"v\"\n", dir))
	w.run(w.command())
	fi, err := os.Stat(w.at("m"))
	w.must(err)
	if st := fi.Sys().(*syscall.Stat_t); int(st.Uid) != uid || int(st.Gid) != gid {
		t.Errorf("the socket is that of %d:%d", st.Uid, st.Gid)
	}
	if code, text := askMonitor(t, w.at("m"), "/readyz"); code != 200 {
		t.Errorf("%d %q", code, text)
	}
}
