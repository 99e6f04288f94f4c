package service

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// pidFile is the path of a file with the process id, "" for none.
type pidFile string

// writePid writes the pid file; see Options.Lenient for one that cannot be.
func (o *Options) writePid(p pidFile, log *slog.Logger) error {
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
func (p pidFile) write() error {
	if fi, err := os.Lstat(string(p)); err == nil && !fi.Mode().IsRegular() && fi.Mode().Type() != fs.ModeSymlink {
		return fmt.Errorf("%s is no regular file", p)
	}
	next := string(p) + ".new"
	if err := os.Remove(next); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	f, err := os.OpenFile(next, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(f, os.Getpid())
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(next, string(p))
	}
	if err != nil {
		_ = os.Remove(next)
	}
	return err
}

// remove takes the file away if it is ours and we still may.
func (p pidFile) remove() {
	if p == "" {
		return
	}
	if data, err := os.ReadFile(string(p)); err == nil && strings.TrimSpace(string(data)) == strconv.Itoa(os.Getpid()) {
		_ = os.Remove(string(p)) // the folder may be root's, and we no longer are
	}
}

// makeFolder makes the folder of the control socket for the user who will be
// the daemon. Where that fails, the control socket will say so.
func makeFolder(dir string, a account) {
	if os.MkdirAll(filepath.Dir(dir), 0o755) == nil && os.Mkdir(dir, 0o755) == nil {
		_ = os.Lchown(dir, a.uid, a.gid)
	}
}
