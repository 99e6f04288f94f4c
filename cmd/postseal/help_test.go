package main

import (
	"io"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/postseal/postseal/cmd/postseal/terminal"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// every calls f for each command that people are shown.
func every(c *cobra.Command, f func(*cobra.Command)) {
	if c.Hidden || c.Name() == "help" {
		return
	}
	f(c)
	for _, sub := range c.Commands() {
		every(sub, f)
	}
}

// Every command has help that a tired person can use: what it does, examples that are
// real command lines, what it prints with --json, and lines that fit a screen.
func TestHelpOfEveryCommand(t *testing.T) {
	every(newRoot(), func(c *cobra.Command) {
		t.Run(c.CommandPath(), func(t *testing.T) {
			c.InitDefaultHelpFlag()
			if c.Short == "" || strings.HasSuffix(c.Short, ".") || len(c.Short) > 65 {
				t.Errorf("Short: %q", c.Short)
			}
			if strings.TrimSpace(c.Long) == "" {
				t.Error("there is no Long")
			}
			if c.Flags().Lookup("json") != nil && !strings.Contains(c.Long, "--json") {
				t.Error("Long does not say what --json prints")
			}
			if regexp.MustCompile(`exit status|exit code`).MatchString(c.Short) {
				t.Error("Short speaks of the exit status")
			}
			c.Flags().VisitAll(func(f *pflag.Flag) {
				if f.Usage == "" {
					t.Errorf("--%s has no help", f.Name)
				}
			})
			for line := range strings.SplitSeq(c.Long+"\n"+c.UsageString(), "\n") {
				most := helpWidth
				if strings.Contains(c.Example, line) {
					most = 100
				}
				if terminal.Columns(line) > most {
					t.Errorf("a line is wider than %d columns: %q", most, line)
				}
			}
			examples(t, c)
		})
	})
}

// examples tries the examples of a command: the flags are there, and the arguments as
// many as it takes.
func examples(t *testing.T, c *cobra.Command) {
	own := 0
	for line := range strings.SplitSeq(c.Example, "\n") {
		words := commandLine(line)
		if words == nil {
			continue
		}
		root := newRoot() // flags keep what they were set to
		called, rest, err := root.Find(words)
		switch {
		case err != nil:
			t.Errorf("%q: %v", line, err)
			continue
		case called.CommandPath() == c.CommandPath() || !c.HasParent():
			own++
		}
		called.SetOut(io.Discard)
		if err := called.ParseFlags(rest); err != nil {
			t.Errorf("%q: %v", line, err)
			continue
		}
		if err := called.ValidateArgs(called.Flags().Args()); err != nil {
			t.Errorf("%q: %v", line, err)
		}
	}
	if own == 0 {
		t.Errorf("no example calls %s:\n%s", c.CommandPath(), c.Example)
	}
}

// commandLine are the words behind "postseal" in a line of the shell, nil where it
// calls something else.
func commandLine(line string) []string {
	line, _, _ = strings.Cut(line, " #")
	var words []string
	quote := regexp.MustCompile(`'[^']*'|"[^"]*"|[^\s'"]+`)
	for _, w := range quote.FindAllString(line, -1) {
		words = append(words, strings.Trim(w, `'"`))
	}
	i := slices.Index(words, "postseal")
	if i < 0 {
		return nil
	}
	words = words[i+1:]
	if end := slices.IndexFunc(words, func(w string) bool { return strings.ContainsAny(w[:min(1, len(w))], "|<>;&)") }); end >= 0 {
		words = words[:end]
	}
	return words
}

// The list of commands has each in one place.
func TestGroups(t *testing.T) {
	root := newRoot()
	named := map[string]int{}
	for _, g := range groups {
		for _, name := range g.commands {
			named[name]++
			if c, _, err := root.Find([]string{name}); err != nil || c.GroupID != g.title {
				t.Errorf("%s is not in %q: %v", name, g.title, err)
			}
		}
	}
	for _, c := range root.Commands() {
		if other := c.Hidden || slices.Contains([]string{"version", "completion", "help"}, c.Name()); (named[c.Name()] == 1) == other {
			t.Errorf("%s is in %d groups", c.Name(), named[c.Name()])
		}
	}
}

// A defect is one line on standard error, with where and what to do.
func TestGuard(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	stderr := os.Stderr
	os.Stderr = w
	code := guard(func() int { panic("bad\x1b[2J thing\nof two lines") })
	os.Stderr = stderr
	w.Close()
	said, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	want := regexp.MustCompile(`^postseal: internal error: bad\\x1b\[2J thing\\nof two lines \(in [^ ]*TestGuard[^ ]*, line \d+\); this is a defect of postseal: report it with [^\n]*\n$`)
	if code != exitSoftware || !want.Match(said) {
		t.Errorf("%d, %q", code, said)
	}
	if code := guard(func() int { return 3 }); code != 3 {
		t.Errorf("without a panic: %d", code)
	}
}
