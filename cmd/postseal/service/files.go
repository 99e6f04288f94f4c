package service

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"strconv"
	"strings"
	"syscall"
)

// pidFile is a file with the process id; without a path, none.
type pidFile struct {
	path string
	// before is the process that it named when we wrote it, 0 for none.
	before int
}

// writePid writes the pid file; see Options.Lenient for one that cannot be.
func (o *Options) writePid(p *pidFile, log *slog.Logger) error {
	err := p.write()
	if err == nil {
		return nil
	}
	err = fmt.Errorf("the pid file cannot be written: %w", err)
	if o.Lenient {
		log.Warn("no pid file; what reads it will not find this daemon", "err", err)
		return nil
	}
	return &Error{ExitOSErr, err}
}

// write replaces the file in one step. Root may do this in a folder of another
// user's: nothing is followed or overwritten that this user may have put there.
func (p *pidFile) write() error {
	if fi, err := os.Lstat(p.path); err == nil && !fi.Mode().IsRegular() && fi.Mode().Type() != fs.ModeSymlink {
		return fmt.Errorf("%s is no regular file", p.path)
	}
	p.before = p.read()
	return p.put(os.Getpid())
}

func (p *pidFile) put(pid int) error {
	next := p.path + ".new"
	if err := os.Remove(next); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	f, err := os.OpenFile(next, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(f, pid)
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(next, p.path)
	}
	if err != nil {
		_ = os.Remove(next)
	}
	return err
}

// read is the process that the file names, 0 for none. It neither follows nor
// waits for what another user may have put there.
func (p *pidFile) read() (pid int) {
	f, err := os.OpenFile(p.path, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if err != nil {
		return 0
	}
	defer f.Close()
	data, _ := io.ReadAll(io.LimitReader(f, 32))
	pid, _ = strconv.Atoi(strings.TrimSpace(string(data))) // what is no number is nobody
	return max(pid, 0)
}

// remove takes the file away if it is ours and we still may. After a start that
// failed, it names the daemon again that was there before and still runs.
func (p *pidFile) remove(failed bool) {
	if p.path == "" || p.read() != os.Getpid() {
		return
	}
	if failed && p.before > 0 && !errors.Is(syscall.Kill(p.before, 0), syscall.ESRCH) && p.put(p.before) == nil {
		return
	}
	_ = os.Remove(p.path) // the folder may be root's, and we no longer are
}

// makeFolder makes the folder of the control socket, which a reboot may have
// taken away, for the user who will be the daemon; not those above it, which a slip
// of the pen may name. Where that fails, the control socket will say so.
func makeFolder(dir string, a account) {
	if os.Mkdir(dir, 0o755) == nil {
		_ = os.Lchown(dir, a.uid, a.gid)
	}
}
