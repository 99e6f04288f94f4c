package setup

import (
	"context"
	"runtime"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
)

const (
	// firstPause is how long Wait waits before its second look, and lastPause the most
	// between two.
	firstPause = 5 * time.Second
	lastPause  = time.Minute
	// looksAtOnce is how many keys are looked for at once, for each processor.
	looksAtOnce = 8
)

// Waiting is the wait for keys to be visible in DNS.
type Waiting struct {
	// Look reports whether a key is to be seen at every name server, and if not why.
	Look func(ctx context.Context, k *Key) (seen bool, why string)
	// Pause waits between two looks; its error, that of ctx, ends the wait.
	Pause func(ctx context.Context, d time.Duration) error
	// Seen is given the keys that a look has seen; its error ends the wait.
	Seen func(list []*Key) error
	// Told is told after each look how many are seen, and why one of the others is not.
	Told func(seen int, why string)
}

// Wait looks until each of the keys has been seen. It returns those that have not, with
// the last reason for each, and the error of Pause or Seen if there are some.
func (w Waiting) Wait(ctx context.Context, list []*Key) (missing map[*Key]string, err error) {
	missing = make(map[*Key]string, len(list))
	for _, k := range list {
		missing[k] = ""
	}
	for pause := firstPause; ; pause = min(2*pause, lastPause) {
		seen := w.look(ctx, list, missing)
		if len(seen) > 0 {
			if err := w.Seen(seen); err != nil {
				return missing, err
			}
		}
		if ctx.Err() == nil {
			w.Told(len(list)-len(missing), first(list, missing))
		}
		if len(missing) == 0 {
			return nil, nil
		}
		if err := w.Pause(ctx, pause); err != nil {
			return missing, err
		}
	}
}

// look looks for the keys that are missing, and returns those that it has seen.
func (w Waiting) look(ctx context.Context, list []*Key, missing map[*Key]string) (seen []*Key) {
	var mu sync.Mutex
	var group errgroup.Group
	group.SetLimit(looksAtOnce * runtime.GOMAXPROCS(0))
	for _, k := range list {
		mu.Lock()
		_, wanted := missing[k]
		mu.Unlock()
		if !wanted {
			continue
		}
		group.Go(func() error {
			there, why := w.Look(ctx, k)
			mu.Lock()
			defer mu.Unlock()
			switch {
			case ctx.Err() != nil: // the reason would be that
			case there:
				delete(missing, k)
				seen = append(seen, k)
			default:
				missing[k] = why
			}
			return nil
		})
	}
	_ = group.Wait() // none returns an error
	return seen
}

// first is the reason of the first key that is missing.
func first(list []*Key, missing map[*Key]string) string {
	for _, k := range list {
		if why, ok := missing[k]; ok {
			return why
		}
	}
	return ""
}

// Pause waits for d, or until ctx ends.
func Pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
