// Package watch tells when one of a set of files changed, however it was
// written: in place, by a rename over it, by a new file in place of a removed
// one, by another target of a link on the way to it, by new rights.
//
// What counts is the state of the files, which is looked at; the system's
// notifications only say when. Where they fail (no more of them are to be had, a
// network file system, a folder that may not be read) looking at it every few
// seconds finds the change all the same, later.
package watch

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"maps"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"time"
)

const (
	// quiet is how long files must be at rest for a change to be told: who
	// writes a file in pieces is not interrupted.
	quiet = 200 * time.Millisecond
	// latest is after how many times quiet a change is told all the same.
	latest = 5
	// seldom is how often files are looked at that notifications tell of. It is
	// for what is changed from elsewhere: by another client of a file server,
	// below an overlay.
	seldom = 3 * time.Second
	// often is how often they are looked at without notifications.
	often = time.Second
)

// Watcher tells when files changed. Its methods may be called at any time, from
// any goroutine.
type Watcher struct {
	log     *slog.Logger
	changes chan []string
	stirred chan struct{} // something happened to a file or folder of ours
	wake    chan struct{} // the set of files is another

	quiet, seldom, often time.Duration
	open                 func(stirred chan<- struct{}) (*notifier, error)

	mu     sync.Mutex
	known  state // what each file was like when it was last told of
	notify *notifier
	blind  bool   // notifications do not cover everything
	told   string // what was last logged about that
	closed bool
}

// New makes a watcher of no files. log is told when the system has no
// notifications to give. It takes a Close, or a Run that ends.
func New(log *slog.Logger) *Watcher {
	return &Watcher{
		log: log, changes: make(chan []string), stirred: make(chan struct{}, 1), wake: make(chan struct{}, 1),
		quiet: quiet, seldom: seldom, often: often, open: newNotifier, known: state{},
	}
}

// Changes gives the files that changed, sorted, as Set named them. A change is
// given once it has been quiet for 200 ms, or after a second of changes; in
// that case the end of the changes is given too. Who receives late gets all in
// one.
func (w *Watcher) Changes() <-chan []string { return w.changes }

// Set makes paths the files that are watched. Those that were before keep the
// state that they had; of the others the present state counts as known, and fresh
// reports that there are such: what was read of them before may be out of date.
// A path need not exist.
func (w *Watcher) Set(paths []string) (fresh bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	known := state{}
	for _, p := range paths {
		t, ok := w.known[p]
		known[p] = t
		fresh = fresh || !ok
	}
	old := w.known
	w.known = known
	for path, now := range w.look() {
		if _, ok := old[path]; !ok {
			known[path] = now
		}
	}
	poke(w.wake)
	return fresh
}

// Mark says that the files are about to be read: what they are like now is
// known. One that was written this very moment is told of all the same.
func (w *Watcher) Mark() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.accept(w.look(), false)
}

// Narrow is for a process that gave up rights: a file that it cannot get to any
// more has not changed.
func (w *Watcher) Narrow() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for path, now := range w.look() {
		if len(now) > 0 && now[len(now)-1].id.err == syscall.EACCES {
			w.known[path] = now
		}
	}
}

// Run watches until ctx ends, and then closes the watcher.
func (w *Watcher) Run(ctx context.Context) {
	defer w.Close()
	var (
		pending = map[string]bool{}
		ongoing *burst
		ticker  = time.NewTicker(w.quiet)
		poll    = time.NewTimer(0)
	)
	ticker.Stop()
	defer ticker.Stop()
	defer poll.Stop()
	for {
		var out chan []string
		if len(pending) > 0 {
			out = w.changes
		}
		begin := false
		select {
		case <-ctx.Done():
			return
		case out <- slices.Sorted(maps.Keys(pending)):
			clear(pending)
		case <-w.wake:
			poll.Reset(w.interval())
		case <-w.stirred:
			if begin = ongoing == nil; !begin {
				ongoing.stirred = true
			}
		case <-poll.C:
			begin = ongoing == nil && w.differs()
			poll.Reset(w.interval())
		case <-ticker.C:
			select {
			case <-w.stirred:
				ongoing.stirred = true
			default:
			}
			changed, over := w.tick(ongoing)
			for _, path := range changed {
				pending[path] = true
			}
			if over {
				ongoing = nil
				ticker.Stop()
			}
		}
		if begin {
			w.mu.Lock()
			ongoing = &burst{last: w.look()}
			w.mu.Unlock()
			ticker.Reset(w.quiet)
		}
	}
}

// Close lets go of what the system keeps for the watcher.
func (w *Watcher) Close() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.closed = true
	w.deafen()
}

func (w *Watcher) deafen() {
	if w.notify != nil {
		w.notify.close()
		w.notify = nil
	}
}

// interval is the time to the next look that nothing asks for.
func (w *Watcher) interval() time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case len(w.known) == 0:
		return 24 * time.Hour // Set wakes us
	case w.blind:
		return w.often
	}
	return w.seldom
}

func (w *Watcher) differs() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return !w.known.equal(w.look())
}

// tick looks again while things change, and returns what is to be told now.
func (w *Watcher) tick(b *burst) (changed []string, over bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	now := w.look()
	settled, due := b.tick(now)
	if settled || due {
		changed = w.accept(now, settled)
	}
	return changed, settled
}

// accept takes now for known and returns the files that differ from what was.
// Unless things have settled, a file that was written just now stays unknown: it
// may change once more without its times showing it.
func (w *Watcher) accept(now state, settled bool) (changed []string) {
	clock := time.Now()
	for path, t := range now {
		if old, ok := w.known[path]; !ok || slices.Equal(old, t) {
			continue
		}
		changed = append(changed, path)
		if settled || !t.young(clock) {
			w.known[path] = t
		}
	}
	return changed
}

// look returns the present state of all files, and sees to it that what is
// looked at is notified of.
func (w *Watcher) look() state {
	for attempts := 3; ; attempts-- {
		s := newScan()
		now := make(state, len(w.known))
		for path := range w.known {
			now[path] = s.follow(path)
		}
		// What happened between the look and the notification is for another look.
		if !w.cover(s) || attempts == 0 {
			return now
		}
	}
}

// cover asks for notifications of what s looked at. It reports whether there
// are some that were not there before.
func (w *Watcher) cover(s *scan) (more bool) {
	if w.closed || len(w.known) == 0 {
		w.deafen()
		return false
	}
	var err error
	if w.notify == nil {
		w.notify, err = w.open(w.stirred)
	}
	if err == nil {
		more, err = w.notify.cover(s)
	}
	w.blind = err != nil
	w.complain(err)
	return more
}

// complain logs once why there are no notifications.
func (w *Watcher) complain(err error) {
	text := ""
	if err != nil {
		text = err.Error()
	}
	if text == w.told {
		return
	}
	w.told = text
	const message = "changes of files are not notified by the system; the files are looked at every second"
	switch {
	case err == nil:
		w.log.Info("changes of files are notified by the system again")
	case errors.Is(err, fs.ErrPermission):
		w.log.Info(message, "err", err)
	case errors.Is(err, syscall.ENOSPC):
		w.log.Warn(message, "err", err, "fix", "raise the sysctl fs.inotify.max_user_watches")
	case errors.Is(err, syscall.EMFILE):
		w.log.Warn(message, "err", err, "fix", "raise the sysctl fs.inotify.max_user_instances, or the limit of open files")
	default:
		w.log.Warn(message, "err", err)
	}
}

// poke leaves a word in a channel that has room for one.
func poke(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// absolute is path from the root, with its dots and links left in: ".." after a
// link is not the folder before it.
func absolute(path string) string {
	if filepath.IsAbs(path) {
		return path
	}
	folder, err := filepath.Abs(".")
	if err != nil {
		return "/" + path
	}
	return folder + "/" + path
}
