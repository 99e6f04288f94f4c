package milter

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
)

// fullDisk is the beginning of a shell script with a small file system of its own in
// $1/full, which nobody else sees. "fill" takes the room that is left in it, and
// "inodes" whatever else can be made there.
const fullDisk = `mkdir -p "$1/full" && mount -t tmpfs -o size=64k,nr_inodes=8 tmpfs "$1/full" || exit 90
dir=$1; shift
fill() { cat /dev/zero >"$dir/full/fill" 2>/dev/null; [ -s "$dir/full/fill" ]; }
inodes() { ! (cd "$dir/full" && touch 1 2 3 4 5 6 7 8 9 2>/dev/null); }
`

// onFullDisk is a command whose file systems are its own: script prepares them and
// execs "$@".
func (w *watching) onFullDisk(script string, args ...string) *exec.Cmd {
	w.t.Helper()
	flags := "-m"
	if os.Geteuid() != 0 {
		flags = "-rm"
		if out, err := exec.Command("unshare", flags, "true").CombinedOutput(); err != nil {
			w.t.Skipf("this system gives us no user namespace, and we are not root: %v %s", err, out)
		}
	}
	return exec.Command("unshare", append([]string{flags, "sh", "-c", fullDisk + script, "sh", w.dir}, args...)...)
}

// replaceSetting puts another place for one of the daemon's files into the settings.
func (w *watching) replaceSetting(name, value string) {
	w.t.Helper()
	text, err := os.ReadFile(w.at("postseal.toml"))
	w.must(err)
	var lines []string
	for line := range strings.Lines(string(text)) {
		if !strings.HasPrefix(line, name+" ") {
			lines = append(lines, line)
		}
	}
	w.put("postseal.toml", fmt.Sprintf("%s = %q\n", name, value)+strings.Join(lines, ""))
}

// runUnheard starts a daemon whose log nobody can read, and waits until it answers.
func (w *watching) runUnheard(cmd *exec.Cmd) {
	w.t.Helper()
	w.must(cmd.Start())
	w.Process = cmd.Process
	gone := make(chan struct{})
	go func() { w.ended <- cmd.Wait(); close(gone) }()
	w.t.Cleanup(func() { _ = w.Kill(); <-gone })
	w.until("the daemon answers", func() bool {
		c, err := net.Dial("unix", w.at("s"))
		if err == nil {
			c.Close()
		}
		return err == nil
	})
	w.m = w.connect(w.t, "s")
}

// servesOn wants mail to be signed, a reload and a stop to work.
func (w *watching) servesOn() {
	w.t.Helper()
	for range 20 {
		if !w.signs("example.com") {
			w.t.Fatal("not signed")
		}
	}
	w.put("signing.table", rowCom+rowOrg)
	if r, err := (Control{Dir: w.at("run")}).Reload(w.t.Context()); err != nil || len(r.Problems) > 0 {
		w.t.Errorf("reload: %v %q", err, r.Problems)
	}
	w.put("signing.table", rowCom+rowOrg+"*@example.net none\n")
	if r, err := (Control{Dir: w.at("run")}).Reload(w.t.Context()); err != nil || len(r.Problems) == 0 {
		w.t.Errorf("reload of a broken table: %v %q", err, r.Problems)
	}
	if !w.signs("example.org") {
		w.t.Error("the new table is not in force")
	}
}

// stops wants the daemon to end well when it is told to.
func (w *watching) stops() {
	w.t.Helper()
	w.signal(w.t, syscall.SIGTERM)
	select {
	case err := <-w.ended:
		if err != nil {
			w.t.Errorf("it ended with %v", err)
		}
	case <-time.After(time.Minute):
		w.t.Fatal("it does not end")
	}
	if _, err := os.Lstat(w.at("s")); err == nil {
		w.t.Error("the socket is left behind")
	}
}

// A log that takes no more lines is no reason to do anything else than without one,
// whichever log it is.
func TestLogOnFullDisk(t *testing.T) {
	t.Parallel()
	program := buildProgram(t)
	for _, row := range []struct{ name, settings string }{
		{"text", ""},
		{"JSON", `log_format = "json"`},
		{"both lines", `log_lines = "both"`},
		{"OpenDKIM's lines", `log_lines = "opendkim"`},
		{"syslog that is not there", "syslog = true\nlog_lines = \"both\""},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			w := layWatching(t, program, "watch_files = false\n"+row.settings)
			full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
			w.must(err)
			defer full.Close()
			cmd := w.command()
			cmd.Stdout, cmd.Stderr = full, full
			w.runUnheard(cmd)
			w.servesOn()
			w.stops()
		})
	}
	t.Run("a file, which gets room again", func(t *testing.T) {
		t.Parallel()
		w := layWatching(t, program, "watch_files = false")
		cmd := w.onFullDisk(`exec 2>>"$dir/full/log"; fill || exit 91; exec "$@"`, w.command().Args...)
		w.runUnheard(cmd)
		w.servesOn()
		disk := fmt.Sprintf("/proc/%d/root%s/full/", w.Pid, w.dir)
		before, err := os.ReadFile(disk + "log")
		w.must(err)
		if strings.Contains(string(before), "msg=message") {
			t.Fatalf("the disk was not full:\n%s", before)
		}
		w.must(os.Remove(disk + "fill"))
		w.signs("example.com")
		w.until("a line", func() bool {
			text, err := os.ReadFile(disk + "log")
			w.must(err)
			return strings.Contains(string(text), "msg=message")
		})
		w.stops()
	})
}

// What a start cannot make on a full disk it names, with the cause; it leaves
// nothing behind.
func TestStartOnFullDisk(t *testing.T) {
	t.Parallel()
	program := buildProgram(t)
	for _, row := range []struct {
		name, script, setting, value string
		status                       int
		want                         []string
	}{
		{"the pid file's text", "fill", "pid_file", "full/pid", 71, []string{"the pid file cannot be written", "full/pid", "no space left on device"}},
		{"the pid file", "inodes", "pid_file", "full/pid", 71, []string{"the pid file cannot be written", "full/pid", "no space left on device"}},
		{"runtime_directory", "inodes", "runtime_directory", "full/run", 78, []string{"runtime_directory", "full/run", "no space left on device"}},
		{"the control socket", "mkdir $dir/full/run; inodes", "runtime_directory", "full/run", 78, []string{"control socket in runtime_directory", "no space left on device"}},
		{"the socket", "inodes", "socket", "full/s", 69, []string{"socket: local:", "full/s", "no space left on device"}},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			w := layWatching(t, program, "")
			value := w.at(row.value)
			if row.setting == "socket" {
				value = "local:" + value
			}
			w.replaceSetting(row.setting, value)
			cmd := w.onFullDisk(row.script+` || exit 91; "$@"; status=$?; ls "$dir/full" >&2; exit $status`, w.command().Args...)
			out, err := cmd.CombinedOutput()
			if err == nil || cmd.ProcessState.ExitCode() != row.status {
				t.Errorf("%v, want exit status %d", err, row.status)
			}
			for _, want := range row.want {
				if !strings.Contains(string(out), want) {
					t.Errorf("%q is not in what it says:\n%s", want, out)
				}
			}
			for line := range strings.Lines(string(out)) {
				switch strings.TrimSpace(line) {
				case "pid", "pid.new", "s":
					t.Errorf("%s is left behind", line)
				}
			}
			if _, err := os.Lstat(w.at("s")); err == nil {
				t.Error("the socket is left behind")
			}
		})
	}
}

// The disk of the pid file and of the sockets gets full while the daemon runs.
func TestDiskGetsFull(t *testing.T) {
	t.Parallel()
	w := layWatching(t, buildProgram(t), "watch_files = false")
	w.replaceSetting("pid_file", w.at("full/pid"))
	w.replaceSetting("runtime_directory", w.at("full/run"))
	w.runUnheard(w.onFullDisk(`exec "$@" 2>"$dir/full/log"`, w.command().Args...))
	disk := fmt.Sprintf("/proc/%d/root%s/full/", w.Pid, w.dir)
	fill, err := os.Create(disk + "fill")
	w.must(err)
	for err == nil {
		_, err = fill.Write(make([]byte, 512))
	}
	fill.Close()
	w.must(os.Symlink(disk+"run", w.at("run"))) // where we see it
	w.servesOn()
	if pid, err := os.ReadFile(disk + "pid"); err != nil || string(pid) != fmt.Sprintln(w.Pid) {
		t.Errorf("the pid file: %q %v", pid, err)
	}
	w.stops()
}
