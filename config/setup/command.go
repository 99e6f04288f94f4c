package setup

import (
	"context"
	"errors"
	"strings"
)

// Command is a program to be run, one that does no harm when it is run again.
type Command struct {
	// Argv is run; empty: nothing is.
	Argv []string `json:"argv,omitempty"`
	// Undo is run to take it back; empty: nothing is. Where it fails, a person has to
	// run it, unless what it is about has gone.
	Undo []string `json:"undo,omitempty"`
	// Root: others than root may not run it.
	Root bool `json:"root,omitempty"`
}

func (c *Command) Line() string {
	if len(c.Argv) == 0 {
		return ""
	}
	return "run " + strings.Join(c.Argv, " ")
}

func (c *Command) Diff() string    { return "" }
func (c *Command) NeedsRoot() bool { return c.Root }
func (c *Command) Kind() string    { return "command" }

func (c *Command) do(ctx context.Context, s System, log func(Change) error) error {
	if err := log(c); err != nil || len(c.Argv) == 0 {
		return err
	}
	_, err := s.Run(ctx, c.Argv...)
	return err
}

func (c *Command) revert(ctx context.Context, s System) (Left, error) {
	if len(c.Undo) == 0 {
		return Left{}, nil
	}
	if _, err := s.Run(ctx, c.Undo...); err != nil && !gone(err) {
		line := strings.Join(c.Undo, " ")
		return Left{line, strings.TrimPrefix(err.Error(), line+" ") + "; run it if it is still needed"}, nil
	}
	return Left{}, nil
}

// gone reports whether a command failed because there is no such program any more, or as
// systemctl says it, no such unit.
func gone(err error) bool {
	return errors.Is(err, ErrNoProgram) || strings.Contains(err.Error(), "does not exist")
}
