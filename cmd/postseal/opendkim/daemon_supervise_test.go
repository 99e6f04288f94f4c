package opendkim

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/postseal/postseal/milter"
)

// A supervisor starts a daemon that died again, passes signals on, and leaves
// nothing behind.
func TestSupervision(t *testing.T) {
	t.Parallel()
	program := daemonProgram(t)
	supervised := func(t *testing.T, lines ...string) *instance {
		i := newInstance(t, program)
		i.conf(append(lines, "AutoRestart yes")...)
		i.start()
		return i
	}
	t.Run("a daemon that dies", func(t *testing.T) {
		t.Parallel()
		i := supervised(t)
		first := i.worker(0)
		i.must(syscall.Kill(first, syscall.SIGKILL))
		second := i.worker(first)
		ask := milter.Control{Dir: filepath.Join(i.dir, "run")}
		i.await("its service", func() bool {
			status, err := ask.Status(t.Context())
			return err == nil && status.PID == second
		})
		i.must(syscall.Kill(i.pid, syscall.SIGHUP))
		i.await("the reload", func() bool {
			status, err := ask.Status(t.Context())
			return err == nil && !status.LastReload.Time.IsZero()
		})
		i.must(syscall.Kill(i.pid, syscall.SIGTERM))
		i.await("the end", func() bool { return !alive(i.pid) && !alive(second) })
		left, err := os.ReadDir(filepath.Join(i.dir, "run"))
		if err != nil || len(left) > 0 {
			t.Errorf("left behind: %v, %v", left, err)
		}
	})
	t.Run("a supervisor that is killed", func(t *testing.T) {
		t.Parallel()
		i := supervised(t)
		worker := i.worker(0)
		i.must(syscall.Kill(i.pid, syscall.SIGKILL))
		i.await("the daemon's end", func() bool { return !alive(worker) })
	})
	t.Run("a daemon that is told to stop", func(t *testing.T) {
		t.Parallel()
		i := supervised(t)
		i.must(syscall.Kill(i.worker(0), syscall.SIGTERM))
		i.await("the supervisor's end", func() bool { return !alive(i.pid) })
	})
	t.Run("AutoRestartCount", func(t *testing.T) {
		t.Parallel()
		i := supervised(t, "AutoRestartCount 1")
		first := i.worker(0)
		i.must(syscall.Kill(first, syscall.SIGKILL))
		i.must(syscall.Kill(i.worker(first), syscall.SIGKILL))
		i.await("the supervisor's end", func() bool { return !alive(i.pid) })
	})
	t.Run("a configuration that has become bad", func(t *testing.T) {
		t.Parallel()
		i := supervised(t)
		worker := i.worker(0)
		i.conf("Mode banana", "AutoRestart yes")
		i.must(syscall.Kill(worker, syscall.SIGKILL))
		i.await("the supervisor's end", func() bool { return !alive(i.pid) })
	})
	t.Run("a first start that fails", func(t *testing.T) {
		t.Parallel()
		i := newInstance(t, program)
		i.conf("AutoRestart yes")
		exit, stderr := i.run("-p", "local:/nonexistent/socket")
		if exit != exitUnavailable || !strings.Contains(stderr, "opendkim: smfi_opensocket() failed\n") {
			t.Errorf("exit status %d: %s", exit, stderr)
		}
		if left, err := os.ReadDir(filepath.Join(i.dir, "run")); err != nil || len(left) > 0 {
			t.Errorf("left behind: %v, %v", left, err)
		}
	})
}

// A supervisor whose command was interrupted before the daemon served ends, with
// its daemon.
func TestInterruptedStart(t *testing.T) {
	t.Parallel()
	i := newInstance(t, daemonProgram(t))
	i.conf("AutoRestart yes")
	command, supervisor, err := os.Pipe()
	i.must(err)
	i.must(command.Close())
	cmd := i.command()
	cmd.Env = append(os.Environ(), "POSTSEAL_PROCESS=detached")
	cmd.ExtraFiles = []*os.File{supervisor}
	i.must(cmd.Start())
	i.must(supervisor.Close())
	i.pid = cmd.Process.Pid
	if err := cmd.Wait(); cmd.ProcessState.ExitCode() != exitSoftware {
		t.Errorf("it ends with %v", err)
	}
	if left, err := os.ReadDir(filepath.Join(i.dir, "run")); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

// A daemon does not die of a log that nobody reads any more.
func TestLogReaderGone(t *testing.T) {
	t.Parallel()
	i := newInstance(t, daemonProgram(t))
	i.conf()
	reader, log, err := os.Pipe()
	i.must(err)
	cmd := i.command("-f")
	cmd.Stderr = log
	i.must(cmd.Start())
	i.must(log.Close())
	i.pid = cmd.Process.Pid
	ask := milter.Control{Dir: filepath.Join(i.dir, "run")}
	i.await("its service", func() bool { _, err := ask.Status(t.Context()); return err == nil })
	i.must(reader.Close())
	i.must(cmd.Process.Signal(syscall.SIGHUP))
	i.await("the reload", func() bool {
		status, err := ask.Status(t.Context())
		return err != nil || !status.LastReload.Time.IsZero()
	})
	i.must(cmd.Process.Signal(syscall.SIGTERM))
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
	i.pid = 0
}

// A second daemon on the same socket fails, and leaves the first one its files.
func TestSecondStart(t *testing.T) {
	t.Parallel()
	program := daemonProgram(t)
	for _, line := range []string{"AutoRestart no", "AutoRestart yes"} {
		t.Run(line, func(t *testing.T) {
			t.Parallel()
			i := newInstance(t, program)
			i.conf(line)
			i.start()
			if exit, stderr := i.run(); exit != exitUnavailable || !strings.Contains(stderr, "another process answers") {
				t.Errorf("exit status %d: %s", exit, stderr)
			}
			if data, err := os.ReadFile(filepath.Join(i.dir, "run/pid")); string(data) != strconv.Itoa(i.pid)+"\n" {
				t.Errorf("the pid file says %q, %v; the daemon is %d", data, err, i.pid)
			}
			i.stop()
		})
	}
}

// In the foreground nothing forks, whatever the configuration says of it.
func TestForeground(t *testing.T) {
	t.Parallel()
	program := daemonProgram(t)
	for name, tt := range map[string]struct{ conf, flag string }{
		"-f":            {"AutoRestart yes", "-f"},
		"Background no": {"AutoRestart yes\nBackground no", "-v"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			i := newInstance(t, program)
			i.conf(tt.conf)
			cmd := i.command(tt.flag)
			var stderr strings.Builder
			cmd.Stderr = &stderr
			i.must(cmd.Start())
			i.pid = cmd.Process.Pid
			i.await("the socket", func() bool { _, err := os.Lstat(filepath.Join(i.dir, "run/socket")); return err == nil })
			if pids := children(i.pid); len(pids) > 0 {
				t.Errorf("it has started %v", pids)
			}
			i.must(cmd.Process.Signal(syscall.SIGTERM))
			if err := cmd.Wait(); err != nil {
				t.Errorf("%v\n%s", err, stderr.String())
			}
			i.pid = 0
		})
	}
}
