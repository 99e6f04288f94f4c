package milter

import (
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/postseal/postseal/milter/resolver"
	"golang.org/x/sys/unix"
)

// process is `postseal serve` as its own process.
type process struct {
	*os.Process
	program string
	dir     string
	log     *lockedLog
	records *resolver.Records
	ended   chan error
}

// programDir is the folder of the program, which is built once for all tests of the
// package.
var programDir string

func TestMain(m *testing.M) {
	var err error
	if programDir, err = os.MkdirTemp("", "postseal-program-"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	exit := m.Run()
	os.RemoveAll(programDir)
	os.Exit(exit)
}

var built = sync.OnceValues(func() (string, error) {
	path := filepath.Join(programDir, "postseal")
	if out, err := exec.Command("go", "build", "-o", path, "../cmd/postseal").CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build: %w\n%s", err, out)
	}
	return path, nil
})

// buildProgram returns the path of the program.
func buildProgram(t testing.TB) string {
	t.Helper()
	path, err := built()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// startProcess serves from DIR/postseal.toml: on DIR/both, and with a mode of
// their own on DIR/sign and DIR/verify.
func startProcess(t testing.TB, program, settings string) *process {
	t.Helper()
	inline, record := newKey(t, "ed25519")
	p := &process{program: program, dir: t.TempDir(), log: new(lockedLog), ended: make(chan error, 1),
		records: resolver.NewRecords(map[string][]string{"s1._domainkey.example.com": {record}})}
	p.write(t, "records", "s1._domainkey.example.com "+record+"\n")
	p.write(t, "signing.table", "*@example.com k\n")
	p.write(t, "postseal.toml", fmt.Sprintf(`
socket = ["local:%[1]s/both"]
socket_mode = "0620"
socket_group = "%[2]d"
runtime_directory = "%[1]s/run"
key_table = ["k=example.com:s1:%[3]s"]
signing_table = "refile:signing.table"
require_safe_keys = false
watch_files = false
%[4]s
[[listener]]
socket = "unix:%[1]s/sign"
mode = "s"
[[listener]]
socket = "unix:%[1]s/verify"
mode = "v"
`, p.dir, os.Getgid(), inline, settings))
	cmd := exec.Command(program, "serve", "-c", filepath.Join(p.dir, "postseal.toml"), "--records", filepath.Join(p.dir, "records"))
	cmd.Stderr = p.log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	p.Process = cmd.Process
	gone := make(chan struct{})
	go func() { p.ended <- cmd.Wait(); close(gone) }()
	t.Cleanup(func() { _ = p.Kill(); <-gone })
	p.log.wait(t, "msg=started")
	return p
}

func (p *process) write(t testing.TB, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(p.dir, name), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func (p *process) connect(t testing.TB, socket string) *mta {
	t.Helper()
	return (&testServer{path: filepath.Join(p.dir, socket)}).connect(t, "localhost", "127.0.0.1")
}

func (p *process) signal(t testing.TB, s syscall.Signal) {
	t.Helper()
	if err := p.Signal(s); err != nil {
		t.Fatal(err)
	}
}

// waitEnd wants exit status 0 and no socket left.
func (p *process) waitEnd(t testing.TB) {
	t.Helper()
	select {
	case err := <-p.ended:
		if err != nil {
			t.Errorf("the daemon ended with %v\n%s", err, p.log)
		}
	case <-time.After(time.Minute):
		t.Fatalf("the daemon does not end\n%s", p.log)
	}
	for _, name := range []string{"both", "sign", "verify", "run/control.sock"} {
		if _, err := os.Lstat(filepath.Join(p.dir, name)); err == nil {
			t.Errorf("%s is left behind", name)
		}
	}
}

// The program itself: several listeners, each in its mode; sockets with mode and
// group; the signals; the control socket; a stop that lets messages end.
func TestProcess(t *testing.T) {
	t.Parallel()
	program := buildProgram(t)
	l := letter{header: plainHeader, body: plainBody}
	for _, stop := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT} {
		t.Run(stop.String(), func(t *testing.T) {
			t.Parallel()
			p := startProcess(t, program, "always_add_ar_header = true")
			for name, want := range map[string]os.FileMode{"both": 0o620, "sign": 0o620, "verify": 0o620, "run/control.sock": 0o600} {
				if fi, err := os.Stat(filepath.Join(p.dir, name)); err != nil || fi.Mode().Perm() != want {
					t.Errorf("%s: mode %v, error %v; want %v", name, fi.Mode(), err, want)
				}
			}
			wantSigned(t, p.records, p.connect(t, "both").deliver(l), l.header, l.body)
			wantSigned(t, p.records, p.connect(t, "sign").deliver(l), l.header, l.body)
			verifying := p.connect(t, "verify")
			if e := verifying.deliver(l); e.inserted("DKIM-Signature") != "" {
				t.Errorf("signed on the listener that verifies: %q", e.changes)
			}

			// Reload by each signal, and by the command, which tells the problems.
			for i, s := range []syscall.Signal{syscall.SIGHUP, syscall.SIGUSR1} {
				p.signal(t, s)
				for strings.Count(p.log.String(), "configuration reloaded") <= i {
					time.Sleep(5 * time.Millisecond)
				}
			}
			p.write(t, "signing.table", "*@example.com nosuchkey\n")
			out, err := exec.Command(program, "reload", "--runtime-directory", filepath.Join(p.dir, "run")).CombinedOutput()
			if err == nil || !strings.Contains(string(out), "nosuchkey") {
				t.Errorf("reload of a broken table: %v\n%s", err, out)
			}
			out, err = exec.Command(program, "status", "--json", "--runtime-directory", filepath.Join(p.dir, "run")).Output()
			var st Status
			if err := json.Unmarshal(out, &st); err != nil || st.PID != p.Pid || len(st.Sockets) != 3 || st.Counts.Messages[Sign] != 2 {
				t.Errorf("status: %v %s", err, out)
			}
			if err != nil {
				t.Error(err)
			}

			// Four messages are in progress, of one its header has not come; one MTA is
			// idle.
			var busy []*mta
			for range 3 {
				m := p.connect(t, "both")
				m.play(stepsOf("MRLN", plainHeader))
				busy = append(busy, m)
			}
			early := p.connect(t, "both")
			early.play(stepsOf("MR", nil))
			p.signal(t, stop)
			verifying.closed()
			if c, err := net.Dial("unix", filepath.Join(p.dir, "both")); err == nil {
				c.Close()
				t.Error("connections are accepted after the signal")
			}
			for _, m := range busy {
				wantSigned(t, p.records, m.finishBody(plainBody), plainHeader, plainBody)
			}
			early.play(stepsOf("LN", plainHeader))
			wantSigned(t, p.records, early.finishBody(plainBody), plainHeader, plainBody)
			p.waitEnd(t)
		})
	}
	t.Run("drain_timeout", func(t *testing.T) {
		t.Parallel()
		p := startProcess(t, program, `drain_timeout = "200ms"`)
		m := p.connect(t, "both")
		m.play(stepsOf("MRLN", plainHeader))
		p.signal(t, syscall.SIGTERM)
		m.closed()
		p.waitEnd(t)
		p.log.wait(t, "drain_timeout is over")
	})
	t.Run("killed, and started again", func(t *testing.T) {
		t.Parallel()
		p := startProcess(t, program, "")
		if err := p.Kill(); err != nil {
			t.Fatal(err)
		}
		<-p.ended
		p.startAgain(t)
		wantSigned(t, p.records, p.connect(t, "both").deliver(l), l.header, l.body)
		p.signal(t, syscall.SIGTERM)
		p.waitEnd(t)
	})
	t.Run("no descriptors left", func(t *testing.T) {
		t.Parallel()
		p := startProcess(t, program, "")
		if err := unix.Prlimit(p.Pid, unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: 24, Max: 24}, nil); err != nil {
			t.Fatal(err)
		}
		var open []net.Conn
		for range 40 {
			c, err := net.Dial("unix", filepath.Join(p.dir, "both"))
			if err != nil {
				t.Fatal(err)
			}
			open = append(open, c)
		}
		p.log.wait(t, "cannot accept connections for now")
		for _, c := range open {
			c.Close()
		}
		wantSigned(t, p.records, p.connect(t, "both").deliver(l), l.header, l.body)
		p.signal(t, syscall.SIGTERM)
		p.waitEnd(t)
	})
}
