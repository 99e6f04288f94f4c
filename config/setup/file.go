package setup

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/rogpeppe/go-internal/diff"
)

// File is a file to be made, or one whose text is to be another.
type File struct {
	Path string `json:"path"`
	// New: it is not there yet; Mode and Owner are for it. A file that is there keeps
	// its own.
	New   bool        `json:"new,omitempty"`
	Mode  fs.FileMode `json:"mode,omitempty"`
	Owner Owner       `json:"owner"`
	// Before and After are its whole text, whatever its encoding.
	Before []byte `json:"before,omitempty"`
	After  []byte `json:"after"`
	// Added are the lines that After has and Before has not: what is taken out where
	// others have changed the file since.
	Added []string `json:"added,omitempty"`
}

func (f *File) Line() string {
	if f.New {
		return fmt.Sprintf("file %s, mode %04o%s", f.Path, f.Mode, ownedBy(f.Owner))
	}
	return "lines in " + f.Path
}

func (f *File) Diff() string {
	before := f.Path
	if f.New {
		before = os.DevNull
	}
	return unified(before, f.Before, f.Path, f.After)
}

// unified is the unified diff of two texts.
func unified(oldName string, old []byte, newName string, text []byte) string {
	d := string(diff.Diff(oldName, old, newName, text))
	_, d, _ = strings.Cut(d, "\n") // its own first line, "diff OLD NEW"
	return d
}

func (f *File) NeedsRoot() bool { return f.New && f.Owner != Owner{} }
func (f *File) kind() string    { return "file" }

func (f *File) do(_ context.Context, _ System, log func(Change) error) error {
	if f.New {
		if err := log(f); err != nil {
			return err
		}
		return create(f.Path, f.After, f.Mode, f.Owner)
	}
	return exchange(f.Path, f.Before, f.After, func() error { return log(f) })
}

// errChanged says that somebody else works on the same file.
var errChanged = errors.New("it was changed meanwhile; run this again")

// revert removes the file, or gives it its old text. Where others have changed it, a
// new one stays and from another our lines are taken out.
func (f *File) revert(context.Context, System) (Left, error) {
	now, err := os.ReadFile(f.Path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "", nil
	case err != nil:
		return "", err
	case f.New && bytes.HasPrefix(f.After, now): // or the beginning that a crash left
		return "", remove(f.Path)
	case f.New:
		return Left(fmt.Sprintf("%s stays: it was changed since", f.Path)), nil
	case bytes.Equal(now, f.Before):
		return "", remove(f.Path + unfinished)
	case bytes.Equal(now, f.After):
		return "", replace(f.Path, f.Before)
	default:
		rest, n := without(now, f.Added)
		if n == 0 {
			return "", nil
		}
		return Left(fmt.Sprintf("%s was changed since: only what this added was taken out", f.Path)), replace(f.Path, rest)
	}
}

// create makes a new file, down to the disk; one that is there is an error.
func create(path string, text []byte, mode fs.FileMode, owner Owner) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	if err = errors.Join(err, owner.Give(path), f.Chmod(mode), f.Sync(), f.Close()); err != nil {
		return errors.Join(err, os.Remove(path))
	}
	return syncFolder(filepath.Dir(path))
}

// exchange gives a file another text if it has the one that is expected; log comes
// right before.
func exchange(path string, before, after []byte, log func() error) error {
	now, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if !bytes.Equal(now, before) {
		return fmt.Errorf("%s: %w", path, errChanged)
	}
	if err := log(); err != nil {
		return err
	}
	return replace(path, after)
}

// unfinished is added to the name of a file while its next text is written.
const unfinished = ".postseal-setup"

// replace gives a file another text in one step, down to the disk. It keeps its owner
// and mode; a link to it goes on being one.
func replace(path string, text []byte) error {
	path, err := filepath.EvalSymlinks(path)
	if err != nil {
		return err
	}
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	next := path + unfinished
	if err := remove(next); err != nil {
		return err
	}
	f, err := os.OpenFile(next, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	if st, ok := info.Sys().(*syscall.Stat_t); ok && err == nil {
		if err = f.Chown(int(st.Uid), int(st.Gid)); os.Geteuid() != 0 {
			err = nil // of a group that we are not in: who changes it owns it now
		}
	}
	err = errors.Join(err, f.Chmod(info.Mode()), f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(next, path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(next))
	}
	return syncFolder(filepath.Dir(path))
}

// remove removes a file that may be there.
func remove(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// without is text without lines, of each the last that there is, and how many it
// has found.
func without(text []byte, drop []string) (rest []byte, n int) {
	left := make(map[string]int, len(drop))
	for _, l := range drop {
		left[l]++
	}
	all := slices.Collect(bytes.Lines(text))
	for i := len(all) - 1; i >= 0; i-- {
		if l := string(bytes.TrimRight(all[i], "\r\n")); left[l] > 0 {
			left[l]--
			n++
			all[i] = nil
		}
	}
	return bytes.Join(all, nil), n
}
