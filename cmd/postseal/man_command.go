package main

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/postseal/postseal/cmd/postseal/roff"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// command is the page of one command.
func (m manual) command(c *cobra.Command) string {
	c.InitDefaultHelpFlag()
	p := roff.New(m.head(pageName(c), 1))
	p.Section("NAME")
	p.Text(pageName(c) + " - " + c.Short)
	p.Section("SYNOPSIS")
	p.Line(roff.Bold(c.CommandPath()) + roff.Plain(arguments(c)))
	long := partLong(c.Long)
	p.Section("DESCRIPTION")
	p.Text(long.described)
	if !c.HasParent() {
		p.Section("COMMANDS")
		for _, g := range append(c.Groups(), &cobra.Group{Title: "Additional commands"}) {
			p.Subsection(strings.TrimSuffix(g.Title, ":"))
			for _, sub := range documented(c)[1:] {
				if sub.GroupID == g.ID {
					p.Item([]roff.Term{reference(pageName(sub), 1)}, sub.Short)
				}
			}
		}
	}
	p.Section("OPTIONS")
	c.Flags().VisitAll(func(f *pflag.Flag) { option(p, f) })
	p.Section("EXAMPLES")
	p.Text(c.Example)
	exitStatus(p, c, long.status)
	if !c.HasParent() {
		long.environment = environmentWords(c)
	}
	if long.environment != "" {
		p.Section("ENVIRONMENT")
		p.Text(long.environment)
	}
	files(p, c)
	seeAlso(p, c)
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
	name, text := pflag.UnquoteUsage(f)
	term := roff.Bold("--" + f.Name)
	if f.Shorthand != "" {
		term = roff.Bold("-"+f.Shorthand) + roff.Plain(", ") + term
	}
	if name != "" {
		term += roff.Plain(" ") + roff.Italic(name)
	}
	switch f.DefValue {
	case "", "0", "false", "[]":
	default:
		value := f.DefValue
		if f.Value.Type() == "string" {
			value = strconv.Quote(value)
		}
		text += " (default " + value + ")"
	}
	p.Item([]roff.Term{term}, text)
}

// parted is the long help of a command by where a page has it.
type parted struct{ described, status, environment string }

// partLong parts it by what its paragraphs are about.
func partLong(long string) parted {
	var p parted
	for paragraph := range strings.SplitSeq(long, "\n\n") {
		at := &p.described
		switch {
		case strings.HasPrefix(paragraph, "Exit status"), strings.HasPrefix(paragraph, "The exit status"):
			at = &p.status
		case strings.Contains(paragraph, "POSTSEAL_"):
			at = &p.environment
		}
		*at += paragraph + "\n\n"
	}
	return p
}

// environmentWords are those that serve has about the environment's settings.
func environmentWords(root *cobra.Command) string {
	serve, _, _ := root.Find([]string{"serve"}) // where there is none, root
	return partLong(serve.Long).environment
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
		own = partLong(c.Root().Long).status
	}
	codes(p, own)
}

// codes writes a list of the form "Exit status: 0 done; 1 not" as items, and any
// other text as it is.
func codes(p *roff.Page, text string) {
	intro, list, ok := strings.Cut(text, ": ")
	if !ok || !strings.HasPrefix(text, "Exit status") {
		p.Text(text)
		return
	}
	if _, beside, ok := strings.Cut(intro, ", "); ok {
		p.Text("Exit status, " + beside + ":")
	}
	for each := range strings.SplitSeq(strings.TrimSuffix(strings.TrimSpace(list), "."), ";") {
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
func seeAlso(p *roff.Page, c *cobra.Command) {
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
