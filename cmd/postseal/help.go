package main

import (
	"fmt"
	"os"
	"runtime"
	"strings"

	"github.com/postseal/postseal/cmd/postseal/terminal"
	"github.com/spf13/cobra"
)

// groups are the commands by when they are needed, as the list of them has it.
var groups = []struct {
	title    string
	commands []string
}{
	{"The first hour:", []string{"setup", "check", "demo", "import"}},
	{"Every day:", []string{"serve", "reload", "status", "ping", "explain"}},
	{"Keys, tables and DNS records:", []string{"check-config", "genkey", "genzone", "rotate", "testkey"}},
	{"Messages in a file:", []string{"sign", "verify"}},
}

// helpWidth is how wide help is, but for examples, which are there to be copied.
const helpWidth = 80

// arrange groups the commands in the help of root, and breaks texts and the help of
// flags.
func arrange(root *cobra.Command) {
	for _, g := range groups {
		root.AddGroup(&cobra.Group{ID: g.title, Title: g.title})
		for _, c := range root.Commands() {
			for _, name := range g.commands {
				if c.Name() == name {
					c.GroupID = g.title
				}
			}
		}
	}
	for _, c := range append(root.Commands(), root) {
		c.Long = fill(c.Long)
	}
	wrapped := fmt.Sprintf("FlagUsagesWrapped %d", helpWidth)
	root.SetUsageTemplate(strings.ReplaceAll(root.UsageTemplate(), "FlagUsages", wrapped))
}

// fill breaks the paragraphs of a text anew. One with lines that are indented stays as
// it is.
func fill(text string) string {
	paragraphs := strings.Split(text, "\n\n")
	for i, p := range paragraphs {
		if !strings.Contains("\n"+p, "\n ") {
			paragraphs[i] = terminal.Wrap(strings.ReplaceAll(p, "\n", " "), helpWidth, "")
		}
	}
	return strings.Join(paragraphs, "\n\n")
}

// guard runs the program. A defect in it ends with one line, not with a stack trace:
// what went wrong, where, and what to do.
func guard(program func() int) (code int) {
	defer func() {
		if p := recover(); p != nil {
			code = exitSoftware
			fmt.Fprintf(os.Stderr, "postseal: internal error: %s%s; this is a defect of postseal: report it with the command line and what \"postseal version\" prints\n",
				printable(fmt.Sprint(p)), place())
		}
	}()
	return program()
}

// place is where in postseal's own code a panic came from, "" where that cannot be seen.
func place() string {
	callers := make([]uintptr, 64)
	frames := runtime.CallersFrames(callers[:runtime.Callers(1, callers)])
	panicked := false
	for {
		f, more := frames.Next()
		own := strings.HasPrefix(f.Function, "main.") || strings.Contains(f.Function, "postseal/postseal/")
		switch {
		case f.Function == "runtime.gopanic":
			panicked = true
		case panicked && own:
			return fmt.Sprintf(" (in %s, line %d)", f.Function[strings.LastIndexByte(f.Function, '/')+1:], f.Line)
		}
		if !more {
			return ""
		}
	}
}
