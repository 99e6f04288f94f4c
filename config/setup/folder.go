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

	"github.com/postseal/postseal/config/folder"
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
func (f *Folder) Kind() string    { return "folder" }

func (f *Folder) do(_ context.Context, _ System, log func(Change) error) error {
	if err := log(f); err != nil {
		return err
	}
	uid, gid, err := f.Owner.numbers()
	if err != nil {
		return err
	}
	return folder.Make(f.Path, f.Mode, uid, gid)
}

// revert removes the folder if nothing is in it but sockets that nobody serves any
// more: systemd leaves those behind. A link in its place is not ours.
func (f *Folder) revert(context.Context, System) (Left, error) {
	info, err := os.Lstat(f.Path)
	if errors.Is(err, fs.ErrNotExist) || err == nil && !info.IsDir() {
		return Left{}, nil
	}
	entries, err := os.ReadDir(f.Path)
	if err != nil {
		return Left{}, err
	}
	for _, e := range entries {
		if path := filepath.Join(f.Path, e.Name()); e.Type() == fs.ModeSocket && abandoned(path) {
			if err := folder.Remove(path); err != nil {
				return Left{}, err
			}
		}
	}
	if err := folder.Remove(f.Path); errors.Is(err, syscall.ENOTEMPTY) || errors.Is(err, fs.ErrExist) {
		return Left{f.Path, "other things are in it"}, nil
	} else if err != nil {
		return Left{}, err
	}
	return Left{}, nil
}

// abandoned reports whether nobody listens on a unix socket.
func abandoned(path string) bool {
	c, err := net.Dial("unix", path)
	if err == nil {
		_ = c.Close()
	}
	return errors.Is(err, syscall.ECONNREFUSED)
}
