// Package farm tests several daemons that serve one mail farm: real ones, of the
// built program, behind a real Postfix. They share tables and keys.
package farm

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/postseal/postseal/config/postfix"
	"github.com/postseal/postseal/keys"
	"github.com/postseal/postseal/testdata/peers"
	"github.com/postseal/postseal/testdata/program"
)

const (
	name     = "milters.farm.test" // both hosts, for Postfix
	inbox    = "user@inbox.example"
	author   = "user@example.com"
	patience = 3 * time.Minute
)

// addresses are those of the daemons' hosts, in the order of name.
var addresses = [...]string{"127.0.0.11", "127.0.0.12"}

// ownHosts runs "$@" where a name has the addresses of the farm.
const ownHosts = `set -e
hosts=$(mktemp)
{ cat /etc/hosts; printf '%s milters.farm.test\n' 127.0.0.11 127.0.0.12; } >"$hosts"
chmod 644 "$hosts"
mount --bind "$hosts" /etc/hosts
rm "$hosts"
exec "$@"
`

// TestMain gives the tests an /etc/hosts of their own, where the system lets it.
func TestMain(m *testing.M) {
	const inside = "POSTSEAL_FARM_INSIDE"
	unshare, err := exec.LookPath("unshare")
	if err == nil && os.Getenv(inside) == "" && exec.Command(unshare, "--mount", "true").Run() == nil {
		words := []string{"unshare", "--mount", "--propagation", "private", "sh", "-c", ownHosts, "sh"}
		err = syscall.Exec(unshare, append(words, os.Args...), append(os.Environ(), inside+"=1"))
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Unsetenv(inside)
	code := m.Run()
	os.RemoveAll(built.dir)
	os.Exit(code)
}

// built is the program, which the tests share.
var built struct {
	sync.Once
	dir string
	err error
}

// daemonProgram is postseal.
func daemonProgram(t testing.TB) string {
	t.Helper()
	built.Do(func() {
		if built.dir, built.err = os.MkdirTemp("", "postseal-program-"); built.err != nil {
			return
		}
		if out, err := exec.Command("go", "build", "-o", built.dir, "../../cmd/postseal").CombinedOutput(); err != nil {
			built.err = fmt.Errorf("go build: %w\n%s", err, out)
		}
	})
	must(t, built.err)
	return filepath.Join(built.dir, "postseal")
}

// farm is a Postfix and the daemons of two hosts.
type farm struct {
	t       testing.TB
	ctx     context.Context
	postfix *postfix.Instance
	port    int    // of both daemons
	shared  string // the folder that both hosts mount
	hosts   [len(addresses)]*host
	peer    *peers.Pipe
}

// host is one of a farm: a configuration of its own, and the daemon.
type host struct {
	f     *farm
	dir   string
	log   program.Output
	cmd   *exec.Cmd
	ended chan struct{}
}

// start starts the daemons and Postfix, whose milters are what milters says of the
// daemons' port.
func start(t *testing.T, milters func(*farm) string) *farm {
	t.Helper()
	t.Parallel()
	peers.Require(t, postfix.Available())
	if found, err := net.LookupHost(name); err != nil || len(found) != len(addresses) {
		peers.Require(t, fmt.Errorf("no mount namespace with an /etc/hosts of its own: %v %w", found, err))
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*patience)
	t.Cleanup(cancel)
	dir := t.TempDir()
	f := &farm{t: t, ctx: ctx, port: freePort(t), shared: filepath.Join(dir, "shared")}
	f.share()
	for n, address := range addresses {
		f.hosts[n] = &host{f: f, dir: filepath.Join(dir, address)}
		f.hosts[n].configure(address)
		f.hosts[n].serve()
	}
	var err error
	spec := milters(f)
	f.postfix, err = postfix.Start(ctx, postfix.Options{Mailboxes: []string{inbox}, Main: map[string]string{
		"smtpd_milters": spec, "non_smtpd_milters": spec, "milter_default_action": "tempfail",
		"milter_connect_timeout": "2s", // TestHostThatIsSilent waits for it
	}})
	must(t, err)
	t.Cleanup(func() {
		must(t, f.postfix.Stop())
		if t.Failed() {
			for _, h := range f.hosts {
				const enough = 3000
				text := h.log.String()
				t.Logf("a daemon's log:\n%s", text[max(0, len(text)-enough):])
			}
		}
	})
	return f
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// freePort is a port that is free on each address.
func freePort(t testing.TB) int {
	t.Helper()
	for range 100 {
		first, err := net.Listen("tcp4", addresses[0]+":0")
		must(t, err)
		port := first.Addr().(*net.TCPAddr).Port
		second, err := net.Listen("tcp4", net.JoinHostPort(addresses[1], strconv.Itoa(port)))
		first.Close()
		if err == nil {
			second.Close()
			return port
		}
	}
	t.Fatal("no port is free on both addresses")
	return 0
}

// byName is both hosts in one entry of the list.
func byName(f *farm) string { return fmt.Sprintf("inet:%s:%d", name, f.port) }

// share fills the folder that every host mounts: a key and the tables.
func (f *farm) share() {
	f.t.Helper()
	key, err := keys.Generate("rsa", 2048)
	must(f.t, err)
	must(f.t, os.Mkdir(f.shared, 0o755))
	must(f.t, keys.WritePrivate(filepath.Join(f.shared, "one.private"), key))
	for name, text := range map[string]string{
		"key.table":     "one example.com:one:./one.private\n",
		"signing.table": "*@example.com one\n",
	} {
		must(f.t, os.WriteFile(filepath.Join(f.shared, name), []byte(text), 0o644))
	}
	f.peer = peers.StartDkimpy(f.t, map[string]string{"one._domainkey.example.com": keys.RecordText(key.Public())})
}

// configure writes what is the host's own: where it listens.
func (h *host) configure(address string) {
	must(h.f.t, os.Mkdir(h.dir, 0o755))
	text := fmt.Sprintf(`socket = "inet:%d@%s"
runtime_directory = %q
base_directory = %q
key_table = "file:key.table"
signing_table = "refile:signing.table"
internal_hosts = "127.0.0.1"
require_safe_keys = false # of a temporary folder
drain_timeout = "2m" # this machine is slower than a mail host
`, h.f.port, address, filepath.Join(h.dir, "run"), h.f.shared)
	must(h.f.t, os.WriteFile(filepath.Join(h.dir, "postseal.toml"), []byte(text), 0o644))
}

// serve starts the daemon and waits until it serves; it ends with the test.
func (h *host) serve() {
	t := h.f.t
	t.Helper()
	var own program.Output
	cmd := exec.Command(daemonProgram(t), "serve", "-c", filepath.Join(h.dir, "postseal.toml"))
	cmd.Stderr = io.MultiWriter(&own, &h.log)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} // a test that times out cleans nothing up
	must(t, cmd.Start())
	ended := make(chan struct{})
	go func() { _ = cmd.Wait(); close(ended) }()
	t.Cleanup(func() { _ = cmd.Process.Kill(); <-ended })
	h.cmd, h.ended = cmd, ended
	h.f.await("a daemon", func() bool {
		select {
		case <-ended:
			t.Fatalf("the daemon does not start:\n%s", &own)
		default:
		}
		return strings.Contains(own.String(), "msg=started")
	})
}

// end sends a signal and waits until the daemon is gone.
func (h *host) end(signal syscall.Signal) {
	h.f.t.Helper()
	must(h.f.t, h.cmd.Process.Signal(signal))
	h.gone()
}

func (h *host) gone() {
	h.f.t.Helper()
	select {
	case <-h.ended:
	case <-time.After(patience):
		h.f.t.Fatal("the daemon does not end")
	}
}

// signed is how many messages the host has signed, as far as its log has come.
func (h *host) signed() int { return strings.Count(h.log.String(), " signed=") }

// hasSigned waits until it is that many.
func (h *host) hasSigned(count int) {
	h.f.t.Helper()
	h.f.await(fmt.Sprintf("a log of %d messages", count), func() bool { return h.signed() == count })
}

// await waits until something is so.
func (f *farm) await(what string, so func() bool) {
	f.t.Helper()
	for end := time.Now().Add(patience); !so(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) || f.ctx.Err() != nil {
			f.t.Fatalf("waited %v for %s", patience, what)
		}
	}
}

// letter is a message with a subject that tells it from all others.
func letter(subject string) []byte {
	return fmt.Appendf(nil, "From: <%s>\r\nTo: <%s>\r\nSubject: %s\r\n\r\n%s", author, inbox, subject, strings.Repeat("A line of some length.\r\n", 80))
}

// mailbox waits until everything has been delivered, and returns it by subject.
func (f *farm) mailbox() map[string][][]byte {
	f.t.Helper()
	must(f.t, f.postfix.WaitQueueEmpty(f.ctx))
	box, err := f.postfix.Mailbox(inbox)
	must(f.t, err)
	bySubject := map[string][][]byte{}
	for _, msg := range box {
		_, rest, _ := bytes.Cut(msg, []byte("\nSubject: "))
		subject, _, _ := bytes.Cut(rest, []byte("\n"))
		bySubject[string(subject)] = append(bySubject[string(subject)], msg)
	}
	return bySubject
}

// wantEachOnce wants that many messages to have been accepted, and to be delivered
// once, with one signature.
func (f *farm) wantEachOnce(accepted int) {
	f.t.Helper()
	box := f.mailbox()
	for subject, messages := range box {
		if len(messages) != 1 {
			f.t.Errorf("%s: delivered %d times", subject, len(messages))
		}
		f.wantSealed(messages[0], 1)
	}
	if len(box) != accepted {
		f.t.Errorf("%d messages were accepted, %d are there", accepted, len(box))
	}
}

// wantSealed wants a message to have that many signatures, all of them valid.
func (f *farm) wantSealed(msg []byte, count int) {
	f.t.Helper()
	verdicts, err := f.peer.Verify(bytes.ReplaceAll(msg, []byte("\n"), []byte("\r\n")))
	must(f.t, err)
	if len(verdicts) != count {
		f.t.Errorf("%d signatures, want %d:\n%s", len(verdicts), count, msg)
	}
	for _, v := range verdicts {
		if v.Status != "pass" || v.Domain != "example.com" || v.Selector != "one" {
			f.t.Errorf("%+v\n%s", v, msg)
		}
	}
}
