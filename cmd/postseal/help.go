package main

import (
	"fmt"
	"os"
	"runtime"
	"strings"

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

// helpWidth is how wide the help of flags is.
const helpWidth = 96

// arrange groups the commands in the help of root, and breaks the help of flags.
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
	wrapped := fmt.Sprintf("FlagUsagesWrapped %d", helpWidth)
	root.SetUsageTemplate(strings.ReplaceAll(root.UsageTemplate(), "FlagUsages", wrapped))
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
