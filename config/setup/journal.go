package setup

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"github.com/postseal/postseal/config/folder"
)

// DefaultJournal is where set-ups note what they do.
const DefaultJournal = "/var/lib/postseal/setup.journal"

// Journal notes each change of a set-up before it is made, down to the disk, so that it
// can be taken back, also after a crash. It is its owner's alone: what it says is run.
//
// It is a file of lines of JSON: a header for each set-up, a line for each change, and
// an end.
type Journal struct {
	path   string
	now    func() time.Time
	folder *os.File // which is locked
	made   bool     // this process has made the folder
	file   *os.File // while changes are noted
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

	start  int64 // where it begins in the file
	folder bool  // it has made the journal's folder
}

// line is a line of the journal, with one of its fields.
type line struct {
	Begin  *header  `json:"begin,omitempty"`
	Change *encoded `json:"change,omitempty"`
	End    bool     `json:"end,omitempty"`
}

type header struct {
	Time   time.Time `json:"time"`
	About  string    `json:"about"`
	Folder bool      `json:"folder,omitempty"`
}

const (
	// maxJournal bounds the file, in bytes: many thousands of domains.
	maxJournal = 512 << 20
	// lockPause is between two looks whether another set-up has ended.
	lockPause = 50 * time.Millisecond
)

// OpenJournal opens a journal, which need not be there. Until it is closed, OpenJournal
// of one in the same folder waits, also in other processes, or until ctx ends; waiting,
// if not nil, is then told once. now is the clock.
func OpenJournal(ctx context.Context, path string, now func() time.Time, waiting func()) (*Journal, error) {
	j := &Journal{path: path, now: now}
	if err := j.lock(ctx, waiting); err != nil {
		return nil, fmt.Errorf("the journal %s: %w", path, err)
	}
	return j, nil
}

// lock locks the journal's folder, and makes it where it is not there.
func (j *Journal) lock(ctx context.Context, waiting func()) error {
	dir := filepath.Dir(j.path)
	for {
		// Rotation as the daemon's user may keep its state beside the journal.
		if err := os.Mkdir(dir, 0o755); err == nil {
			j.made = true
		} else if !errors.Is(err, fs.ErrExist) {
			return err
		}
		f, err := os.Open(dir)
		if errors.Is(err, fs.ErrNotExist) {
			continue // an undo has removed it
		}
		if err != nil {
			return err
		}
		ours, err := folder.Lock(f, dir, false)
		switch {
		case ours:
			j.folder = f
			return nil
		case err != nil && !errors.Is(err, syscall.EWOULDBLOCK):
			return errors.Join(err, f.Close())
		}
		_ = f.Close() // it was only looked at
		if err == nil {
			continue
		}
		if waiting != nil {
			waiting()
			waiting = nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(lockPause):
		}
	}
}

// Close ends the wait of others.
func (j *Journal) Close() error {
	var err error
	if j.made {
		_ = os.Remove(filepath.Dir(j.path)) // if nothing was noted
	}
	if j.file != nil {
		err = j.file.Close()
	}
	return errors.Join(err, j.folder.Close())
}

// Entries are the set-ups that can be taken back, the oldest first.
func (j *Journal) Entries() ([]Entry, error) { return ReadJournal(j.path) }

// ReadJournal is [Journal.Entries] for a look that waits for nobody. Without a file
// there are none. A file that others than its owner can write, or that is neither ours
// nor root's, is an error.
func ReadJournal(path string) ([]Entry, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NOFOLLOW, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("the journal: %w", err)
	}
	defer f.Close()
	if err := trusted(f); err != nil {
		return nil, fmt.Errorf("the journal %s: %w", path, err)
	}
	entries, _, err := parseJournal(f)
	if err != nil {
		return nil, fmt.Errorf("the journal %s: %w; nothing can be taken back with it: move it away", path, err)
	}
	return entries, nil
}

// trusted wants a file that nobody but root and we can have written.
func trusted(f *os.File) error {
	info, err := f.Stat()
	if err != nil {
		return err
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	switch {
	case !info.Mode().IsRegular(), !ok:
		return errors.New("it is no regular file")
	case info.Size() > maxJournal:
		return fmt.Errorf("it is longer than %d bytes", maxJournal)
	case info.Mode().Perm()&0o022 != 0, st.Uid != 0 && int(st.Uid) != os.Geteuid():
		return errors.New("others can have written it, and so it is not followed")
	}
	return nil
}

// parseJournal reads the entries and how many bytes they take. What is behind the last
// line end is the beginning of a line that a crash has cut off: the change that it would
// tell of was not begun.
func parseJournal(r io.Reader) (entries []Entry, size int64, err error) {
	b := bufio.NewReader(r)
	for n := 1; ; n++ {
		text, err := b.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			return entries, size, nil
		}
		if err != nil {
			return nil, 0, err
		}
		var l line
		if err := json.Unmarshal(text, &l); err != nil {
			return nil, 0, fmt.Errorf("line %d: %w", n, err)
		}
		if l.Begin != nil {
			entries = append(entries, Entry{Time: l.Begin.Time, About: l.Begin.About, start: size, folder: l.Begin.Folder})
		}
		if len(entries) == 0 {
			return nil, 0, fmt.Errorf("line %d: a change of no set-up", n)
		}
		e := &entries[len(entries)-1]
		if l.Change != nil {
			c, err := l.Change.decode()
			if err != nil {
				return nil, 0, fmt.Errorf("line %d: %w", n, err)
			}
			e.Changes = append(e.Changes, c)
		}
		e.Complete = l.End
		size += int64(len(text))
	}
}

// begin opens an entry, or the last one again where that is about the same and did not
// come to its end.
func (j *Journal) begin(about string) error {
	f, err := os.OpenFile(j.path, os.O_RDWR|os.O_CREATE|os.O_APPEND|syscall.O_NOFOLLOW, 0o600)
	if err != nil {
		return err
	}
	j.file = f
	if err := trusted(f); err != nil {
		return fmt.Errorf("the journal %s: %w", j.path, err)
	}
	entries, size, err := parseJournal(f)
	if err == nil {
		err = f.Truncate(size) // of a line that a crash has cut off
	}
	if err != nil {
		return fmt.Errorf("the journal %s: %w", j.path, err)
	}
	if err := j.folder.Sync(); err != nil {
		return err
	}
	if n := len(entries); n > 0 && !entries[n-1].Complete && entries[n-1].About == about {
		return nil
	}
	return j.write(line{Begin: &header{j.now().UTC(), about, j.made}})
}

// step notes a change that comes next.
func (j *Journal) step(c Change) error {
	e, err := encode(c)
	if err != nil {
		return err
	}
	return j.write(line{Change: &e})
}

// end notes that a set-up has come to its end.
func (j *Journal) end() error {
	if err := j.write(line{End: true}); err != nil {
		return err
	}
	j.made = false
	return nil
}

func (j *Journal) write(l line) error {
	var b bytes.Buffer
	err := json.NewEncoder(&b).Encode(l) // which ends the line
	if err == nil {
		_, err = j.file.Write(b.Bytes())
	}
	if err = errors.Join(err, j.file.Sync()); err != nil {
		return fmt.Errorf("the journal: %w", err)
	}
	return nil
}

// Mend takes back what a set-up that did not come to its end may have done in part: its
// last change or, since those are made side by side, the keys at the end that are not
// whole. It returns the changes that are done. Where every set-up came to its end it does
// nothing.
func (j *Journal) Mend(ctx context.Context, s System) ([]Change, error) {
	entries, err := j.Entries()
	if n := len(entries); err != nil || n == 0 || entries[n-1].Complete || len(entries[n-1].Changes) == 0 {
		return nil, err
	}
	changes := entries[len(entries)-1].Changes
	end := len(changes)
	for end > 0 {
		if _, key := changes[end-1].(*PrivateKey); !key {
			break
		}
		end--
	}
	if end == len(changes) {
		end--
	}
	done := slices.Clone(changes[:end])
	for _, c := range changes[end:] {
		if k, ok := c.(*PrivateKey); ok && k.whole() {
			done = append(done, c)
		} else if _, err := c.revert(ctx, s); err != nil {
			return nil, &Stopped{At: c, Err: err}
		}
	}
	return done, nil
}

// Undo takes back the last entry, the last change first, and takes it off the journal.
// done is told of each change and of what was left as it is. On an error the entry stays,
// and Undo can be called again.
func (j *Journal) Undo(ctx context.Context, s System, done func(Change, Left)) error {
	entries, err := j.Entries()
	if err != nil || len(entries) == 0 {
		return err
	}
	last := entries[len(entries)-1]
	for i := len(last.Changes) - 1; i >= 0; i-- {
		c := last.Changes[i]
		if err := ctx.Err(); err != nil {
			return &Stopped{At: c, Err: err}
		}
		left, err := c.revert(context.WithoutCancel(ctx), s)
		if err != nil {
			return &Stopped{At: c, Err: err}
		}
		done(c, left)
	}
	return j.cut(entries)
}

// cut takes the last entry off the file; without any it goes, and its folder if the
// journal has made it.
func (j *Journal) cut(entries []Entry) error {
	last := entries[len(entries)-1]
	if len(entries) > 1 {
		f, err := os.OpenFile(j.path, os.O_WRONLY|syscall.O_NOFOLLOW, 0)
		if err != nil {
			return err
		}
		return errors.Join(f.Truncate(last.start), f.Sync(), f.Close())
	}
	if err := folder.Remove(j.path); err != nil {
		return err
	}
	j.made = j.made || last.folder // Close removes it
	return nil
}
