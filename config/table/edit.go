package table

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/postseal/postseal/config/dataset"
)

// Replace writes for each row of a signing_table whose key has a name in names the
// new one in its place, and changes nothing else: not the order, the blanks, the
// comments, nor what follows the name. rows is how many there were; without any the
// file is not touched. The file is replaced whole, with its owner and mode: who reads
// it sees all rows as they were, or all as they are to be.
func (t *File) Replace(names map[string]string) (rows int, err error) {
	return t.edit(func(row dataset.Row, line string) (string, bool, error) {
		old, _, _ := strings.Cut(row.Value, ":")
		old = strings.TrimSpace(old)
		name, ok := names[old]
		if !ok || old == "" {
			return line, false, nil
		}
		// Nothing but blanks stands before the key, and between key and value.
		start := strings.Index(line, row.Key) + len(row.Key)
		at := strings.Index(line[start:], old)
		if at < 0 {
			return "", false, fmt.Errorf("line %d: the name %q cannot be found in it; write it without unusual blanks", row.Line, old)
		}
		return line[:start+at] + name + line[start+at+len(old):], true, nil
	})
}

// Remove takes the rows of key out, and nothing else; as Replace.
func (t *File) Remove(key string) (rows int, err error) {
	return t.edit(func(row dataset.Row, line string) (string, bool, error) {
		if row.Key == key {
			return "", true, nil
		}
		return line, false, nil
	})
}

// edit puts what change makes of the line of each row in its place.
func (t *File) edit(change func(row dataset.Row, line string) (string, bool, error)) (rows int, err error) {
	if _, err = t.file.Seek(0, io.SeekStart); err != nil {
		return 0, err
	}
	text, err := io.ReadAll(t.file)
	if err != nil {
		return 0, err
	}
	lines := slices.Collect(strings.Lines(string(text)))
	for _, row := range t.set.Rows() {
		if row.Line > len(lines) {
			return 0, fmt.Errorf("%s changes while it is read; try again", t.path)
		}
		line, changed, err := change(row, lines[row.Line-1])
		if err != nil {
			return 0, fmt.Errorf("%s: %w", t.path, err)
		}
		if changed {
			lines[row.Line-1] = line
			rows++
		}
	}
	if rows == 0 {
		return 0, nil
	}
	if err := t.replace(strings.Join(lines, "")); err != nil {
		return 0, fmt.Errorf("%s was left as it is: %w", t.path, err)
	}
	return rows, nil
}

// replace puts a new file in the table's place, down to the disk; a link to it stays.
// The lock is on the new one before others can find it.
func (t *File) replace(text string) (err error) {
	path, err := filepath.EvalSymlinks(t.path)
	if err != nil {
		return err
	}
	info, err := t.file.Stat()
	if err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(f.Name()), f.Close())
		}
	}()
	_, err = f.WriteString(text)
	err = errors.Join(err, f.Chmod(info.Mode().Perm()))
	if owner, ok := info.Sys().(*syscall.Stat_t); ok {
		err = errors.Join(err, f.Chown(int(owner.Uid), int(owner.Gid))) // last: then it is not ours
	}
	err = errors.Join(err, f.Sync(), syscall.Flock(int(f.Fd()), syscall.LOCK_EX))
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return err
	}
	_ = t.file.Close() // nothing was added to it
	t.file = f
	if dir, openErr := os.Open(filepath.Dir(path)); openErr == nil {
		_ = dir.Sync() // the new name lasts a moment later otherwise
		_ = dir.Close()
	}
	return nil
}
