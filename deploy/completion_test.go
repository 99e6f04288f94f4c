//go:build deploy

package deploy_test

import (
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/postseal/postseal/testdata/peers"
	"github.com/postseal/postseal/testdata/program"
)

// patience is how long anything may take on a machine that is busy.
const patience = 2 * time.Minute

// build makes the program, as postseal.real in a folder of its own. What is
// called postseal there completes as the program does, and writes down with which
// words it is called otherwise.
func build(t *testing.T) (dir string) {
	t.Helper()
	dir = t.TempDir()
	real := filepath.Join(dir, "postseal.real")
	program.Build(t, real)
	write(t, filepath.Join(dir, "postseal"), `#!/bin/sh
case $1 in __complete*) exec `+real+` "$@" ;; esac
for word; do printf '<%s>' "$word" >>'`+filepath.Join(dir, "called")+`'; done
echo >>'`+filepath.Join(dir, "called")+`'
`)
	return dir
}

func write(t *testing.T, path, text string) {
	t.Helper()
	err := os.MkdirAll(filepath.Dir(path), 0o755)
	if err == nil {
		err = os.WriteFile(path, []byte(text), 0o755)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// shell is an interactive one on a terminal.
type shell struct {
	t     *testing.T
	keys  io.Writer
	shown *program.Output // what the terminal shows
	// called is where the words of each command end up.
	called string
}

// ready is what a shell shows when it has been set up.
const ready = "all is set up"

// interactive starts a shell on a terminal in a folder of files and types lines
// that set it up.
func interactive(t *testing.T, dir, command string, setup ...string) *shell {
	t.Helper()
	work := t.TempDir()
	write(t, work+"/message.eml", "From: user@example.com\n\n")
	write(t, work+"/my mail.eml", "From: user@example.com\n\n")
	write(t, work+"/postseal.toml", "key_table = \"file:key.table\"\nsigning_table = \"file:signing.table\"\n")
	write(t, work+"/key.table", "a example.org:s2026:/k\nb customer.example:autumn:/k\nc $(touch${IFS}done).example.net:s;touch done:/k\n")
	write(t, work+"/runner", "")
	write(t, work+"/run/file", "")

	s := &shell{t: t, shown: new(program.Output), called: filepath.Join(dir, "called")}
	cmd := exec.Command("script", "-q", "-c", "stty cols 200 rows 50; exec "+command, "/dev/null")
	cmd.Dir = work
	cmd.Env = []string{"PATH=" + dir + ":" + os.Getenv("PATH"), "HOME=" + work, "TERM=xterm", "LC_ALL=C.UTF-8", "POSTSEAL=" + dir + "/postseal.real"}
	cmd.Stdout, cmd.Stderr = s.shown, s.shown
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	keys, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	s.keys = keys
	if err := cmd.Start(); err != nil {
		peers.Require(t, err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // the terminal goes with it, and the shell with the terminal
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("the terminal:\n%q", strings.TrimSpace(s.shown.String()))
		}
	})
	for _, line := range setup {
		s.press(line + "\r")
	}
	s.press("echo all is $(echo set) up\r")
	s.await("a shell that is set up", func() bool { return strings.Contains(s.shown.String(), ready) })
	return s
}

func (s *shell) press(keys string) {
	s.t.Helper()
	if _, err := io.WriteString(s.keys, keys); err != nil {
		s.t.Fatal(err)
	}
}

func (s *shell) await(what string, so func() bool) {
	s.t.Helper()
	for end := time.Now().Add(patience); !so(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			s.t.Fatalf("waited %v for %s", patience, what)
		}
	}
}

// calls are the words of the commands so far.
func (s *shell) calls() []string {
	text, _ := os.ReadFile(s.called)
	return strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")
}

// bashCompletion is the package that bash needs for it.
const bashCompletion = "/usr/share/bash-completion/bash_completion"

// The words that a line becomes when it is completed with the tabulator, in each
// shell, at a terminal.
func TestCompletion(t *testing.T) {
	lines := []struct {
		name, typed string
		want        string
	}{
		{"a command", "ser\t", "<serve>"},
		{"a flag", "serve --log-l\t", "<serve><--log-lines>"},
		{"a value", "serve --log-lines str\t", "<serve><--log-lines><structured>"},
		{"a value behind =", "serve --log-lines=op\t", "<serve><--log-lines=opendkim>"},
		{"a kind of key", "genkey --type e\t", "<genkey><--type><ed25519>"},
		{"a shell", "completion f\t", "<completion><fish>"},
		{"a file", "verify mes\t", "<verify><message.eml>"},
		{"a file with a blank", "verify my\t", "<verify><my mail.eml>"},
		{"the file of a flag", "serve -c posts\t", "<serve><-c><postseal.toml>"},
		{"a folder, and no file", "reload --runtime-directory ru\t", "<reload><--runtime-directory><run>"},
		{"no file where none is meant", "explain mes\t", "<explain><mes>"},
		{"a domain", "testkey -c postseal.toml -d exa\t", "<testkey><-c><postseal.toml><-d><example.org>"},
		{"a selector of the domain", "testkey -c postseal.toml -d customer.example -s \t", "<testkey><-c><postseal.toml><-d><customer.example><-s><autumn>"},
		{"a new selector", "genkey -s \tnew", "<genkey><-s><new>"},
		{"a configuration that is not there", "testkey -c none.toml -d exa\t", "<testkey><-c><none.toml><-d><exa>"},
	}
	shells := []struct {
		name, flags string
		setup       []string
	}{
		{"bash", "--norc --noprofile", []string{". " + bashCompletion, `. <("$POSTSEAL" completion bash)`}},
		{"zsh", "-f", []string{`mkdir fun; "$POSTSEAL" completion zsh >fun/_postseal; fpath=($PWD/fun $fpath)`, "autoload -U compinit; compinit -u -D"}},
		{"fish", "--no-config", []string{"$POSTSEAL completion fish | source"}},
	}
	for _, each := range shells {
		t.Run(each.name, func(t *testing.T) {
			if _, err := exec.LookPath(each.name); err != nil {
				peers.Require(t, err)
			}
			if _, err := os.Stat(bashCompletion); each.name == "bash" && err != nil {
				peers.Require(t, err)
			}
			s := interactive(t, build(t), each.name+" "+each.flags+" -i", each.setup...)
			for i, line := range lines {
				s.press("postseal " + line.typed + "\r")
				s.await(line.name, func() bool { return len(s.calls()) > i && s.calls()[i] != "" })
				// Some shells leave the slash behind a folder away.
				if got := strings.ReplaceAll(s.calls()[i], "/>", ">"); got != line.want {
					t.Errorf("%s: postseal %q calls it with %s, want %s", line.name, line.typed, got, line.want)
				}
			}
			for _, trouble := range []string{"none.toml: no such", "directive", "ommand not found", "rror"} {
				if strings.Contains(s.shown.String(), trouble) {
					t.Errorf("the terminal shows %q", trouble)
				}
			}

			s.press("postseal ver\t\t")
			s.await("what the commands are for", func() bool {
				shown := s.shown.String()
				return strings.Contains(shown, "Print the version") && strings.Contains(shown, "Verify a message: DKIM, SPF and DMARC")
			})
			if len(s.calls()) != len(lines) || slices.Contains(s.calls(), "") {
				t.Errorf("called with %q", s.calls())
			}
		})
	}
}
