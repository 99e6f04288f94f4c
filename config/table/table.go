// Package table changes key_table and signing_table, the files, for people: rows are
// added behind those that stand, taken out, or name another key; nothing else changes.
// Whoever changes a table has it alone meanwhile.
package table

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/postseal/postseal/config/dataset"
	"github.com/postseal/postseal/config/folder"
)

// File is key_table or signing_table, a file that rows can be added to.
type File struct {
	path string
	file *os.File
	set  *dataset.Set
}

// Open opens the table that spec, the value of the setting name, names; base
// is where relative paths start. A table that is no file, or that nothing can be
// added to, is an error. Until it is closed, others wait who open the
// same file or lock it, also in other processes.
func Open(name string, spec dataset.Spec, base string) (t *File, err error) {
	path := spec.File(base)
	if path == "" {
		return nil, fmt.Errorf("%s is no file that a row can be added to; it is %q", name, spec)
	}
	t = &File{path: path}
	if t.file, err = Lock(path); err == nil {
		t.set, err = dataset.Open(spec, dataset.Options{Base: base})
	}
	if err != nil {
		t.Close()
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return t, nil
}

// Lock opens a table to be read and added to, and waits until nobody else has it. One that was replaced while we
// waited for it is not the table any more.
func Lock(path string) (*os.File, error) {
	for {
		f, err := os.OpenFile(path, os.O_RDWR|os.O_APPEND, 0)
		if err != nil {
			return nil, err
		}
		current, err := folder.Lock(f, path, true)
		if current {
			return f, nil
		}
		_ = f.Close() // nothing was written
		if err != nil {
			return nil, err
		}
	}
}

// Close ends the wait of others. A nil File has nothing to close.
func (t *File) Close() {
	if t != nil {
		_ = t.file.Close() // each row is on the disk
	}
}

// Path is the table's file.
func (t *File) Path() string { return t.path }

// Patterns reports whether the keys of the table are patterns (refile:).
func (t *File) Patterns() bool { return !t.set.Walkable() }

// First is the value of the first row for key, or that matches it, as the table was
// opened.
func (t *File) First(key string) (value string, ok bool) {
	row, ok := t.set.Get(key)
	return row.Value, ok
}

// Add appends a row, down to the disk, unless it was there when the table was opened;
// the file keeps its owner and mode. Rows that stand before it may match first: ask
// First. On an error the table is as it was.
func (t *File) Add(key, value string) error {
	if slices.ContainsFunc(t.set.Rows(), func(r dataset.Row) bool { return r.Key == key && r.Value == value }) {
		return nil
	}
	row := key + " " + value
	end, err := t.file.Seek(0, io.SeekEnd)
	if err == nil {
		last := make([]byte, min(end, 1))
		if _, err = t.file.ReadAt(last, end-int64(len(last))); err == nil {
			err = Append(t.file, end, Addition(string(last), []string{row}))
		}
	}
	if err != nil {
		return fmt.Errorf("the row %q could not be added: %w", row, err)
	}
	return nil
}

// Addition is what is written behind before, the end of a file at least, to add lines.
func Addition(before string, lines []string) string {
	text := strings.Join(lines, "\n") + "\n"
	if before != "" && !strings.HasSuffix(before, "\n") {
		text = "\n" + text
	}
	return text
}

// Append writes text behind the end of a file, down to the disk, all of it or nothing.
func Append(f *os.File, end int64, text string) error {
	_, err := f.WriteString(text)
	if err = errors.Join(err, f.Sync()); err != nil {
		err = errors.Join(err, f.Truncate(end))
	}
	return err
}
