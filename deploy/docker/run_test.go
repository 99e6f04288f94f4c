//go:build deploy

package docker

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/emersion/go-milter"

	"github.com/postseal/postseal/milter/load"
	"github.com/postseal/postseal/testdata/container"
	"github.com/postseal/postseal/testdata/program"
)

// The commands at the top of the Dockerfile make a key and a daemon that signs with
// it, configured by its environment alone. The health is that of the key, the log is
// JSON with a line a message, and SIGTERM ends it with 0.
func TestDockerRun(t *testing.T) {
	image := container.Build(t)
	commands := documented(t, "Dockerfile")
	if len(commands) != 3 {
		t.Fatalf("%d commands, want 3: %q", len(commands), commands)
	}
	if shown := readme(t); !slices.Equal(shown, commands) {
		t.Errorf("README.md has other commands: %q", shown)
	}
	dir, port := t.TempDir(), strconv.Itoa(program.FreePort(t))
	shell(t, dir, commands[0])
	genkey := image.Start(t, nil, dockerRun(t, dir, commands[1]))
	if status := genkey.Wait(); status != 0 {
		t.Fatalf("genkey ends with %d", status)
	}
	records := map[string]string{"mail2026._domainkey.example.com": record(t, genkey.Output.String())}
	key := filepath.Join(dir, "keys/mail2026.private")
	info, err := os.Stat(key)
	if err != nil || info.Mode() != 0o600 || info.Sys().(*syscall.Stat_t).Uid != 65532 {
		t.Fatalf("the key is %v; %v", info, err)
	}

	c := image.Start(t, nil, dockerRun(t, dir, strings.ReplaceAll(commands[2], "8891", port)))
	c.AwaitOutput(`"msg":"started"`)
	const messages = 3
	for range messages {
		message, err := container.Filter("inet:127.0.0.1:"+port, load.Sample("user@example.com", 2000))
		if err != nil {
			t.Fatal(err)
		}
		if domains, err := container.Verify(message, records); err != nil || len(domains) != 1 || domains[0] != "example.com" {
			t.Errorf("signed by %q: %v", domains, err)
		}
	}
	// A line comes after the answer.
	c.Await("a line of each message", func() bool { return strings.Count(c.Output.String(), `"msg":"message"`) == messages })
	for _, line := range messageLines(t, c) {
		if line["decision"] != "sign" || line["level"] != "INFO" {
			t.Errorf("a line of a signed message: %v", line)
		}
	}

	health(t, c, 0)
	if err := os.Rename(key, key+".away"); err != nil {
		t.Fatal(err)
	}
	health(t, c, 1)
	if err := os.Rename(key+".away", key); err != nil {
		t.Fatal(err)
	}
	health(t, c, 0)
	if pids := children(t, c); pids != "" {
		t.Errorf("process 1 has started others: %s", pids)
	}

	rest := begin(t, "127.0.0.1:"+port)
	c.Signal(syscall.SIGTERM)
	c.AwaitOutput(`"msg":"stopping"`)
	changes, _, err := rest()
	if err != nil || len(changes) != 1 || changes[0].HeaderName != "DKIM-Signature" {
		t.Errorf("the message in progress: %+v, %v", changes, err)
	}
	if status := c.Wait(); status != 0 {
		t.Errorf("the daemon ends with %d", status)
	}
	messageLines(t, c)
}

// A daemon that began with a file does not go on without it: what the environment
// says over the file is no configuration.
func TestFileGoes(t *testing.T) {
	image := container.Build(t)
	conf := t.TempDir()
	file := filepath.Join(conf, "postseal.toml")
	if err := errors.Join(os.WriteFile(file, []byte("mode = \"v\"\nwatch_files = false\n"), 0o644), os.Chmod(conf, 0o755)); err != nil {
		t.Fatal(err)
	}
	c := image.Start(t, nil, container.Options{
		ReadOnly: true, Env: []string{"POSTSEAL_LOG_LEVEL=debug", fmt.Sprintf("POSTSEAL_SOCKET=inet:%d@127.0.0.1", program.FreePort(t))},
		Mounts: []container.Mount{{Target: "/run/postseal"}, {Source: conf, Target: "/etc/postseal", ReadOnly: true}},
	})
	c.AwaitOutput(`"msg":"started"`)
	if want := `"msg":"settings come from the environment","variables":"POSTSEAL_LOG_LEVEL, POSTSEAL_SOCKET","file":"/etc/postseal/postseal.toml"`; !strings.Contains(c.Output.String(), want) {
		t.Errorf("the log does not say %s", want)
	}
	if out, status := c.Exec("/postseal", "reload"); status != 0 {
		t.Errorf("with the file, a reload ends with %d: %s", status, out)
	}
	if err := os.Rename(file, file+".away"); err != nil {
		t.Fatal(err)
	}
	if out, status := c.Exec("/postseal", "reload"); status != 1 || !strings.Contains(out, "/etc/postseal/postseal.toml is gone") {
		t.Errorf("without it, it ends with %d: %s", status, out)
	}
	if err := os.Rename(file+".away", file); err != nil {
		t.Fatal(err)
	}
	if out, status := c.Exec("/postseal", "reload"); status != 0 {
		t.Errorf("with the file again, it ends with %d: %s", status, out)
	}
}

// begin sends a milter the header of a message; rest sends the rest of it.
func begin(t *testing.T, addr string) (rest func() ([]milter.ModifyAction, *milter.Action, error)) {
	t.Helper()
	const patience = 2 * time.Minute
	client := milter.NewClientWithOptions("tcp", addr, milter.ClientOptions{
		ReadTimeout: patience, WriteTimeout: patience, ActionMask: milter.OptAddHeader | milter.OptChangeHeader, ProtocolMask: milter.OptHeaderLeadingSpace,
	})
	s, err := client.Session()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	for _, step := range []func() (*milter.Action, error){
		func() (*milter.Action, error) { return s.Conn("localhost", milter.FamilyInet, 25, "127.0.0.1") },
		func() (*milter.Action, error) { return s.Mail("user@example.com", nil) },
		func() (*milter.Action, error) { return s.Rcpt("recipient@example.net", nil) },
		func() (*milter.Action, error) { return s.HeaderField("From", " user@example.com") },
		s.HeaderEnd,
	} {
		if action, err := step(); err != nil || action.Code != milter.ActContinue {
			t.Fatalf("%v, %v", action, err)
		}
	}
	return func() ([]milter.ModifyAction, *milter.Action, error) {
		return s.BodyReadFrom(strings.NewReader("Hello.\r\n"))
	}
}

// documented are the commands in the comment at the top of a file, which are
// indented there; a "\" goes on.
func documented(t *testing.T, file string) (commands []string) {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(strings.ReplaceAll(string(data), "\\\n#", "")) {
		command, ok := strings.CutPrefix(line, "#     ")
		switch {
		case ok:
			command, _, _ = strings.Cut(command, "   # ")
			commands = append(commands, strings.Join(strings.Fields(command), " "))
		case !strings.HasPrefix(line, "#"):
			return commands
		}
	}
	return commands
}

// readme are the commands that README.md has about containers.
func readme(t *testing.T) (commands []string) {
	t.Helper()
	data, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(data), "\n## In a container\n")
	_, block, _ := strings.Cut(section, "\n```sh\n")
	block, _, _ = strings.Cut(block, "\n```\n")
	for line := range strings.SplitSeq(strings.ReplaceAll(block, "\\\n", ""), "\n") {
		commands = append(commands, strings.Join(strings.Fields(line), " "))
	}
	return commands
}

// shell runs a command in a folder.
func shell(t *testing.T, dir, command string) {
	t.Helper()
	cmd := exec.Command("sh", "-c", command)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", command, err, out)
	}
}

// dockerRun is what "docker run" makes of its flags in a folder. Its networks are
// not made: the container has the host's.
func dockerRun(t *testing.T, dir, command string) (o container.Options) {
	t.Helper()
	words := strings.Fields(command)
	if len(words) < 3 || words[0] != "docker" || words[1] != "run" {
		t.Fatalf("%q is no docker run", command)
	}
	for words = words[2:]; strings.HasPrefix(words[0], "-"); {
		flag := words[0]
		words = words[1:]
		if flag == "-d" || flag == "--rm" {
			continue
		}
		if flag == "--read-only" {
			o.ReadOnly = true
			continue
		}
		value := words[0]
		words = words[1:]
		switch flag {
		case "-e":
			o.Env = append(o.Env, value)
		case "-v":
			parts := strings.Split(value, ":")
			source := filepath.Join(dir, parts[0])
			o.Mounts = append(o.Mounts, container.Mount{Source: source, Target: parts[1], ReadOnly: len(parts) > 2 && parts[2] == "ro"})
		case "--tmpfs":
			o.Mounts = append(o.Mounts, container.Mount{Target: value})
		case "-p", "--name", "--restart", "--stop-timeout":
		case "--cap-drop", "--security-opt":
			if value != "ALL" && value != "no-new-privileges" { // as every container of these tests
				t.Fatalf("%s %s is not known here", flag, value)
			}
		default:
			t.Fatalf("the flag %s is not known here", flag)
		}
	}
	if words[0] != "postseal" {
		t.Fatalf("the image is %q", words[0])
	}
	if len(words) > 1 {
		o.Words = words[1:]
	}
	return o
}

// record is the TXT value that genkey prints for web forms.
func record(t *testing.T, output string) string {
	t.Helper()
	value := regexp.MustCompile(`(?m)^v=DKIM1;.*$`).FindString(output)
	if value == "" {
		t.Fatalf("no record in %q", output)
	}
	return value
}

// health awaits an exit status of the image's health check.
func health(t *testing.T, c *container.Container, want int) {
	t.Helper()
	c.Await(fmt.Sprintf("a health of %d", want), func() bool {
		_, status := c.Exec("/postseal", "ping")
		return status == want
	})
}

// children are the processes that a container's first one has started.
func children(t *testing.T, c *container.Container) (pids string) {
	t.Helper()
	tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", c.PID()))
	if err != nil || len(tasks) == 0 {
		t.Fatalf("no threads are found: %v", err)
	}
	for _, task := range tasks {
		data, err := os.ReadFile(task)
		if err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
		pids += string(data)
	}
	return pids
}
