package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
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
		entries = lastRun(entries)
	}
	var back []setup.Change
	var left []setup.Left
	for range entries {
		if err = j.Undo(s.cmd.Context(), s.system, func(c setup.Change, l setup.Left) {
			s.shown.add(c)
			if l != (setup.Left{}) {
				left = append(left, l)
			} else {
				back = append(back, c)
			}
		}); err != nil {
			break
		}
	}
	s.shown.Left = setup.Leftovers(left)
	var stopped *setup.Stopped
	if errors.As(err, &stopped) {
		err = fmt.Errorf("%s could not be taken back: %w\nwhat comes after it is taken back; the rest, once that is mended: %s", stopped.At.Line(), stopped.Err, s.commandLine())
	}
	if s.json && err == nil {
		return printJSON(s.cmd, s.shown)
	}
	if !s.json {
		s.printBack(back)
	}
	if err != nil {
		return exitError{exitFailed, err}
	}
	return nil
}

// printBack says what was taken back and what was left.
func (s *setUp) printBack(back []setup.Change) {
	out := s.cmd.OutOrStdout()
	p := terminal.Colors(out)
	var commands, others []setup.Change
	for _, c := range back {
		if _, is := c.(*setup.Command); is {
			commands = append(commands, c)
		} else {
			others = append(others, c)
		}
	}
	printSummary(out, p.Good("done"), setup.Summary(commands, true))
	printSummary(out, p.Good("taken back"), setup.Summary(others, true))
	printSummary(out, p.Warn("left"), s.shown.Left)
	if slices.ContainsFunc(back, func(c setup.Change) bool { _, key := c.(*setup.PrivateKey); return key }) {
		fmt.Fprintf(out, "\n%s leave the keys' records in DNS for a week: mail that was signed may still be on its way.\n", p.Bold("Next:"))
	}
}

// lastRun are the entries of the last run: one with --wait has several, as long as no
// other run came between them.
func lastRun(entries []setup.Entry) []setup.Entry {
	n := len(entries) - 1
	for n > 0 && entries[n-1].Time.Equal(entries[n].Time) && entries[n-1].About == entries[n].About {
		n--
	}
	return entries[n:]
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
	for _, line := range setup.Summary(e.Done, false) {
		fmt.Fprintf(&b, "\ndone: %s", line)
	}
	for _, line := range setup.Summary(e.Rest, false) {
		fmt.Fprintf(&b, "\nnot done: %s", line)
	}
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
