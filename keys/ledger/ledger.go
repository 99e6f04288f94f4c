// Package ledger keeps what is known of keys that rotate, between runs: each with where
// it is in its life.
package ledger

import (
	"bytes"
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

// FileName is the file beside key_table that keeps what is known of keys between runs.
// Nothing in it is secret.
const FileName = "rotation.json"

const (
	// version is that of the file's form.
	version = 1
	// maxFile and mostKeys bound what is read.
	maxFile  = 64 << 20
	mostKeys = 200_000
)

// Ledger is what is kept of keys between runs. The zero Ledger is empty.
type Ledger struct {
	// Keys are in the order in which they came in.
	Keys []Key
	// Updates says, by domain, what records of a domain are handed to; a domain that is
	// not in it has them published by a person.
	Updates map[string]Update

	path string
	file *os.File // locked; nil for one that was only read
}

// Update is a name server that takes records (RFC 2136).
type Update struct {
	// Server is ADDRESS or ADDRESS:PORT, or "" for the primary that the zone names.
	Server string `json:"server,omitempty"`
	// TSIGKey is the file of the TSIG key, "" for none.
	TSIGKey string `json:"tsig_key,omitempty"`
}

// ledgerFile is the form of the file.
type ledgerFile struct {
	Version int               `json:"version"`
	Updates map[string]Update `json:"updates,omitempty"`
	Keys    []Key             `json:"keys"`
}

// Read reads a ledger to look at, without waiting for anybody. One that is not there
// is empty.
func Read(path string) (*Ledger, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return &Ledger{path: path}, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	l, err := read(f)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	l.path = path
	return l, nil
}

// Open reads a ledger to change it, and makes its file where there is none. Until it is
// closed, others wait who open it.
func Open(path string) (*Ledger, error) {
	for {
		f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0o644)
		if err != nil {
			return nil, err
		}
		current, err := folder.Lock(f, path, true)
		if err != nil || !current {
			_ = f.Close() // nothing was written
			if err != nil {
				return nil, fmt.Errorf("%s: %w", path, err)
			}
			continue
		}
		l, err := read(f)
		if err != nil {
			_ = f.Close()
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		l.path, l.file = path, f
		return l, nil
	}
}

// Close ends the wait of others. What was not saved is lost.
func (l *Ledger) Close() {
	if l.file != nil {
		_ = l.file.Close() // Save has written it down to the disk
		l.file = nil
	}
}

// Save writes the ledger down to the disk: who reads it finds all that was there
// before, or all that is there now. One that was only read is not written.
func (l *Ledger) Save() (err error) {
	if l.file == nil {
		return nil
	}
	text, err := l.encode()
	if err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(l.path), "."+FileName+".*")
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	// Others find it locked: they wait as they would for the one before.
	err = errors.Join(err, f.Chmod(0o644), f.Sync(), syscall.Flock(int(f.Fd()), syscall.LOCK_EX))
	if err == nil {
		err = os.Rename(f.Name(), l.path)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("%s could not be written: %w", l.path, err), os.Remove(f.Name()), f.Close())
	}
	l.Close()
	l.file = f
	dir, err := os.Open(filepath.Dir(l.path))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

func (l *Ledger) encode() ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetIndent("", "  ")
	err := e.Encode(ledgerFile{Version: version, Updates: l.Updates, Keys: append([]Key{}, l.Keys...)})
	return b.Bytes(), err
}

func read(f *os.File) (*Ledger, error) {
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, errors.New("is no regular file; move it away")
	}
	text, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, err
	}
	return parse(text)
}

// parse reads the text of the file; an empty one is that of a first run.
func parse(text []byte) (*Ledger, error) {
	if len(text) > maxFile {
		return nil, fmt.Errorf("larger than %d bytes; is this the right file?", maxFile)
	}
	if len(bytes.TrimSpace(text)) == 0 {
		return new(Ledger), nil
	}
	var head struct{ Version int }
	if err := json.Unmarshal(text, &head); err != nil {
		return nil, fmt.Errorf("%w; put back a copy, or move the file away: keys that sign go on signing, and rotations under way are forgotten", err)
	}
	if head.Version != version {
		return nil, fmt.Errorf("its form is version %d, and this postseal knows version %d; use the postseal that wrote it", head.Version, version)
	}
	var f ledgerFile
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(&f); err != nil {
		return nil, err
	}
	if len(f.Keys) > mostKeys {
		return nil, fmt.Errorf("%d keys; at most %d are possible", len(f.Keys), mostKeys)
	}
	seen := make(map[string]bool, len(f.Keys))
	for i, k := range f.Keys {
		if err := k.check(); err != nil {
			return nil, fmt.Errorf("key %d: %w", i+1, err)
		}
		if seen[k.Name] {
			return nil, fmt.Errorf("key %d: %q is there twice", i+1, k.Name)
		}
		seen[k.Name] = true
	}
	return &Ledger{Keys: f.Keys, Updates: f.Updates}, nil
}

// Find returns what is kept of a key, by its name in key_table; nil is nothing.
func (l *Ledger) Find(name string) *Key {
	for i := range l.Keys {
		if l.Keys[i].Name == name {
			return &l.Keys[i]
		}
	}
	return nil
}

// Of lists the keys of a domain, those first that are on their way to sign: what
// becomes of the others depends on them.
func (l *Ledger) Of(domain string) []Key {
	var list []Key
	for _, k := range l.Keys {
		if k.Domain == domain {
			list = append(list, k)
		}
	}
	slices.SortStableFunc(list, func(a, b Key) int { return a.State.order() - b.State.order() })
	return list
}

// Any reports whether a domain has a key in one of the states, of one type where kind
// names it.
func (l *Ledger) Any(domain, kind string, states ...State) bool {
	return slices.ContainsFunc(l.Keys, func(k Key) bool {
		return k.Domain == domain && (kind == "" || kind == k.Type) && slices.Contains(states, k.State)
	})
}

// Put keeps a key as it is now; one that is forgotten leaves.
func (l *Ledger) Put(k Key) {
	at := slices.IndexFunc(l.Keys, func(o Key) bool { return o.Name == k.Name })
	switch {
	case k.State == Forgotten && at < 0:
	case k.State == Forgotten:
		l.Keys = slices.Delete(l.Keys, at, at+1)
	case at < 0:
		l.Keys = append(l.Keys, k)
	default:
		l.Keys[at] = k
	}
}

// SetUpdate keeps what a domain's records are handed to; nil for a person.
func (l *Ledger) SetUpdate(domain string, u *Update) {
	if u == nil {
		delete(l.Updates, domain)
		return
	}
	if l.Updates == nil {
		l.Updates = map[string]Update{}
	}
	l.Updates[domain] = *u
}

// SetKeep says how long the records of a domain's keys stay after their last signature.
func (l *Ledger) SetKeep(domain string, keep time.Duration) {
	for i := range l.Keys {
		if l.Keys[i].Domain == domain {
			l.Keys[i].Keep = keep
		}
	}
}

// span is a time that waits, as the file has it.
type span time.Duration

// MarshalText implements encoding.TextMarshaler.
func (s span) MarshalText() ([]byte, error) { return []byte(time.Duration(s).String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (s *span) UnmarshalText(text []byte) error {
	d, err := time.ParseDuration(string(text))
	*s = span(d)
	return err
}
