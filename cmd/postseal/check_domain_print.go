package main

import (
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
	"unicode"

	"github.com/postseal/postseal/cmd/postseal/terminal"
	"github.com/postseal/postseal/config/check"
	"github.com/postseal/postseal/milter/finding"
	"github.com/postseal/postseal/milter/spf"
	"github.com/spf13/cobra"
)

// sectionNames are the sections as the screen has them.
var sectionNames = map[string]string{
	check.SectionConfig: "Config", check.SectionDKIM: "DKIM", check.SectionSPF: "SPF", check.SectionDMARC: "DMARC",
	check.SectionDaemon: "Daemon", check.SectionPostfix: "Postfix", check.SectionHost: "Host",
}

const (
	nameColumns  = 8  // of a section's name
	levelColumns = 9  // of a state or a level
	least        = 40 // columns that text gets however narrow the screen is
)

// screen prints a report.
type screen struct {
	strings.Builder
	terminal.Palette
	form  form
	width int
	notes bool // in full
	brief int  // notes that are not
}

func (f *checkFlags) print(cmd *cobra.Command, r *check.Report) error {
	out := cmd.OutOrStdout()
	s := &screen{Palette: terminal.Colors(out), form: f.form, notes: f.notes, width: max(terminal.Width(out), nameColumns+levelColumns+least)}
	switch len(r.Domains) {
	case 0:
		s.heading("This machine", r.Machine)
	case 1:
		d := r.Domains[0]
		s.heading(d.Domain, slices.Concat(d.Sections, r.Machine))
		s.sections(d.Sections)
	default:
		s.table(r)
	}
	s.sections(r.Machine)
	if s.brief > 0 {
		s.WriteString("\n" + s.Faint("What notes cause, and what to do: --notes") + "\n")
	}
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
	s.WriteByte('\n')
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
	if section.SPF != nil && section.SPF.Lookups >= nearLimit && section.SPF.Tree != nil {
		lines := mostTree
		s.tree(section.SPF.Tree, 0, &lines)
	}
}

// finding prints what is wrong, what it causes and what mends it; of a note that it is
// there, unless notes are asked for in full.
func (s *screen) finding(f check.Finding) {
	s.line("", s.pad(s.level(f.Level, string(f.Level)), levelColumns), s.form.words(printable(f.Text)))
	if f.Level == finding.Note && !s.notes {
		s.brief++
		return
	}
	if f.Effect != "" {
		s.line("", s.pad("", levelColumns), s.form.words(printable(f.Effect)))
	}
	lines := fixLines(f.Fix)
	column := s.commandColumn(lines)
	for i, line := range lines {
		arrow := "  "
		if i == 0 {
			arrow = "→ "
		}
		switch {
		case strings.Contains(line, "\t"): // of a zone file, where an indent would mean something
			s.WriteString(escaped(line) + "\n")
		case isCommand(line):
			s.WriteString(strings.Repeat(" ", column-2) + arrow + s.Bold(s.form.words(printable(strings.TrimSpace(line)))) + "\n")
		default:
			s.line("", s.pad("", levelColumns-2)+arrow, s.form.words(printable(line)))
		}
	}
}

// commandColumn is where the lines of a fix that are to be copied begin: they are not
// broken, but begin further left where one would not fit.
func (s *screen) commandColumn(lines []string) int {
	column := nameColumns + levelColumns
	for _, line := range lines {
		if isCommand(line) && column+terminal.Columns(strings.TrimSpace(line)) > s.width {
			return 4
		}
	}
	return column
}

// endRecord finds a record at the end of a sentence: strings in quotation marks, with
// or without a name before them.
var endRecord = regexp.MustCompile(`^(.*?):? ((?:[^ ]+\. (?:IN )?TXT )?"v=(?:[^"\\]|\\.)*"(?: "(?:[^"\\]|\\.)*")*)$`)

// fixLines are the lines of a fix; a record at its end gets one of its own.
func fixLines(fix string) []string {
	lines := strings.Split(strings.TrimRight(fix, "\n"), "\n")
	last := len(lines) - 1
	if m := endRecord.FindStringSubmatch(lines[last]); m != nil && !strings.HasPrefix(lines[last], " ") && !strings.Contains(lines[last], "\t") {
		return append(lines[:last], m[1]+":", "  "+m[2])
	}
	return lines
}

// commands are programs that fixes begin with.
var commands = []string{"postconf", "postfix", "postseal", "systemctl", "chmod", "chown", "usermod", "gpasswd", "install", "setfacl", "namei"}

// isCommand tells lines of a fix that are to be copied: commands, records and rows.
func isCommand(line string) bool {
	word, _, more := strings.Cut(line, " ")
	return strings.HasPrefix(line, "  ") || more && slices.Contains(commands, word) && !strings.HasSuffix(line, ".")
}

// nearLimit is from how many look-ups on it is shown what uses them up.
const nearLimit = spf.MaxLookups - 2

// mostTree is how many lines of that are shown.
const mostTree = 30

// tree shows what look-ups are used up by, in as many lines as are left.
func (s *screen) tree(n *spf.Node, depth int, left *int) {
	for _, b := range n.Below {
		if *left--; *left < 0 {
			return
		}
		text := b.Term
		if b.Name != "" && !strings.Contains(b.Term, b.Name) {
			text += " (" + b.Name + ")"
		}
		if b.Trouble != "" {
			text += ": " + b.Trouble
		}
		s.line("", s.pad(s.Faint("tree"), levelColumns), strings.Repeat("  ", depth)+fmt.Sprintf("%d  %s", b.Lookups, printable(text)))
		s.tree(b, depth+1, left)
	}
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
