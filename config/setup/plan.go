// Package setup makes a machine sign for domains: all that it takes is planned first,
// as changes that can be shown, done, and taken back. It adds to what stands, and never
// overwrites or reorders it.
package setup

import (
	"context"
	"fmt"
	"io"
	"slices"
)

// Plan is everything that a set-up will do to the machine, in its order.
type Plan struct {
	Changes []Change
	// Begun are the changes of a run of the same that did not come to its end: who has
	// to be told of them may not have been.
	Begun []Change

	folders map[string]bool // that are planned
}

// Add appends changes.
func (p *Plan) Add(c ...Change) { p.Changes = append(p.Changes, c...) }

// Empty reports whether there is nothing to do: no change, or only some that an undo
// would make.
func (p *Plan) Empty() bool {
	return !slices.ContainsFunc(p.Changes, func(c Change) bool { return c.Line() != "" })
}

// has reports whether a change is planned, or was begun, that is one of those.
func (p *Plan) has(is func(Change) bool) bool {
	return slices.ContainsFunc(p.Changes, is) || slices.ContainsFunc(p.Begun, is)
}

// NeedsRoot is a change that takes root; nil if there is none.
func (p *Plan) NeedsRoot() Change {
	for _, c := range p.Changes {
		if c.NeedsRoot() {
			return c
		}
	}
	return nil
}

// Print writes every change: a file's as a unified diff, the others as a line.
func (p *Plan) Print(w io.Writer) error {
	for _, c := range p.Changes {
		text := c.Diff()
		if line := c.Line(); text == "" && line != "" {
			text = line + "\n"
		}
		if _, err := io.WriteString(w, text); err != nil {
			return err
		}
	}
	return nil
}

// Stopped is the error of a plan of which not all is done.
type Stopped struct {
	// Done and Rest are the changes before and behind At, which failed, and may be done
	// in part.
	Done, Rest []Change
	At         Change
	Err        error
}

func (s *Stopped) Error() string { return fmt.Sprintf("%s: %v", s.At.Line(), s.Err) }
func (s *Stopped) Unwrap() error { return s.Err }

// Apply makes the changes, each noted in the journal before it begins; without one
// they cannot be taken back. Keys that stand side by side are made on all cores. done is
// told of each change that is made. Where one fails, or ctx ends, which is looked at
// between two changes, the error is a *Stopped.
func (p *Plan) Apply(ctx context.Context, s System, j *Journal, about string, done func(Change)) error {
	if p.Empty() {
		return nil
	}
	log := func(Change) error { return nil }
	if j != nil {
		if err := j.begin(about); err != nil {
			return err
		}
		log = j.step
	}
	for i := 0; i < len(p.Changes); {
		n := keysFrom(p.Changes[i:])
		if n > 1 {
			if stopped := p.makeKeys(ctx, s, i, i+n, log, done); stopped != nil {
				return stopped
			}
			i += n
			continue
		}
		c := p.Changes[i]
		err := ctx.Err()
		if err == nil {
			// What has begun goes on to its end.
			err = c.do(context.WithoutCancel(ctx), s, log)
		}
		if err != nil {
			return &Stopped{Done: p.Changes[:i], At: c, Rest: p.Changes[i+1:], Err: err}
		}
		if done != nil {
			done(c)
		}
		i++
	}
	if j == nil {
		return nil
	}
	return j.end()
}
