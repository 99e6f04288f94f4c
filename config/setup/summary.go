package setup

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
)

// mostNamed is how many files a line of a summary names.
const mostNamed = 6

// topic is a line of a summary, with the paths that it is about.
type topic struct {
	line  string
	paths []string
}

// topics are in the order in which they came up.
type topics []*topic

// add has a line speak of a path, too; "" is none.
func (t *topics) add(line, path string) {
	i := slices.IndexFunc(*t, func(t *topic) bool { return path != "" && t.line == line })
	if i < 0 {
		i = len(*t)
		*t = append(*t, &topic{line: line})
	}
	if path != "" {
		(*t)[i].paths = append((*t)[i].paths, path)
	}
}

// Summary says in few lines what changes are about: files of one kind share a line. For
// an undo it names the commands that take changes back.
func Summary(changes []Change, undo bool) []string {
	var all topics
	for _, c := range changes {
		switch c := c.(type) {
		case *Folder:
			all.add("folders", c.Path)
		case *PrivateKey:
			all.add("private keys", c.Path)
		case *Rows:
			all.add("rows in", c.Path)
		case *File:
			if c.New {
				all.add("files", c.Path)
			} else {
				all.add("lines in", c.Path)
			}
		case *Command:
			argv := c.Argv
			if undo {
				argv = c.Undo
			}
			if len(argv) > 0 {
				all.add(strings.Join(argv, " "), "")
			}
		default:
			all.add(c.Line(), "")
		}
	}
	var lines []string
	for _, t := range all {
		if t.paths != nil {
			t.line += " " + named(t.paths)
		}
		lines = append(lines, t.line)
	}
	return lines
}

// Leftovers says in few lines what an undo has left: each thing once, and no folder that
// stays because of what is left in it.
func Leftovers(left []Left) []string {
	var all topics
	for i, l := range left {
		if !slices.ContainsFunc(left[:i], func(was Left) bool { return was.What == l.What || strings.HasPrefix(was.What, l.What+"/") }) {
			all.add(l.Why, l.What)
		}
	}
	var lines []string
	for _, t := range all {
		lines = append(lines, named(t.paths)+": "+t.line)
	}
	return lines
}

// named lists paths; one in the folder of the one before goes without it.
func named(paths []string) string {
	var words []string
	dir := ""
	for i, path := range paths {
		if i == mostNamed {
			words = append(words, fmt.Sprintf("and %d more", len(paths)-i))
			break
		}
		name := path
		if filepath.Dir(path) == dir {
			name = filepath.Base(path)
		}
		dir = filepath.Dir(path)
		words = append(words, name)
	}
	return strings.Join(words, ", ")
}
