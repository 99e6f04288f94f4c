package opendkim

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/postseal/postseal/milter"
)

// pureProgram returns the program as it is released, without C. One with C can be
// confined only where it finds its threads in /proc.
func pureProgram(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	build := exec.Command("go", "build", "-o", filepath.Join(dir, "opendkim"), "..")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	return filepath.Join(dir, "opendkim")
}

// Asked for, the sandbox holds under OpenDKIM's name, too: for the daemon, as the
// user and in the root folder that it has by then, not for its supervisor, and for
// each daemon that this one starts. What a daemon leaves behind, it still removes.
func TestSandbox(t *testing.T) {
	t.Parallel()
	program := pureProgram(t)
	for _, row := range []struct {
		name, conf, variable string
		want                 string // how the status begins
	}{
		{"not asked for", "", "", "off"},
		{"not wanted", "", "0", "off"},
		{"asked for", "", "1", "landlock, ABI "},
		{"of another user", "UserID " + testUser, "true", "landlock, ABI "},
		{"in another root folder", "UserID " + testUser + "\nChangeRootDirectory @DIR@/jail", "1", "landlock, ABI "},
		{"supervised", "AutoRestart yes", "1", "landlock, ABI "},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			if _, _, errno := syscall.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, 0, 0, unix.LANDLOCK_CREATE_RULESET_VERSION); errno != 0 {
				t.Skipf("the kernel has no Landlock: %v", errno)
			}
			if strings.Contains(row.conf, "UserID") {
				asRoot(t)
			}
			i := newInstance(t, program)
			newKeyFile(t, filepath.Join(i.dir, "key"))
			root := i.dir
			if strings.Contains(row.conf, "jail") {
				root = filepath.Join(i.dir, "jail")
				i.mkdir(filepath.Join("jail", i.dir, "run"))
				root += i.dir
			}
			i.conf(row.conf, "Domain example.com\nSelector s\nKeyFile @DIR@/key\nInternalHosts 127.0.0.1")
			cmd := i.command()
			cmd.Env = append(os.Environ(), sandboxVariable+"="+row.variable)
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			i.pid = i.readPid(filepath.Join(root, "run/pid"))

			ask := milter.Control{Dir: filepath.Join(root, "run")}
			confined := func() milter.Status {
				t.Helper()
				var status milter.Status
				i.await("its status", func() (up bool) {
					var err error
					status, err = ask.Status(t.Context())
					return err == nil
				})
				noNewPrivs := map[bool]string{true: "1", false: "0"}[row.want != "off"]
				if got := field(t, status.PID, "NoNewPrivs"); !strings.HasPrefix(status.Sandbox, row.want) || got != noNewPrivs {
					t.Errorf("sandbox %q, want %q; no new privileges: %s", status.Sandbox, row.want, got)
				}
				if s := signature(t, filepath.Join(root, "run/socket")); !strings.Contains(s, "d=example.com") {
					t.Errorf("signature %q", s)
				}
				return status
			}
			first := confined().PID
			if row.name == "supervised" {
				if got := field(t, i.pid, "NoNewPrivs"); got != "0" {
					t.Error("the supervisor is confined, too")
				}
				i.must(syscall.Kill(first, syscall.SIGKILL))
				i.worker(first)
				i.await("its service", func() bool {
					status, err := ask.Status(t.Context())
					return err == nil && status.PID != first
				})
				confined()
			}
			i.stop()
			i.await("an empty folder", func() bool {
				left, err := os.ReadDir(filepath.Join(root, "run"))
				return err == nil && len(left) == 0
			})
		})
	}
}
