// Package setup changes the files of a configuration for people: it adds to what
// stands, and never overwrites or reorders it.
package setup

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/postseal/postseal/config/dataset"
)

// Table is key_table or signing_table, a file that rows can be added to.
type Table struct {
	name, path string
	set        *dataset.Set
}

// OpenTable reads the table that spec, the value of the setting name, names; base
// is where relative paths start. A table that is no file is an error.
func OpenTable(name string, spec dataset.Spec, base string) (*Table, error) {
	path := spec.File(base)
	if path == "" {
		return nil, fmt.Errorf("%s is no file that a row can be added to; it is %q", name, spec)
	}
	set, err := dataset.Open(spec, dataset.Options{Base: base})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return &Table{name, path, set}, nil
}

// Path is the table's file.
func (t *Table) Path() string { return t.path }

// Patterns reports whether the keys of the table are patterns (refile:).
func (t *Table) Patterns() bool { return !t.set.Walkable() }

// First is the value of the first row for key, or that matches it.
func (t *Table) First(key string) (value string, ok bool) {
	row, ok := t.set.Get(key)
	return row.Value, ok
}

// Has reports whether the row is there.
func (t *Table) Has(key, value string) bool {
	for _, row := range t.set.Rows() {
		if row.Key == key && row.Value == value {
			return true
		}
	}
	return false
}

// Add appends a row, down to the disk, unless it is there already; the file keeps
// its owner and mode. Rows that stand before it may match first: ask First then.
func (t *Table) Add(key, value string) (err error) {
	if t.Has(key, value) {
		return nil
	}
	text, err := os.ReadFile(t.path)
	if err != nil {
		return err
	}
	line := key + " " + value + "\n"
	if len(text) > 0 && !strings.HasSuffix(string(text), "\n") {
		line = "\n" + line
	}
	f, err := os.OpenFile(t.path, os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString(line)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("%s: the row %q could not be added: %w", t.path, strings.TrimSpace(line), err)
	}
	return nil
}
