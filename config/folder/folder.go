// Package folder makes and removes files in folders that others can change, too: what root
// does for the user of a service, no link that this user has put there leads elsewhere.
package folder

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// mostLinks bounds the links on the way to a folder, as the kernel does.
const mostLinks = 40

// Open opens a folder to make or remove something in it. Where we are root, a link on the
// way has to be root's, in a folder that only root can change.
func Open(path string) (*os.Root, error) {
	if os.Geteuid() != 0 {
		return os.OpenRoot(path)
	}
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	for range mostLinks {
		root, to, err := walk(path)
		if err != nil || root != nil {
			return root, err
		}
		path = to
	}
	return nil, &fs.PathError{Op: "open", Path: path, Err: syscall.ELOOP}
}

// walk opens a folder without following a link. At the first one it stops: to is the path
// with what the link says in its place.
func walk(path string) (at *os.Root, to string, err error) {
	if at, err = os.OpenRoot("/"); err != nil {
		return nil, "", err
	}
	parts := strings.Split(strings.Trim(path, "/"), "/")
	for i, name := range parts {
		if name == "" {
			continue // the root itself
		}
		here := "/" + filepath.Join(parts[:i+1]...)
		next, to, err := step(at, name, here)
		_ = at.Close() // it was only passed through
		if err != nil || next == nil {
			return nil, filepath.Join(to, filepath.Join(parts[i+1:]...)), err
		}
		at = next
	}
	return at, "", nil
}

// step opens a folder in another; path is its own. A link leads to another path.
func step(at *os.Root, name, path string) (next *os.Root, to string, err error) {
	info, err := at.Lstat(name)
	if err != nil {
		return nil, "", named(err, path)
	}
	if info.Mode().Type() == fs.ModeSymlink {
		folder, err := at.Lstat(".")
		if err != nil {
			return nil, "", named(err, path)
		}
		if !rootsAlone(folder, info) {
			return nil, "", fmt.Errorf("%s is a link that others than root can have made, and root does not follow it; put what it leads to in its place", path)
		}
		to, err := at.Readlink(name)
		if !filepath.IsAbs(to) {
			to = filepath.Join(filepath.Dir(path), to)
		}
		return nil, to, err
	}
	if next, err = at.OpenRoot(name); err != nil {
		return nil, "", named(err, path)
	}
	is, err := next.Lstat(".")
	if err == nil && !os.SameFile(info, is) {
		err = fmt.Errorf("%s changed while it was opened", path)
	}
	if err != nil {
		return nil, "", errors.Join(err, next.Close())
	}
	return next, "", nil
}

// rootsAlone reports whether nobody but root can have put a link into a folder.
func rootsAlone(folder, link fs.FileInfo) bool {
	f, ok1 := folder.Sys().(*syscall.Stat_t)
	l, ok2 := link.Sys().(*syscall.Stat_t)
	return ok1 && ok2 && f.Uid == 0 && l.Uid == 0 && folder.Mode().Perm()&0o022 == 0
}

// named is err with the whole path.
func named(err error, path string) error {
	var p *fs.PathError
	if errors.As(err, &p) {
		return &fs.PathError{Op: strings.TrimSuffix(p.Op, "at"), Path: path, Err: p.Err}
	}
	return err
}

// Make makes a folder, whatever the umask is, and gives it to uid and gid; -1 is nobody in
// particular. The one above it is there by then.
func Make(path string, mode fs.FileMode, uid, gid int) error {
	in, err := Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	defer in.Close()
	if err := in.Mkdir(filepath.Base(path), 0o700); err != nil {
		return named(err, path)
	}
	made, _, err := step(in, filepath.Base(path), path)
	switch {
	case err != nil:
		return err
	case made == nil:
		return fmt.Errorf("%s changed while it was made", path)
	}
	defer made.Close()
	f, err := made.Open(".")
	if err != nil {
		return named(err, path)
	}
	defer f.Close()
	return errors.Join(named(give(f, uid, gid), path), f.Chmod(mode), Sync(in))
}

// Private makes the folders of a path that are missing: for uid alone, and theirs.
func Private(path string, uid int) error {
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := Private(filepath.Dir(path), uid); err != nil {
		return err
	}
	return Make(path, 0o700, uid, -1)
}

// Create makes a file, down to the disk, and gives it to uid and gid; -1 is nobody in
// particular. One that is there is never overwritten: the error wraps fs.ErrExist. On any
// other error nothing is left behind.
func Create(path string, text []byte, mode fs.FileMode, uid, gid int) error {
	in, err := Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	defer in.Close()
	name := filepath.Base(path)
	f, err := in.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return named(err, path)
	}
	err = give(f, uid, gid) // first: what is whole is theirs, also after a crash
	if err == nil {
		_, err = f.Write(text)
	}
	if err = errors.Join(err, f.Chmod(mode), f.Sync(), f.Close()); err != nil {
		return errors.Join(named(err, path), in.Remove(name))
	}
	return Sync(in)
}

func give(f *os.File, uid, gid int) error {
	if uid == -1 && gid == -1 {
		return nil
	}
	return f.Chown(uid, gid)
}

// Remove removes a file, or a folder that is empty; one that is not there is no error.
func Remove(path string) error {
	in, err := Open(filepath.Dir(path))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer in.Close()
	if err := in.Remove(filepath.Base(path)); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return named(err, path)
	}
	return Sync(in)
}

// Sync makes the names in a folder last.
func Sync(in *os.Root) error {
	f, err := in.Open(".")
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
