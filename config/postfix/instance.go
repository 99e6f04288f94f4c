package postfix

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// Options say what an instance is like. The zero value is a server that knows
// user@inbox.example and other@inbox.example and speaks to no milter.
type Options struct {
	// Dir is an existing folder whose parents everybody may pass; the caller
	// removes it. Empty: a new temporary folder, removed by Stop.
	Dir string
	// Hostname is myhostname. Default mx.inbox.example.
	Hostname string
	// Mailboxes are the addresses that have a mailbox here. Other recipients in
	// their domains are rejected; other domains bounce.
	Mailboxes []string
	// Main are parameters of main.cf (smtpd_milters, milter_protocol, …); they
	// win over the instance's own.
	Main map[string]string
	// Master is text added to master.cf: further services.
	Master string
}

// Instance is a running private Postfix. Its methods may be called from several
// goroutines, except Stop and Reconfigure.
type Instance struct {
	layout   layout
	programs programs
	options  Options
	addr     string
	own      bool // the folder is ours to remove
	pid      int  // master, which leads its own process group
	exited   chan struct{}
	exit     error        // how it ended; read after exited is closed
	stderr   bytes.Buffer // likewise
}

// errEnded: master ended without a reason that its configuration shows.
var errEnded = errors.New("master ended")

const (
	startTimeout = 20 * time.Second
	stopTimeout  = 10 * time.Second
	pollInterval = 10 * time.Millisecond
	// A port that was free may be taken by the time Postfix binds it.
	startAttempts = 3
)

// Start starts an instance and returns once it answers on its SMTP port. The
// error is [ErrNotInstalled] or [ErrNotRoot] where [Available] says so, or
// carries the end of Postfix's log. The caller ends it with Stop; it also ends
// when this process dies.
func Start(ctx context.Context, o Options) (*Instance, error) {
	p, err := locate()
	if err != nil {
		return nil, err
	}
	if o.Hostname == "" {
		o.Hostname = "mx.inbox.example"
	}
	if len(o.Mailboxes) == 0 {
		o.Mailboxes = []string{"user@inbox.example", "other@inbox.example"}
	}
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	for attempt := 1; ; attempt++ {
		i := &Instance{layout: layout{root: o.Dir}, programs: p, options: o}
		if err = i.start(ctx); err == nil {
			return i, nil
		}
		again := errors.Is(err, errEnded) && attempt < startAttempts
		err = fmt.Errorf("private Postfix: %w%s", err, i.lastLines())
		if stopErr := i.Stop(); stopErr != nil {
			return nil, errors.Join(err, stopErr)
		}
		if !again {
			return nil, err
		}
	}
}

func (i *Instance) start(ctx context.Context) error {
	if i.layout.root == "" {
		dir, err := makeRoot()
		if err != nil {
			return err
		}
		i.layout.root, i.own = dir, true
	}
	if !i.layout.short() {
		return fmt.Errorf("private Postfix: the path %s is too long for its unix sockets: set TMPDIR to a shorter one", i.layout.root)
	}
	var err error
	if i.addr, err = freeAddr(); err != nil {
		return err
	}
	l := i.layout
	if err := l.create(i.programs); err != nil {
		return err
	}
	if err := l.writeUsers(i.options.Mailboxes); err != nil {
		return err
	}
	if err := l.writeMain(i.programs, i.options); err != nil {
		return err
	}
	if err := l.writeMaster(i.addr, i.options.Master); err != nil {
		return err
	}
	if err := i.run(); err != nil {
		return err
	}
	return i.awaitBanner(ctx)
}

// makeRoot makes a folder in the usual place for temporary ones, or in /tmp if
// its path would be too long there.
func makeRoot() (string, error) {
	var dir string
	for _, parent := range []string{os.TempDir(), "/tmp"} {
		if dir != "" {
			if err := os.Remove(dir); err != nil {
				return "", err
			}
		}
		var err error
		if dir, err = os.MkdirTemp(parent, "postseal-postfix-"); err != nil {
			return "", err
		}
		if (layout{root: dir}).short() {
			break
		}
	}
	return dir, nil
}

// freeAddr finds a loopback port that nobody uses at this moment.
func freeAddr() (string, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer ln.Close()
	return ln.Addr().String(), nil
}

// tied becomes "$@" and has its process group end with the writing end of the pipe 3.
// PR_SET_PDEATHSIG does not do: the kernel forgets it when master(8) changes users.
// Who waits is nobody's child: master(8) knows its children.
const tied = `( { read -r _; kill -s KILL -- -$$; } <&3 >/dev/null 2>&1 & ); exec "$@" 3<&-`

// run starts master(8) in the foreground as the leader of a process group, so
// that a signal reaches all of its children, which end when this process dies. They
// inherit the pipe of standard error, and exited is closed once the last of them is
// gone.
func (i *Instance) run() error {
	theirs, ours, err := os.Pipe()
	if err != nil {
		return err
	}
	defer theirs.Close()
	cmd := exec.Command("/bin/sh", "-c", tied, "sh", filepath.Join(i.programs.daemons, "master"), "-c", i.layout.config(), "-d")
	cmd.Dir = i.layout.queue()
	cmd.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LANG=C", "MAIL_CONFIG=" + i.layout.config()}
	i.stderr.Reset()
	cmd.Stderr = &i.stderr
	cmd.ExtraFiles = []*os.File{theirs} // 3
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		ours.Close()
		return err
	}
	i.pid = cmd.Process.Pid
	i.exited = make(chan struct{})
	go func() {
		i.exit = cmd.Wait()
		ours.Close()
		close(i.exited)
	}()
	return nil
}

func (i *Instance) awaitBanner(ctx context.Context) error {
	for {
		if banner, err := i.banner(ctx); err == nil {
			if !strings.HasPrefix(banner, "220 "+i.options.Hostname) {
				return fmt.Errorf("the SMTP server on %s says %q", i.addr, banner)
			}
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("no answer on %s: %w", i.addr, ctx.Err())
		case <-i.exited:
			return i.whyEnded()
		case <-time.After(pollInterval):
		}
	}
}

// whyEnded explains an early end of master, which tells syslog alone what it
// dislikes before its own log is there: postconf reads the same files.
func (i *Instance) whyEnded() error {
	postconf := exec.Command(filepath.Join(i.programs.commands, "postconf"), "-c", i.layout.config(), "-M")
	if out, err := postconf.CombinedOutput(); err != nil {
		return fmt.Errorf("the configuration is not understood: %s", bytes.TrimSpace(out))
	}
	return fmt.Errorf("%w: %v %s", errEnded, i.exit, bytes.TrimSpace(i.stderr.Bytes()))
}

func (i *Instance) banner(ctx context.Context) (string, error) {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", i.addr)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	if deadline, ok := ctx.Deadline(); ok {
		conn.SetDeadline(deadline)
	}
	line, err := bufio.NewReader(conn).ReadString('\n')
	if err == nil {
		_, err = conn.Write([]byte("QUIT\r\n"))
	}
	return strings.TrimRight(line, "\r\n"), err
}

// Addr is where the SMTP server listens, as host:port.
func (i *Instance) Addr() string { return i.addr }

// ConfigDir is the instance's config_directory, for postconf -c and the like.
func (i *Instance) ConfigDir() string { return i.layout.config() }

// SocketDir is a folder for milters' unix sockets: the group of what is made in
// it is Postfix's, which must be allowed to write to the socket (mode 0660).
func (i *Instance) SocketDir() string { return i.layout.sockets() }

// Reconfigure stops Postfix, writes main.cf anew with main in the place of
// Options.Main, and starts it again on the same port with the same queue and
// mailboxes. Open sessions end.
func (i *Instance) Reconfigure(ctx context.Context, main map[string]string) error {
	if err := i.endProcesses(); err != nil {
		return err
	}
	i.options.Main = maps.Clone(main)
	if err := i.layout.writeMain(i.programs, i.options); err != nil {
		return err
	}
	if err := i.run(); err != nil {
		return err
	}
	return i.awaitBanner(ctx)
}

// Log is everything that the instance has logged, empty after Stop has removed
// its folder.
func (i *Instance) Log() string {
	text, err := os.ReadFile(i.layout.log())
	if err != nil {
		return "" // not written yet
	}
	return string(text)
}

// lastLines is the end of the log, for error texts.
func (i *Instance) lastLines() string {
	lines := strings.Split(strings.TrimSpace(i.Log()), "\n")
	return "\n" + strings.Join(lines[max(0, len(lines)-10):], "\n")
}

// Stop ends every process of the instance and waits until they are gone, then
// removes the folder if Start made it. A second call does nothing.
func (i *Instance) Stop() error {
	var err error
	if i.pid != 0 {
		err = i.endProcesses()
	}
	if i.own {
		i.own = false
		err = errors.Join(err, os.RemoveAll(i.layout.root))
	}
	return err
}

// endProcesses asks the group to end, and then no longer asks.
func (i *Instance) endProcesses() error {
	group := -i.pid
	i.pid = 0
	for _, signal := range []syscall.Signal{syscall.SIGTERM, syscall.SIGKILL} {
		// No such process: master took all of them with it.
		if err := syscall.Kill(group, signal); err != nil && !errors.Is(err, syscall.ESRCH) {
			return fmt.Errorf("private Postfix: signal to group %d: %w", -group, err)
		}
		select {
		case <-i.exited:
			endStragglers(group)
			return nil
		case <-time.After(stopTimeout):
		}
	}
	return fmt.Errorf("private Postfix: processes of group %d do not end", -group)
}

// endStragglers ends what outlives master by a moment, and waits for it; not for
// ever, since an init that does not wait for its children keeps them all.
func endStragglers(group int) {
	for range 20 {
		if err := syscall.Kill(group, syscall.SIGKILL); err != nil {
			return // none is left
		}
		time.Sleep(10 * time.Millisecond)
	}
}
