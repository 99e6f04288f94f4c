package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/postseal/postseal/cmd/postseal/terminal"
	"github.com/postseal/postseal/config/setup"
)

// takeBack is --undo.
func (s *setUp) takeBack() error {
	j, err := s.openJournal()
	if err != nil {
		return err
	}
	defer j.Close()
	entries, err := j.Entries()
	if err != nil {
		return exitError{exitFailed, err}
	}
	if len(entries) == 0 {
		if s.json {
			return printJSON(s.cmd, s.shown)
		}
		fmt.Fprintf(s.cmd.OutOrStdout(), "The journal %s has nothing to take back. Nothing was changed.\n", s.journal)
		return nil
	}
	if !s.all {
		entries = entries[len(entries)-1:]
	}
	out := s.cmd.OutOrStdout()
	p := terminal.Colors(out)
	for range entries {
		err := j.Undo(s.cmd.Context(), s.system, func(c setup.Change, left setup.Left) {
			s.shown.add(c)
			if left != "" {
				s.shown.Left = append(s.shown.Left, string(left))
			}
			switch line := c.Line(); {
			case s.json:
			case left != "":
				fmt.Fprintf(out, "%s %s\n", p.Warn("left"), printable(string(left)))
			case line != "":
				fmt.Fprintf(out, "%s %s\n", p.Good("taken back"), printable(line))
			}
		})
		var stopped *setup.Stopped
		switch {
		case errors.As(err, &stopped):
			return exitError{exitFailed, fmt.Errorf("%s could not be taken back: %w\nwhat comes after it is taken back; the rest, once that is mended: %s", stopped.At.Line(), stopped.Err, s.commandLine())}
		case err != nil:
			return exitError{exitFailed, err}
		}
	}
	if s.json {
		return printJSON(s.cmd, s.shown)
	}
	return nil
}

// stopped says what was done and what was not, and what to do.
func (s *setUp) stopped(e *setup.Stopped) error {
	var b strings.Builder
	at := e.At.Line()
	if at == "" {
		at = "a step"
	}
	again := "to go on"
	if errors.Is(e.Err, context.Canceled) {
		fmt.Fprintf(&b, "interrupted before: %s", at)
	} else {
		fmt.Fprintf(&b, "stopped at: %s: %v", at, e.Err)
		again += ", once that is mended"
	}
	list := func(title string, changes []setup.Change) {
		for i, c := range changes {
			if line := c.Line(); line != "" {
				if i == mostShown {
					fmt.Fprintf(&b, "\n%s: and %d more", title, len(changes)-i)
					return
				}
				fmt.Fprintf(&b, "\n%s: %s", title, line)
			}
		}
	}
	list("done", e.Done)
	list("not done", e.Rest)
	fmt.Fprintf(&b, "\n%s: %s", again, s.commandLine())
	if len(e.Done) > 0 {
		b.WriteString("\nto take back what was done: " + s.undoLine())
	}
	return errors.New(b.String())
}

// undoLine is the command that takes this run back.
func (s *setUp) undoLine() string {
	line := "postseal setup --undo"
	if s.journal != setup.DefaultJournal {
		line += " --journal " + shellWord(s.journal)
	}
	return line
}
