package main

import (
	"regexp"
	"strings"

	"github.com/postseal/postseal/cmd/postseal/roff"
)

// setting is a part of the example configuration: text, and the settings that
// it is about, if any.
type setting struct {
	// section is set where one begins; the rest is empty then.
	section string
	text    string
	keys    []assignment
}

// assignment is one line "key = value" of the example.
type assignment struct {
	key, value string
	// off is a line behind a "#": the value is the default.
	off bool
}

// aboutMarks is how the paragraph of the example begins that explains its marks.
const aboutMarks = "The five lines without"

// settings is the page of postseal.toml, from the comments of the example and what
// is to be said of the environment.
func (m manual) settings(example, environment string) string {
	p := roff.New(m.head("postseal.toml", 5))
	p.Section("NAME")
	p.Text("postseal.toml - configuration of the DKIM milter postseal")
	p.Section("SYNOPSIS")
	p.Line(roff.Italic(configPath))
	parts := readExample(example)
	p.Section("DESCRIPTION")
	for i, part := range parts {
		if part.section != "" {
			parts = parts[i:]
			break
		}
		p.Text(withoutMarks(part.text))
	}
	p.Section("SETTINGS")
	for _, part := range parts {
		switch {
		case part.section != "":
			p.Subsection(part.section)
		case len(part.keys) == 0:
			p.Text(part.text)
		default:
			p.Item(terms(part.keys), part.text+values(part.keys))
		}
	}
	p.Section("EXAMPLES")
	p.Text("A setup that works:\n\n" + working(parts))
	if environment != "" {
		p.Section("ENVIRONMENT")
		p.Text(environment)
	}
	p.Section("FILES")
	p.Item([]roff.Term{roff.Italic(configPath)}, "where it is looked for")
	p.Section("SEE ALSO")
	p.Line(reference("postseal", 1) + roff.Plain(", ") + reference("postseal-check-config", 1))
	return p.String()
}

// withoutMarks leaves the paragraph out that a page has no use for.
func withoutMarks(text string) string {
	var kept []string
	for paragraph := range strings.SplitSeq(text, "\n\n") {
		if !strings.HasPrefix(paragraph, aboutMarks) {
			kept = append(kept, paragraph)
		}
	}
	return strings.Join(kept, "\n\n")
}

// readExample parts the example configuration: a comment, and the settings below
// it without an empty line between.
func readExample(text string) []setting {
	assigned := regexp.MustCompile(`^(#?)(\[\[[a-z_]+\]\]|[a-z_]+)(?: = (.*))?$`)
	title := regexp.MustCompile(`^## (.*[^ -])[ -]*$`)
	var parts []setting
	var at setting
	flush := func() {
		at.text = strings.TrimSpace(at.text)
		if at.text != "" || len(at.keys) > 0 {
			parts = append(parts, at)
		}
		at = setting{}
	}
	for line := range strings.SplitSeq(text, "\n") {
		switch m := assigned.FindStringSubmatch(line); {
		case line == "":
			flush()
		case title.MatchString(line):
			flush()
			parts = append(parts, setting{section: title.FindStringSubmatch(line)[1]})
		case m != nil:
			at.keys = append(at.keys, assignment{m[2], m[3], m[1] == "#"})
		default:
			if len(at.keys) > 0 {
				flush()
			}
			at.text += strings.TrimPrefix(strings.TrimPrefix(line, "#"), " ") + "\n"
		}
	}
	flush()
	return parts
}

// table reports whether assignments are those of a [[table]].
func settingsTable(keys []assignment) bool { return strings.HasPrefix(keys[0].key, "[[") }

// terms are the names of settings.
func terms(keys []assignment) []roff.Term {
	var list []roff.Term
	for _, k := range keys {
		list = append(list, roff.Bold(k.key))
		if settingsTable(keys) {
			break
		}
	}
	return list
}

// values say what settings are set to in the example: their defaults, or what
// works.
func values(keys []assignment) string {
	var b strings.Builder
	if settingsTable(keys) {
		b.WriteString("\n\n")
		for _, k := range keys {
			b.WriteString("    " + k.line() + "\n")
		}
		return b.String()
	}
	for i, k := range keys {
		switch {
		case i > 0:
			b.WriteString(", ")
		case k.off:
			b.WriteString("\n\nDefault: ")
		default:
			b.WriteString("\n\nExample: ")
		}
		b.WriteString(k.line())
	}
	return b.String()
}

// line is the assignment as it stands in a file.
func (a assignment) line() string {
	if a.value == "" {
		return a.key
	}
	return a.key + " = " + a.value
}

// working are the lines of the example that are a whole setup.
func working(parts []setting) string {
	var b strings.Builder
	for _, part := range parts {
		for _, k := range part.keys {
			if !k.off {
				b.WriteString("    " + k.line() + "\n")
			}
		}
	}
	return b.String()
}
