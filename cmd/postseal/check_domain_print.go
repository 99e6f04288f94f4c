package main

import (
	"fmt"
	"io"
	"strings"
	"unicode"

	"github.com/postseal/postseal/cmd/postseal/terminal"
	"github.com/postseal/postseal/config/check"
	"github.com/postseal/postseal/milter/finding"
	"github.com/spf13/cobra"
)

// sectionNames are the sections as the screen has them.
var sectionNames = map[string]string{
	check.SectionConfig: "Config", check.SectionDKIM: "DKIM", check.SectionSPF: "SPF", check.SectionDMARC: "DMARC",
	check.SectionDaemon: "Daemon", check.SectionPostfix: "Postfix", check.SectionHost: "Host",
}

const (
	nameColumns  = 9  // of a section's name
	levelColumns = 9  // of a state or a level
	least        = 40 // columns that text gets however narrow the screen is
)

// screen prints a report.
type screen struct {
	strings.Builder
	terminal.Palette
	form  form
	width int
}

func (f *checkFlags) print(cmd *cobra.Command, r *check.Report) error {
	out := cmd.OutOrStdout()
	s := &screen{Palette: terminal.Colors(out), form: f.form, width: max(terminal.Width(out), nameColumns+levelColumns+least)}
	if len(r.Domains) == 1 {
		d := r.Domains[0]
		s.heading(d.Domain, append(append([]*check.Section{}, d.Sections...), r.Machine...))
		s.sections(d.Sections)
	} else {
		s.table(r)
	}
	s.sections(r.Machine)
	_, err := io.WriteString(out, s.String())
	return err
}

// heading says how a thing stands as a whole.
func (s *screen) heading(name string, list []*check.Section) {
	counts := map[finding.Level]int{}
	for _, section := range list {
		for _, f := range section.Findings {
			counts[f.Level]++
		}
	}
	var words []string
	for _, l := range []struct {
		level     finding.Level
		one, many string
	}{{finding.Problem, "problem", "problems"}, {check.LevelUnknown, "thing unknown", "things unknown"}, {finding.Warning, "warning", "warnings"}} {
		switch n := counts[l.level]; n {
		case 0:
		case 1:
			words = append(words, s.level(l.level, "1 "+l.one))
		default:
			words = append(words, s.level(l.level, fmt.Sprintf("%d %s", n, l.many)))
		}
	}
	if len(words) == 0 {
		words = []string{s.Good("all in order")}
	}
	fmt.Fprintf(s, "%s: %s\n\n", s.Bold(printable(name)), strings.Join(words, ", "))
}

// table prints a line for each of several domains, and then what is wrong with them.
func (s *screen) table(r *check.Report) {
	longest := 0
	for _, d := range r.Domains {
		longest = max(longest, terminal.Columns(d.Domain))
	}
	for i, d := range r.Domains {
		if i == 0 {
			line := s.pad("", longest+2)
			for _, section := range d.Sections {
				line += s.pad(sectionNames[section.Name], levelColumns)
			}
			s.WriteString(strings.TrimRight(line, " ") + "\n")
		}
		line := s.pad(s.Bold(d.Domain), longest+2)
		for _, section := range d.Sections {
			line += s.state(section.State)
		}
		s.WriteString(strings.TrimRight(line, " ") + "\n")
	}
	if r.LeftOut > 0 {
		fmt.Fprintf(s, "and %d more: name those to look at\n", r.LeftOut)
	}
	for _, d := range r.Domains {
		if d.State == check.OK || d.State == check.Skipped {
			continue
		}
		s.WriteByte('\n')
		s.heading(d.Domain, d.Sections)
		for _, section := range d.Sections {
			if section.State != check.OK && section.State != check.Skipped {
				s.section(section)
			}
		}
	}
	if len(r.Domains) > 0 {
		s.WriteByte('\n')
	}
}

func (s *screen) sections(list []*check.Section) {
	for _, section := range list {
		s.section(section)
	}
}

// section prints a line for a section, and its findings below.
func (s *screen) section(section *check.Section) {
	s.line(s.Bold(sectionNames[section.Name]), s.state(section.State), s.form.words(printable(section.Summary)))
	subject := ""
	for _, f := range section.Findings {
		if f.Subject != "" && f.Subject != subject && !strings.Contains(f.Text, f.Subject) {
			s.line("", s.pad("", levelColumns), printable(f.Subject))
		}
		subject = f.Subject
		s.finding(f)
	}
}

// finding prints what is wrong, what it causes and what mends it.
func (s *screen) finding(f check.Finding) {
	blank := s.pad("", levelColumns)
	s.line("", s.pad(s.level(f.Level, string(f.Level)), levelColumns), s.form.words(printable(f.Text)))
	if f.Effect != "" {
		s.line("", blank, s.form.words(printable(f.Effect)))
	}
	for i, line := range strings.Split(strings.TrimRight(f.Fix, "\n"), "\n") {
		switch {
		case strings.Contains(line, "\t"): // of a zone file, where an indent would mean something
			s.WriteString(escaped(line) + "\n")
		case strings.HasPrefix(line, "  "):
			s.command(printable(line[2:]))
		case i == 0:
			s.line("", s.pad("", levelColumns-2)+"→ ", s.form.words(printable(line)))
		default:
			s.line("", blank, s.form.words(printable(line)))
		}
	}
}

// command prints a line that is to be copied: it is not broken, but begins further
// left where it would not fit.
func (s *screen) command(line string) {
	indent := nameColumns + levelColumns + 2
	indent = min(indent, max(2, s.width-terminal.Columns(line)))
	s.WriteString(strings.Repeat(" ", indent) + s.Bold(line) + "\n")
}

// escaped is printable for a line that keeps its tabs.
func escaped(line string) string {
	parts := strings.Split(line, "\t")
	for i := range parts {
		parts[i] = printable(parts[i])
	}
	return strings.Join(parts, "\t")
}

// line prints a name, a level of its full width, and text that is broken to fit.
func (s *screen) line(name, level, text string) {
	indent := strings.Repeat(" ", nameColumns+levelColumns)
	head := s.pad(name, nameColumns) + level
	body := terminal.Wrap(text, s.width-len(indent), "")
	for i, line := range strings.Split(body, "\n") {
		if i > 0 {
			head = indent
		}
		s.WriteString(strings.TrimRightFunc(head+line, unicode.IsSpace) + "\n")
	}
}

// pad fills text up to so many columns.
func (s *screen) pad(text string, columns int) string {
	return text + strings.Repeat(" ", max(0, columns-terminal.Columns(text)))
}

// state is the word for a state, of its full width.
func (s *screen) state(state check.State) string {
	text := string(state)
	switch state {
	case check.OK:
		text = s.Good(text)
	case check.Warning, check.Unknown:
		text = s.Warn(text)
	case check.Problem:
		text = s.Bad(strings.ToUpper(text))
	}
	return s.pad(text, levelColumns)
}

// level paints text as a level.
func (s *screen) level(l finding.Level, text string) string {
	switch l {
	case finding.Problem:
		return s.Bad(text)
	case finding.Warning, check.LevelUnknown:
		return s.Warn(text)
	}
	return s.Faint(text)
}
