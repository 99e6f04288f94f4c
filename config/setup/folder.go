package setup

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"syscall"
)

// Folder is a folder to be made; the one above it is there by then.
type Folder struct {
	Path  string      `json:"path"`
	Mode  fs.FileMode `json:"mode"`
	Owner Owner       `json:"owner"`
}

func (f *Folder) Line() string {
	return fmt.Sprintf("folder %s, mode %04o%s", f.Path, f.Mode, ownedBy(f.Owner))
}

// ownedBy is what a line says of an owner.
func ownedBy(o Owner) string {
	if o == (Owner{}) {
		return ""
	}
	return ", of " + o.String()
}

func (f *Folder) Diff() string    { return "" }
func (f *Folder) NeedsRoot() bool { return f.Owner != Owner{} }
func (f *Folder) kind() string    { return "folder" }

func (f *Folder) do(_ context.Context, _ System, log func(Change) error) error {
	if err := log(f); err != nil {
		return err
	}
	if err := os.Mkdir(f.Path, 0o700); err != nil {
		return err
	}
	// Whatever the umask is.
	return errors.Join(f.Owner.Give(f.Path), os.Chmod(f.Path, f.Mode), syncFolder(filepath.Dir(f.Path)))
}

// revert removes the folder if nothing is in it but sockets that nobody serves any
// more: systemd leaves those behind.
func (f *Folder) revert(context.Context, System) (Left, error) {
	entries, err := os.ReadDir(f.Path)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	for _, e := range entries {
		if path := filepath.Join(f.Path, e.Name()); e.Type() == fs.ModeSocket && abandoned(path) {
			err = errors.Join(err, os.Remove(path))
		}
	}
	if err != nil {
		return "", err
	}
	switch err := os.Remove(f.Path); {
	case errors.Is(err, syscall.ENOTEMPTY), errors.Is(err, fs.ErrExist):
		return Left(fmt.Sprintf("the folder %s stays: other things are in it", f.Path)), nil
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return "", err
	}
	return "", syncFolder(filepath.Dir(f.Path))
}

// abandoned reports whether nobody listens on a unix socket.
func abandoned(path string) bool {
	c, err := net.Dial("unix", path)
	if err == nil {
		_ = c.Close()
	}
	return errors.Is(err, syscall.ECONNREFUSED)
}

// syncFolder makes the names in a folder last.
func syncFolder(path string) error {
	dir, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}
