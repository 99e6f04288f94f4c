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

	"github.com/postseal/postseal/config/folder"
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
func (f *File) Kind() string    { return "file" }

func (f *File) do(_ context.Context, _ System, log func(Change) error) error {
	if f.New {
		if err := log(f); err != nil {
			return err
		}
		uid, gid, err := f.Owner.numbers()
		if err != nil {
			return err
		}
		return folder.Create(f.Path, f.After, f.Mode, uid, gid)
	}
	return exchange(f.Path, f.Before, f.After, func() error { return log(f) })
}

// changed is why an undo leaves a file.
const changed = "it was changed since"

// errChanged says that somebody else works on the same file.
var errChanged = errors.New("it was changed meanwhile; run this again")

// revert removes the file, or gives it its old text. Where others have changed it, a
// new one stays and from another our lines are taken out.
func (f *File) revert(context.Context, System) (Left, error) {
	now, err := os.ReadFile(f.Path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return Left{}, nil
	case err != nil:
		return Left{}, err
	case f.New && bytes.HasPrefix(f.After, now): // or the beginning that a crash left
		return Left{}, folder.Remove(f.Path)
	case f.New:
		return Left{f.Path, changed}, nil
	case bytes.Equal(now, f.Before):
		return Left{}, folder.Remove(f.Path + unfinished)
	case bytes.Equal(now, f.After):
		return Left{}, replace(f.Path, f.Before)
	default:
		rest, n := without(now, f.Added)
		if n == 0 {
			return Left{}, nil
		}
		return Left{f.Path, changed + "; only what setup added was taken out"}, replace(f.Path, rest)
	}
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
	if err := folder.Remove(next); err != nil {
		return err
	}
	in, err := folder.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	defer in.Close()
	f, err := in.OpenFile(filepath.Base(next), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
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
		err = in.Rename(filepath.Base(next), filepath.Base(path))
	}
	if err != nil {
		return errors.Join(err, in.Remove(filepath.Base(next)))
	}
	return folder.Sync(in)
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
