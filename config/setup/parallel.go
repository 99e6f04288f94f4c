package setup

import (
	"context"
	"runtime"
	"sync"

	"golang.org/x/sync/errgroup"
)

// keysFrom is how many of the changes that come next are keys to be made: nothing depends
// on their order.
func keysFrom(changes []Change) int {
	for i, c := range changes {
		if _, ok := c.(*PrivateKey); !ok {
			return i
		}
	}
	return len(changes)
}

// makeKeys makes the keys of the plan from one up to another, on all cores; see Apply. Once
// one fails no other begins.
func (p *Plan) makeKeys(ctx context.Context, s System, from, to int, log func(Change) error, done func(Change)) *Stopped {
	var mu sync.Mutex // for the journal, done and what follows
	var failed *Stopped
	made := make(map[Change]bool, to-from)
	locked := func(c Change) error {
		mu.Lock()
		defer mu.Unlock()
		return log(c)
	}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(runtime.GOMAXPROCS(0))
	for _, c := range p.Changes[from:to] {
		group.Go(func() error {
			err := ctx.Err()
			if err == nil {
				err = c.do(context.WithoutCancel(ctx), s, locked)
			}
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				made[c] = true
				if done != nil {
					done(c)
				}
			} else if failed == nil {
				failed = &Stopped{At: c, Err: err}
			}
			return err
		})
	}
	_ = group.Wait() // its error is in failed
	if failed == nil {
		return nil
	}
	failed.Done = append(failed.Done, p.Changes[:from]...)
	for _, c := range p.Changes[from:] {
		if made[c] {
			failed.Done = append(failed.Done, c)
		} else if c != failed.At {
			failed.Rest = append(failed.Rest, c)
		}
	}
	return failed
}
