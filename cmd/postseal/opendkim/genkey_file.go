package opendkim

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// stage prepares the new content of the file at path: write makes it under
// another name. commit(true) puts it in its place in one step, commit(false)
// leaves everything as it was. A file that is there keeps its owner and mode, and
// stays where a symbolic link leads, as if it had been written to. One that is
// mounted there by itself, as containers have them, is written to indeed.
func stage(path string, write func(path string) error) (commit func(bool) error, err error) {
	if real, err := filepath.EvalSymlinks(path); err == nil {
		path = real
	}
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		info = nil
	case err != nil:
		return nil, err
	case !info.Mode().IsRegular():
		return nil, &fs.PathError{Op: "write", Path: path, Err: errors.New("not a regular file")}
	}
	// Nobody else can look into the folder, so the name in it is ours.
	dir, err := os.MkdirTemp(filepath.Dir(path), ".opendkim-")
	if err != nil {
		return nil, err
	}
	temp := filepath.Join(dir, "new")
	if err = write(temp); err == nil && info != nil {
		err = likeBefore(temp, info)
	}
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	return func(use bool) error {
		var err error
		if use {
			err = os.Rename(temp, path)
			if info != nil && errors.Is(err, syscall.EBUSY) {
				err = overwrite(path, temp)
			}
		}
		return errors.Join(err, os.RemoveAll(dir))
	}, nil
}

// overwrite writes the content of another file into the one at path.
func overwrite(path, from string) error {
	content, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	defer clear(content)
	return os.WriteFile(path, content, 0o600)
}

// likeBefore gives a file the owner and mode of the one that it replaces.
func likeBefore(path string, before fs.FileInfo) error {
	if st, ok := before.Sys().(*syscall.Stat_t); ok {
		now, err := os.Stat(path)
		if err != nil {
			return err
		}
		if mine, ok := now.Sys().(*syscall.Stat_t); ok && (mine.Uid != st.Uid || mine.Gid != st.Gid) {
			if err := os.Chown(path, int(st.Uid), int(st.Gid)); err != nil {
				return err
			}
		}
	}
	return os.Chmod(path, before.Mode().Perm())
}
