package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/postseal/postseal/cmd/postseal/roff"
	"github.com/postseal/postseal/cmd/postseal/service"
	"github.com/postseal/postseal/deploy"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// newMan makes the command that packages are built with.
func newMan() *cobra.Command {
	return &cobra.Command{
		Use:    "man DIR",
		Hidden: true,
		Short:  "Write the manual pages",
		Long: `Write the manual pages of all commands to DIR/man1 and the one of postseal.toml to
DIR/man5. They are made of what --help prints and of the example configuration.

The environment variable SOURCE_DATE_EPOCH, in seconds since 1970, is the date of the
pages; without it they have none.`,
		Example: `  postseal man /usr/local/share/man`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) != 1 {
				return usage(cmd, "man needs one folder")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			date, err := sourceDate(os.Getenv("SOURCE_DATE_EPOCH"))
			if err != nil {
				return usage(cmd, "%w", err)
			}
			m := manual{date: date, version: service.Version()}
			if err := m.write(args[0], cmd.Root()); err != nil {
				return exitError{exitFailed, err}
			}
			return nil
		},
	}
}

// sourceDate reads SOURCE_DATE_EPOCH; empty is the zero time.
func sourceDate(s string) (time.Time, error) {
	if s == "" {
		return time.Time{}, nil
	}
	seconds, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		return time.Time{}, fmt.Errorf("SOURCE_DATE_EPOCH=%s: want seconds since 1970", s)
	}
	return time.Unix(seconds, 0), nil
}

// manual is what all pages have in common.
type manual struct {
	date    time.Time
	version string
}

func (m manual) head(name string, section int) roff.Head {
	return roff.Head{Name: name, Section: section, Date: m.date, Source: "postseal " + m.version, Manual: "postseal"}
}

// write writes every page below a folder.
func (m manual) write(dir string, root *cobra.Command) error {
	pages := map[string]string{"man5/postseal.toml.5": m.settings(deploy.Example)}
	for _, c := range documented(root) {
		pages["man1/"+pageName(c)+".1"] = m.command(c)
	}
	for name, text := range pages {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// documented are the commands that have a page: those that --help lists, and
// the program itself, which comes first.
func documented(root *cobra.Command) []*cobra.Command {
	list := []*cobra.Command{root}
	for _, c := range root.Commands() {
		if c.IsAvailableCommand() {
			list = append(list, c)
		}
	}
	return list
}

// pageName is "postseal-serve" for "postseal serve".
func pageName(c *cobra.Command) string { return strings.ReplaceAll(c.CommandPath(), " ", "-") }

// command is the page of one command.
func (m manual) command(c *cobra.Command) string {
	p := roff.New(m.head(pageName(c), 1))
	p.Section("NAME")
	p.Text(pageName(c) + " - " + c.Short)
	p.Section("SYNOPSIS")
	p.Line(roff.Bold(c.CommandPath()) + roff.Plain(arguments(c)))
	described, status := partStatus(c.Long)
	p.Section("DESCRIPTION")
	p.Text(described)
	if !c.HasParent() {
		p.Section("COMMANDS")
		for _, sub := range documented(c)[1:] {
			p.Item([]roff.Term{reference(pageName(sub), 1)}, sub.Short)
		}
	}
	p.Section("OPTIONS")
	c.InitDefaultHelpFlag()
	c.Flags().VisitAll(func(f *pflag.Flag) { option(p, f) })
	p.Section("EXAMPLES")
	p.Text(c.Example)
	exitStatus(p, c, status)
	files(p, c)
	m.seeAlso(p, c)
	return p.String()
}

// arguments are the words behind the name of a command.
func arguments(c *cobra.Command) string {
	if !c.HasParent() {
		return " COMMAND [flags]"
	}
	return strings.TrimPrefix(c.UseLine(), c.CommandPath())
}

// reference is how another page is named.
func reference(name string, section int) roff.Term {
	return roff.Bold(name) + roff.Plain(fmt.Sprintf("(%d)", section))
}

// option writes the item of a flag, with its default.
func option(p *roff.Page, f *pflag.Flag) {
	value, text := pflag.UnquoteUsage(f)
	term := roff.Bold("--" + f.Name)
	if f.Shorthand != "" {
		term = roff.Bold("-"+f.Shorthand) + roff.Plain(", ") + term
	}
	if value != "" {
		term += roff.Plain(" ") + roff.Italic(value)
	}
	switch f.DefValue {
	case "", "0", "false", "[]":
	default:
		text += " (default " + f.DefValue + ")"
	}
	p.Item([]roff.Term{term}, text)
}

// partStatus parts the paragraph about the exit status from a description.
func partStatus(long string) (described, status string) {
	var rest []string
	for paragraph := range strings.SplitSeq(long, "\n\n") {
		if strings.HasPrefix(paragraph, "Exit status") || strings.HasPrefix(paragraph, "The exit status") {
			status = paragraph
			continue
		}
		rest = append(rest, paragraph)
	}
	return strings.Join(rest, "\n\n"), status
}

// exitStatus writes what the exit codes mean: those of the command, and those of
// every command.
func exitStatus(p *roff.Page, c *cobra.Command, own string) {
	p.Section("EXIT STATUS")
	if c.HasParent() {
		if own != "" {
			codes(p, own)
			p.Text("Of every command:")
		}
		_, own = partStatus(c.Root().Long)
	}
	codes(p, own)
}

// codes writes a list of the form "Exit status: 0 done; 1 not" as items, and any
// other text as it is.
func codes(p *roff.Page, text string) {
	intro, list, ok := strings.Cut(text, ": ")
	if !ok {
		p.Text(text)
		return
	}
	if _, beside, ok := strings.Cut(intro, ", "); ok {
		p.Text("Exit status, " + beside + ":")
	}
	for each := range strings.SplitSeq(strings.TrimSuffix(list, "."), ";") {
		code, meaning, _ := strings.Cut(strings.TrimSpace(each), " ")
		p.Item([]roff.Term{roff.Bold(code)}, meaning)
	}
}

// files writes which files a command reads by itself.
func files(p *roff.Page, c *cobra.Command) {
	if c.Flags().Lookup("config") == nil && c.HasParent() {
		return
	}
	p.Section("FILES")
	p.Item([]roff.Term{roff.Italic(configPath)}, "the configuration; see postseal.toml(5)")
	if c.Flags().Lookup("runtime-directory") != nil || !c.HasParent() || c.Name() == "serve" {
		p.Item([]roff.Term{roff.Italic("/run/postseal/control.sock")},
			"the daemon's control socket, in the folder that systemd or runtime_directory names")
	}
}

// seeAlso names the pages of the program, and of the commands that the text
// speaks of.
func (m manual) seeAlso(p *roff.Page, c *cobra.Command) {
	p.Section("SEE ALSO")
	var names roff.Term
	add := func(t roff.Term) {
		if names != "" {
			names += roff.Plain(", ")
		}
		names += t
	}
	for _, other := range documented(c.Root()) {
		if other != c && (!other.HasParent() || !c.HasParent() || mentions(c, other)) {
			add(reference(pageName(other), 1))
		}
	}
	add(reference("postseal.toml", 5))
	if !c.HasParent() || c.Name() == "serve" {
		add(reference("postconf", 5))
	}
	p.Line(names)
}

// mentions reports whether the help of a command names another.
func mentions(c, other *cobra.Command) bool {
	return strings.Contains(c.Long+c.Example, other.CommandPath())
}
