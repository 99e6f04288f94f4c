package opendkim

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/postseal/postseal/testdata/peers"
)

// failingStart is a command line that both programs end soon with.
type failingStart struct {
	name string
	conf string // after Syslog, PidFile and, without "-", Socket
	args []string
	// exit and stderr are ours where they differ, and why they do.
	exit int
	why  string
}

// Both programs run in a folder with the configuration "conf", a private key
// "key" and a message "mail".
var failingStarts = []failingStart{
	{name: "an unknown user", conf: "UserID nosuch", args: []string{"-f"}},
	{name: "an unknown user, in the background", conf: "UserID nosuch"},
	{name: "an unknown number", args: []string{"-f", "-u", "4000000"}},
	{name: "an unknown group", args: []string{"-f", "-u", "nobody:nosuch"}},
	{name: "an unknown number of a group", args: []string{"-f", "-u", "nobody:4000000"}},
	{name: "a user with a dot", args: []string{"-f", "-u", "nobody.daemon"}},
	{name: "a socket in no folder", args: []string{"-f", "-p", "local:/nonexistent/socket"}},
	{name: "a socket in no folder, in the background", args: []string{"-p", "local:/nonexistent/socket"},
		exit: exitUnavailable, why: "OpenDKIM's command has ended with 0 before it finds out"},
	{name: "an address that is not ours", args: []string{"-f", "-p", "inet:8891@192.0.2.77"}},
	{name: "a socket of no type", args: []string{"-f", "-p", "bogus:1"}},
	{name: "no file", args: []string{"-f", "-x", "nosuch"}},
	{name: "a mode", args: []string{"-f", "-b", "x"}},
	{name: "a canonicalization", args: []string{"-f", "-c", "x"}},
	{name: "an algorithm", args: []string{"-f", "-S", "x"}},
	{name: "a timeout", args: []string{"-f", "-T", "x"}},
	{name: "no timeout, checked", args: []string{"-n", "-T", "0"}},
	{name: "a minimum", args: []string{"-f", "-L", "x"}},
	{name: "a time", args: []string{"-f", "-F", "x"}},
	{name: "a domain without a key", args: []string{"-f", "-d", "example.com"}},
	{name: "a selector without a key", args: []string{"-n", "-s", "s"}},
	{name: "a key file that is not there", args: []string{"-f", "-d", "example.com", "-s", "s", "-k", "nosuch"}},
	{name: "a key file that is not there, checked", args: []string{"-n", "-d", "example.com", "-s", "s", "-k", "nosuch"}},
	{name: "a key of nobody", args: []string{"-n", "-d", "example.com", "-s", "s", "-k", "key", "-u", "nosuch"}},
	{name: "a key below /tmp", args: []string{"-n", "-d", "example.com", "-s", "s", "-k", "key"}},
	{name: "a line", conf: "Nonsense yes", args: []string{"-f"}},
	{name: "a line, in the background", conf: "Nonsense yes"},
	{name: "a table that is not there", conf: "KeyTable file:/nosuch\nSigningTable csl:a=b", args: []string{"-n"}},
	{name: "a restart rate", conf: "AutoRestart yes\nAutoRestartRate x"},
	{name: "a restart rate, checked", conf: "AutoRestart yes\nAutoRestartRate x", args: []string{"-n"}},
	{name: "another root folder", conf: "UserID nobody\nChangeRootDirectory /nonexistent", args: []string{"-f"}},
	{name: "another root folder without a user", conf: "ChangeRootDirectory /nonexistent", args: []string{"-f"}},
	{name: "another root folder, checked", conf: "ChangeRootDirectory /nonexistent", args: []string{"-n"}},
	{name: "all well", args: []string{"-n"}},
	{name: "all well, without a socket", conf: "-", args: []string{"-n"}},
	{name: "a user, checked", args: []string{"-n", "-u", "nosuch"}},
	{name: "keys that are not there, checked", conf: "KeyTable csl:k=example.com:s:/nosuch\nSigningTable csl:example.com=k", args: []string{"-n"}},
	{name: "a flag", args: []string{"-Z"}},
	{name: "-q", args: []string{"-q"}},
	{name: "a flag without its value", args: []string{"-b"}},
	{name: "an empty value", args: []string{"-p", ""}},
	{name: "an operand", args: []string{"-n", "operand"}},
	{name: "combined flags and attached values", args: []string{"-nvx./conf", "-bsv"}},
	{name: "flags behind --", args: []string{"-n", "--", "-f"}},
	{name: "a value", args: []string{"-e", "umask"}, conf: "UMask 007"},
	{name: "a boolean", args: []string{"-e", "Syslog"}},
	{name: "a value that is not set", args: []string{"-e", "Domain"}},
	{name: "an unknown value", args: []string{"-e", "Nonsense"}},
	{name: "a value and a check", args: []string{"-n", "-e", "Syslog"}},
	{name: "a message that is not there", args: []string{"-t", "nosuch"}},
	{name: "a message", args: []string{"-t", "mail"}},
	{name: "two messages", args: []string{"-b", "v", "-t", "mail,mail"}},
	{name: "a message with bare line feeds", conf: "StrictTestMode yes", args: []string{"-t", "bare"}},
	{name: "a data set that is not there", args: []string{"-Q"}, conf: "<file:/nosuch\na/1\n"},
	{name: "a data set of no type", args: []string{"-Q"}, conf: "<foo:bar\n"},
	{name: "questions", args: []string{"-Q"}, conf: "<csl:a=b:c,d=:e,f\na/1\na/2\nd/2\nd/1\nf/1\nnone/1\nA/1\n"},
	{name: "questions and a check", args: []string{"-n", "-Q"}},
	{name: "questions and a value", args: []string{"-Q", "-e", "Socket"}},
	{name: "questions without a configuration", args: []string{"-Q", "-x", "nosuch"}},
	{name: "a question without a number", args: []string{"-Q"}, conf: "<csl:a=b\na\n"},
	{name: "a question with a word", args: []string{"-Q"}, conf: "<csl:a=b\na/x\n"},
	{name: "a question with less than nothing", args: []string{"-Q"}, conf: "<csl:a=b\na/-1\n"},
}

// What keeps the program from starting ends with OpenDKIM's exit code and words,
// and so does what it prints instead of starting. Ours may add to a line.
func TestStartsAsOpenDKIM(t *testing.T) {
	t.Parallel()
	theirs, ours := debianProgram(t), daemonProgram(t)
	for _, tt := range failingStarts {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			want, got := tt.play(t, theirs), tt.play(t, ours)
			if tt.why != "" {
				if want.exit == tt.exit {
					t.Errorf("OpenDKIM ends with %d, too: the difference is listed for nothing", tt.exit)
				}
				want.exit, want.stderr = tt.exit, nil
			}
			if got.exit != want.exit || got.stdout != want.stdout {
				t.Errorf("OpenDKIM %d %q %q\nours     %d %q %q", want.exit, want.stdout, want.stderr, got.exit, got.stdout, got.stderr)
			}
			for _, line := range want.stderr {
				if !slices.ContainsFunc(got.stderr, func(l string) bool { return strings.HasPrefix(l, line) }) {
					t.Errorf("OpenDKIM says %q, we %q", line, got.stderr)
				}
			}
			if len(want.stderr) == 0 && len(got.stderr) > 0 && tt.why == "" {
				t.Errorf("OpenDKIM is silent, we say %q", got.stderr)
			}
		})
	}
}

type ending struct {
	exit   int
	stdout string
	stderr []string
}

func (tt failingStart) play(t *testing.T, program string) ending {
	i := newInstance(t, program)
	newKeyFile(t, filepath.Join(i.dir, "key"))
	i.write("mail", "From: a@example.com\r\nSubject: x\r\n\r\nhello\r\n")
	i.write("bare", "From: a@example.com\nSubject: x\n\nhello\n")
	lines, stdin := "Socket local:@DIR@/socket\n"+tt.conf, ""
	switch {
	case tt.conf == "-":
		lines = ""
	case strings.HasPrefix(tt.conf, "<"):
		lines, stdin = "", tt.conf[1:]
	}
	i.write("conf", "Syslog no\nPidFile @DIR@/run/pid\n"+lines+"\n")
	args := tt.args
	if !slices.Contains(args, "-x") {
		args = append([]string{"-x", "conf"}, args...)
	}
	cmd := i.command()
	cmd.Args = append([]string{"opendkim"}, args...)
	cmd.Dir = i.dir
	cmd.Stdin = strings.NewReader(stdin)
	var stdout, stderr strings.Builder
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	_ = cmd.Run() // the exit code tells
	clean := strings.NewReplacer(i.dir, "@DIR@", "\t", " ")
	var said []string
	for line := range strings.Lines(clean.Replace(stderr.String())) {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "-") { // the flags of a usage are in our own words
			said = append(said, line)
		}
	}
	return ending{cmd.ProcessState.ExitCode(), clean.Replace(stdout.String()), said}
}

// Who starts it as somebody else than root and UserID is told so.
func TestDaemonOfAnotherUser(t *testing.T) {
	asRoot(t)
	t.Parallel()
	i := newInstance(t, "/usr/bin/setpriv")
	if _, err := os.Stat(i.program); err != nil {
		peers.Require(t, fmt.Errorf("no setpriv: %w; apt-get install util-linux", err))
	}
	program := daemonProgram(t)
	for dir := filepath.Dir(program); dir != "/tmp" && dir != "/"; dir = filepath.Dir(dir) {
		i.must(os.Chmod(dir, 0o755))
	}
	i.conf("UserID daemon")
	i.must(os.Chmod(filepath.Join(i.dir, "conf"), 0o644))
	cmd := i.command()
	cmd.Args = []string{"setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups", program, "-f", "-x", filepath.Join(i.dir, "conf")}
	out, _ := cmd.CombinedOutput()
	if code := cmd.ProcessState.ExitCode(); code != exitNoPerm || !strings.Contains(string(out), "opendkim: initgroups(): Operation not permitted (only root can become another user)\n") {
		t.Errorf("exit status %d: %s", code, out)
	}
}
