package config

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Problem is one thing that is wrong with a configuration.
type Problem struct {
	// Where is the file and, where one is known, the line: "postseal.toml:12".
	// It is empty for a configuration that was read from no file.
	Where string
	// Text says what is wrong and what to do.
	Text string
}

func (p Problem) String() string {
	if p.Where == "" {
		return p.Text
	}
	return p.Where + ": " + p.Text
}

// Problems is an error that lists everything that is wrong, one a line, in the
// order of the file. An empty list is no error: see Err.
type Problems []Problem

func (p Problems) Error() string {
	lines := make([]string, len(p))
	for i, problem := range p {
		lines[i] = problem.String()
	}
	return strings.Join(lines, "\n")
}

// Err is nil for an empty list and p otherwise.
func (p Problems) Err() error {
	if len(p) == 0 {
		return nil
	}
	return p
}

// origin is the file that a Config was read from. The zero origin is none.
type origin struct {
	file  string
	lines lines
	bad   map[string]bool // keys whose value could not be used: they keep their default
}

// finding is a problem before its place is written out.
type finding struct {
	line int // 0: not known
	text string
}

// problems sorts what was found by line; what has no line comes last.
func (o origin) problems(found []finding) Problems {
	slices.SortStableFunc(found, func(a, b finding) int {
		if (a.line == 0) != (b.line == 0) {
			return cmp.Compare(b.line, a.line)
		}
		return cmp.Compare(a.line, b.line)
	})
	var list Problems
	for _, f := range found {
		where := o.file
		if f.line > 0 && where != "" {
			where = fmt.Sprintf("%s:%d", where, f.line)
		}
		list = append(list, Problem{Where: where, Text: f.text})
	}
	return list
}
