package config

import (
	"cmp"
	"fmt"
	"regexp"
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

// Origin is where a Config was read from in another form than TOML, so that
// Validate and Warnings speak of that form.
type Origin struct {
	// File is the configuration file.
	File string
	// Names are the settings' names in that form. One belongs to a TOML key when
	// both are equal but for letter case, "-" and "_".
	Names []string
	// Places tell where a setting stands, as FILE:LINE, by its name.
	Places map[string]string
}

// SetOrigin makes Validate and Warnings name the settings of another form.
func (c *Config) SetOrigin(o Origin) {
	c.origin = origin{file: o.File, names: make(map[string]string), places: make(map[string]string)}
	for _, name := range o.Names {
		c.origin.names[squeeze(name)] = name
	}
	for name, place := range o.Places {
		c.origin.places[squeeze(name)] = place
	}
}

// origin is the file that a Config was read from. The zero origin is none.
type origin struct {
	file  string
	lines lines
	bad   map[string]bool // keys whose value could not be used: they keep their default
	// variables of the environment that settings come from, by key.
	variables map[string]string
	// Of another form: its names and places by their squeezed names. For TOML nil.
	names, places map[string]string
}

// foreign reports whether the form is another than TOML. There, what its own
// program takes is taken, even where it leaves nothing to do.
func (o origin) foreign() bool { return o.names != nil }

// name is what the form calls a key.
func (o origin) name(key string) string {
	if name, ok := o.names[squeeze(key)]; ok {
		return name
	}
	return key
}

// keyWord is a word of a text that may be a key.
var keyWord = regexp.MustCompile(`[a-z]+(_[a-z]+)+`)

// own puts the form's names into a text in place of keys.
func (o origin) own(text string) string {
	if !o.foreign() {
		return text
	}
	return keyWord.ReplaceAllStringFunc(text, o.name)
}

// finding is a problem before its place is written out.
type finding struct {
	line  int    // 0: not known
	place string // FILE:LINE, where the form has more files than one; or a variable
	text  string
}

// finding is what is wrong with the value of a key. One from a variable is told
// with its name; else the key stands before the text.
func (o origin) finding(key, text string) finding {
	if variable, ok := o.variables[key]; ok {
		return finding{place: variable, text: text}
	}
	return finding{line: o.lines.at(key), place: o.places[squeeze(key)], text: o.name(key) + ": " + text}
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
		switch {
		case f.place != "":
			where = f.place
		case f.line > 0 && where != "":
			where = fmt.Sprintf("%s:%d", where, f.line)
		}
		list = append(list, Problem{Where: where, Text: f.text})
	}
	return list
}
