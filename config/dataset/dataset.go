// Package dataset reads the tables and lists that a configuration names:
// OpenDKIM's data sets of the types file, refile and csl, with its rules for
// comments, blanks, wildcards and letter case. A set is read once and never
// changes; look-ups cost the same for one row and for a hundred thousand.
package dataset

import (
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// Options say how a set is read.
type Options struct {
	// Base is the folder where relative paths start; empty means the working
	// directory.
	Base string
	// ExactCase compares keys letter by letter. Otherwise the ASCII letters of
	// a key match in either case.
	ExactCase bool
	// Previous, if not nil, is what Open returned before: it is returned again if
	// the file has not changed, so that a large one is in memory once.
	Previous *Set
}

// Row is one entry of a set.
type Row struct {
	// Key is what is looked up; in a refile, a pattern.
	Key string
	// Value is the rest of the row; empty in plain lists.
	Value string
	// Line counts from 1: the line of the file, or the element of the list.
	Line int
}

// Set is a data set in memory. Its methods are safe for concurrent use.
type Set struct {
	kind  string
	path  string // of file and refile
	text  string // of the file
	rows  []Row
	notes []string
	index *index
}

// Open reads the set that s names. An unset Spec gives an empty list. Errors
// name the file and, where there is one, the line; a bad pattern, a file that
// is not a regular file, and a file beyond a limit are errors.
func Open(s Spec, o Options) (*Set, error) {
	if s.Items != nil {
		return openList(s.Items, o)
	}
	kind, rest, err := detect(s.Text)
	if err != nil {
		return nil, err
	}
	if kind == kindCSL {
		return openList(strings.Split(rest, ","), o)
	}
	path, err := o.path(kind, rest)
	if err != nil {
		return nil, err
	}
	text, err := readText(path, maxFile)
	if err != nil {
		return nil, err
	}
	if p := o.Previous; p != nil && p.kind == kind && p.path == path && p.text == text && p.index.fold == !o.ExactCase {
		return p, nil
	}
	return parse(kind, path, text, o)
}

// path is where a file is that a value of that kind names.
func (o Options) path(kind, name string) (string, error) {
	switch {
	case name == "":
		return "", fmt.Errorf("%s: has no path after it: %w", kind, syscall.ENOENT)
	case filepath.IsAbs(name):
		return name, nil
	}
	return filepath.Join(o.Base, name), nil
}

// Check reports what Open would say of the type and of the file, without reading
// the rows.
func Check(spec Spec, o Options) error {
	if spec.Items != nil {
		return nil
	}
	kind, rest, err := detect(spec.Text)
	if err != nil || kind == kindCSL {
		return err
	}
	path, err := o.path(kind, rest)
	if err != nil {
		return err
	}
	f, err := openFile(path)
	if err != nil {
		return err
	}
	return f.Close()
}

// openList makes a set of the elements of a list.
func openList(items []string, o Options) (*Set, error) {
	set := &Set{kind: kindCSL}
	for i, item := range items {
		row, ok, err := parseElement(item)
		if err != nil {
			return nil, fmt.Errorf("element %d of the list: %w", i+1, err)
		}
		if ok {
			row.Line = len(set.rows) + 1
			set.rows = append(set.rows, row)
		}
	}
	return set.finish(o)
}

// parse makes a set of a file's content.
func parse(kind, path, text string, o Options) (*Set, error) {
	set := &Set{kind: kind, path: path, text: text}
	if err := set.readLines(text, maxLine, maxRows); err != nil {
		return nil, err
	}
	return set.finish(o)
}

// finish builds the index.
func (s *Set) finish(o Options) (*Set, error) {
	literals := len(s.rows)
	if s.kind == kindRefile {
		literals = 0
	}
	s.index = newIndex(s.rows, literals, !o.ExactCase)
	for i, row := range s.rows {
		if s.kind != kindRefile {
			s.index.addLiteral(i)
			continue
		}
		if err := s.index.addPattern(i); err != nil {
			return nil, fmt.Errorf("%s: %w", s.Where(row), err)
		}
	}
	s.index.seal()
	return s, nil
}

// Rows returns every row in order. The caller must not change it.
func (s *Set) Rows() []Row { return s.rows }

// Get returns the first row that matches key.
func (s *Set) Get(key string) (Row, bool) {
	if i := s.Find(key); i >= 0 {
		return s.rows[i], true
	}
	return Row{}, false
}

// Find returns where in Rows the first row that matches key is, -1 if there is
// none.
func (s *Set) Find(key string) int { return s.index.first(key) }

// Repeats reports whether rows of a walkable set can have the same key. If not,
// nobody needs to look for them.
func (s *Set) Repeats() bool { return s.index.next != nil }

// All returns every row that matches key, in the order of the set.
func (s *Set) All(key string) []Row {
	var rows []Row
	for _, i := range s.index.all(key) {
		rows = append(rows, s.rows[i])
	}
	return rows
}

// Values returns the keys in order: the elements of a plain list.
func (s *Set) Values() []string {
	values := make([]string, len(s.rows))
	for i, row := range s.rows {
		values[i] = row.Key
	}
	return values
}

// Walkable reports whether the keys are names rather than patterns, so that
// the set can serve as a list.
func (s *Set) Walkable() bool { return s.kind != kindRefile }

// Kind is "file", "refile" or "csl".
func (s *Set) Kind() string { return s.kind }

// Source is the path of the file, or "csl" for a list.
func (s *Set) Source() string {
	if s.kind == kindCSL {
		return kindCSL
	}
	return s.path
}

// Where names a row's place for messages: "PATH:LINE", or "csl element N".
func (s *Set) Where(r Row) string {
	if s.kind == kindCSL {
		return kindCSL + " element " + strconv.Itoa(r.Line)
	}
	return s.path + ":" + strconv.Itoa(r.Line)
}

// Notes are remarks on lines that have no effect, each with its place.
func (s *Set) Notes() []string { return s.notes }
