package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/postseal/postseal/cmd/postseal/terminal"
	"github.com/postseal/postseal/config/setup"
	"github.com/postseal/postseal/milter/finding"
)

// setupShown is what setup prints with --json.
type setupShown struct {
	DryRun  bool           `json:"dry_run,omitempty"`
	Changes []setupChange  `json:"changes"`
	Left    []string       `json:"left,omitempty"`
	Domains []*setupDomain `json:"domains"`
	// Waiting are keys that --wait did not see in time.
	Waiting []setupWaiting `json:"waiting,omitempty"`
	Advice  []string       `json:"advice,omitempty"`
}

type setupWaiting struct {
	Key    string `json:"key"`
	Reason string `json:"reason"`
}

type setupChange struct {
	Kind string `json:"kind"`
	Text string `json:"text"`
	Diff string `json:"diff,omitempty"`
}

type setupDomain struct {
	Domain  string         `json:"domain"`
	Keys    []setupKey     `json:"keys"`
	Records []*setupRecord `json:"records"`
	Advice  []string       `json:"advice,omitempty"`
}

type setupKey struct {
	Name     string `json:"name"`
	Selector string `json:"selector"`
	File     string `json:"file,omitempty"`
	New      bool   `json:"new"`
	Record   string `json:"record,omitempty"`
	Error    string `json:"error,omitempty"`
}

// mostShown is how many domains' records are printed for people.
const mostShown = 10

// finish finds the records, hands them over, prints everything, and waits.
func (s *setUp) finish() error {
	for _, c := range s.plan.Changes {
		s.shown.add(c)
	}
	for _, step := range []func() error{s.findRecords, s.handOver, s.writeOut} {
		if err := step(); err != nil {
			return err
		}
	}
	if !s.json {
		if err := s.print(); err != nil {
			return err
		}
	}
	if s.wait && !s.dryRun {
		if err := s.waitAndSign(); err != nil {
			return err
		}
	}
	if s.json {
		if err := printJSON(s.cmd, s.shown); err != nil {
			return err
		}
	}
	if s.failed {
		return exitError{code: exitFailed}
	}
	return nil
}

// print prints what was done, and what is to be.
func (s *setUp) print() error {
	out := s.cmd.OutOrStdout()
	p := terminal.Colors(out)
	var err error
	switch {
	case s.plan.Empty() && s.unwire:
		fmt.Fprintln(out, "postseal is in none of Postfix's lists of milters. Nothing was changed.")
	case s.plan.Empty():
		fmt.Fprintln(out, "All of this is set up already. Nothing was changed.")
	case s.dryRun:
		fmt.Fprintln(out, "This would change; nothing was changed:")
		err = s.plan.Print(printableLines{out})
		fmt.Fprintf(out, "\n%s\n", p.Bold("In short:"))
		printSummary(out, p.Warn("planned"), setup.Summary(s.plan.Changes, false))
	default:
		printChanges(out, s.plan.Changes)
	}
	s.printDomains(out)
	s.printNext(out)
	return err
}

// add notes a change for JSON.
func (s *setupShown) add(c setup.Change) {
	if c.Line() != "" {
		s.Changes = append(s.Changes, setupChange{Kind: c.Kind(), Text: c.Line(), Diff: c.Diff()})
	}
}

// findRecords fills in what the domains should publish.
func (s *setUp) findRecords() error {
	if s.records == nil || len(s.domains) == 0 {
		return nil
	}
	if len(s.setupFlags.addresses) == 0 {
		s.addresses, _ = ownAddresses()
	}
	if s.many() {
		s.shown.Domains = s.findMany(s.findDomain)
		return nil
	}
	ctx, cancel := s.withTimeout()
	defer cancel()
	for _, d := range s.domains {
		s.shown.Domains = append(s.shown.Domains, s.findDomain(ctx, s.records, d))
	}
	return nil
}

// findDomain is what is to be said of one domain.
func (s *setUp) findDomain(ctx context.Context, book *recordBook, d *setup.Domain) *setupDomain {
	shown := &setupDomain{Domain: d.Name, Records: book.of(ctx, d)}
	for _, k := range d.Keys {
		key := setupKey{Name: k.Name, Selector: k.Selector, File: k.Path, New: k.New(), Record: k.Record()}
		if k.Err != nil {
			key.Error = k.Err.Error()
		}
		shown.Keys = append(shown.Keys, key)
	}
	for _, a := range d.Advice {
		shown.Advice = append(shown.Advice, s.form().words(a))
	}
	return shown
}

// printChanges says what was done.
func printChanges(out io.Writer, changes []setup.Change) {
	printSummary(out, terminal.Colors(out).Good("done"), setup.Summary(changes, false))
}

// printSummary prints lines behind a word each.
func printSummary(out io.Writer, word string, lines []string) {
	for _, line := range lines {
		fmt.Fprintf(out, "%s %s\n", word, printable(line))
	}
}

// printDomains prints what is to be published.
func (s *setUp) printDomains(out io.Writer) {
	p := terminal.Colors(out)
	for i, d := range s.shown.Domains {
		if i == mostShown {
			fmt.Fprintf(out, "\nThe records of %d more domains: postseal setup DOMAIN prints them again, --json prints all.\n", len(s.shown.Domains)-i)
			break
		}
		for _, k := range d.Keys {
			if k.Error != "" {
				fmt.Fprintf(out, "\n%s the key %s cannot be read: %s\n", p.Bad("problem"), printable(k.Name), printable(k.Error))
			}
		}
		s.printRecords(out, d)
		for _, a := range d.Advice {
			fmt.Fprintf(out, "\n%s %s\n", p.Warn("note"), printable(a))
		}
	}
}

// printRecords prints the records of a domain that DNS does not show.
func (s *setUp) printRecords(out io.Writer, d *setupDomain) {
	p := terminal.Colors(out)
	due := d.due()
	defer printNotes(out, d.Records)
	if len(due) == 0 {
		fmt.Fprintf(out, "\nDNS has all records of %s.\n", d.Domain)
		return
	}
	fmt.Fprintf(out, "\n%s\n\n", p.Bold("Publish in DNS for "+d.Domain+", in a zone file:"))
	for _, r := range due {
		fmt.Fprint(out, r.lines())
	}
	fmt.Fprintf(out, "\n%s\n", p.Bold("or in a web form (type TXT; host name, and value on one line):"))
	for _, r := range due {
		if r.Value != "" {
			fmt.Fprintf(out, "\n%s\n%s\n", r.Host, printable(r.Value))
		}
	}
	if s.records.down != nil {
		fmt.Fprintf(out, "\n%s DNS could not be asked which of them are there: %s\n", p.Warn("note"), printable(s.records.down.Error()))
	}
}

// printNotes prints what is to be said of records, also of those that DNS shows.
func printNotes(out io.Writer, records []*setupRecord) {
	p := terminal.Colors(out)
	for _, r := range records {
		if r.Note != "" {
			fmt.Fprintf(out, "\n%s %s: %s\n", p.Warn("note"), r.Kind, printable(r.Note))
		}
	}
}

// printNext says what comes next.
func (s *setUp) printNext(out io.Writer) {
	p := terminal.Colors(out)
	for _, a := range s.shown.Advice {
		fmt.Fprintf(out, "\n%s %s\n", p.Bold("Next:"), printable(s.form().words(a)))
	}
	switch {
	case s.dryRun && !s.plan.Empty():
		fmt.Fprintf(out, "\n%s %s\n", p.Bold("To do it:"), s.commandLine())
	case len(s.names) > 0:
		check := append([]string{"postseal", "check"}, s.names[:min(len(s.names), mostShown)]...)
		if s.config != configPath {
			check = append(check, "-c", shellWord(s.config))
		}
		fmt.Fprintf(out, "\n%s %s\n", p.Bold("Then:"), strings.Join(check, " "))
	}
}

// commandLine is this command without --dry-run and --json, for a shell.
func (s *setUp) commandLine() string {
	words := []string{"postseal"}
	for _, a := range os.Args[1:] {
		if a != "--dry-run" && a != "--json" {
			words = append(words, shellWord(a))
		}
	}
	return strings.Join(words, " ")
}

// shellWord writes a word for a shell, on a terminal.
func shellWord(s string) string { return printable(finding.Word(s)) }

// about says in the journal what a run is for.
func (s *setUp) about() string {
	switch {
	case s.unwire:
		return "--unwire"
	case len(s.names) > mostShown:
		return fmt.Sprintf("%s and %d more", strings.Join(s.names[:mostShown], " "), len(s.names)-mostShown)
	}
	return strings.Join(s.names, " ")
}

// printableLines writes text with what is not printable in it escaped.
type printableLines struct{ io.Writer }

func (w printableLines) Write(text []byte) (int, error) {
	for line := range strings.Lines(string(text)) {
		end := ""
		if l, ok := strings.CutSuffix(line, "\n"); ok {
			line, end = l, "\n"
		}
		parts := strings.Split(line, "\t")
		for i := range parts {
			parts[i] = printable(parts[i])
		}
		if _, err := io.WriteString(w.Writer, strings.Join(parts, "\t")+end); err != nil {
			return 0, err
		}
	}
	return len(text), nil
}
