package setup

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
)

// mostNamed is how many files a line of a summary names.
const mostNamed = 6

// topic is a line of a summary, with the files that it is about.
type topic struct {
	line  string
	paths []string
}

// Summary says in few lines what changes do: files of one kind share a line.
func Summary(changes []Change) []string {
	var topics []*topic
	for _, c := range changes {
		line, path := "", ""
		switch c := c.(type) {
		case *Folder:
			line, path = "folders made", c.Path
		case *PrivateKey:
			line, path = "private keys made", c.Path
		case *Rows:
			line, path = "rows added", c.Path
		case *File:
			if line, path = "lines added", c.Path; c.New {
				line = "files made"
			}
		default:
			if line := c.Line(); line != "" {
				topics = append(topics, &topic{line: line})
			}
			continue
		}
		i := slices.IndexFunc(topics, func(t *topic) bool { return t.line == line })
		if i < 0 {
			i, topics = len(topics), append(topics, &topic{line: line})
		}
		topics[i].paths = append(topics[i].paths, path)
	}
	var lines []string
	for _, t := range topics {
		if t.paths != nil {
			t.line += ": " + named(t.paths)
		}
		lines = append(lines, t.line)
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
