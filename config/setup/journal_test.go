package setup

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// Several set-ups are taken back one by one, the last first.
func TestUndoOneByOne(t *testing.T) {
	m := newMachine(t)
	before := m.state(t)
	m.apply(t, m.plan(t))
	first := m.state(t)
	rows := &Plan{Changes: []Change{&Rows{Path: m.dir + "/old.table", Rows: []string{"c 3"}}}}
	m.apply(t, rows)
	j := m.journal(t)
	if err := j.Undo(t.Context(), m.system(), func(Change, Left) {}); err != nil {
		t.Fatal(err)
	}
	j.Close()
	if got := m.state(t); got != first {
		t.Errorf("after one undo:\n%s\nwant\n%s", got, first)
	}
	m.undo(t)
	if got := m.state(t); got != before {
		t.Errorf("after two:\n%s\nwant\n%s", got, before)
	}
}

// Who opens the journal while another set-up has it waits, and says so once.
func TestJournalWaits(t *testing.T) {
	m := newMachine(t)
	j := m.journal(t)
	waiting := make(chan struct{}, 10)
	opened := make(chan error)
	open := func(ctx context.Context) {
		other, err := OpenJournal(ctx, m.dir+"/var/journal", time.Now, func() { waiting <- struct{}{} })
		if err == nil {
			err = other.Close()
		}
		opened <- err
	}
	ctx, cancel := context.WithCancel(t.Context())
	go open(ctx)
	<-waiting
	cancel()
	if err := <-opened; !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	go open(t.Context())
	<-waiting
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-opened; err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(m.dir + "/var"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the folder is left: %v", err)
	}
}

// Set-ups at once: each has the journal and the tables for itself.
func TestApplyAtOnce(t *testing.T) {
	m := newMachine(t)
	var wg sync.WaitGroup
	for i := range 10 {
		wg.Go(func() {
			j, err := OpenJournal(t.Context(), m.dir+"/var/journal", time.Now, nil)
			if err != nil {
				t.Error(err)
				return
			}
			defer j.Close()
			plan := &Plan{Changes: []Change{&Rows{Path: m.dir + "/old.table", Rows: []string{"row " + string(rune('a'+i))}}}}
			if err := plan.Apply(t.Context(), System{}, j, "test", nil); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if text, _ := os.ReadFile(m.dir + "/old.table"); strings.Count(string(text), "\nrow ") != 10 {
		t.Errorf("%q", text)
	}
	m.undo(t)
	if text, _ := os.ReadFile(m.dir + "/old.table"); string(text) != "# rows\nother x" {
		t.Errorf("%q", text)
	}
}

// A journal that others can have written is not followed, and one that is none is not
// taken for one.
func TestReadJournalErrors(t *testing.T) {
	const good = `{"begin":{"time":"2026-11-02T10:00:00Z","about":"x"}}` + "\n"
	for _, tt := range []struct {
		name, text string
		mode       os.FileMode
		want       string
	}{
		{"others can write", good, 0o622, "others can have written it"},
		{"no JSON", "begin\n", 0o600, "line 1"},
		{"an unknown change", good + `{"change":{"kind":"x","change":{}}}` + "\n", 0o600, `line 2: unknown kind of change "x"`},
		{"a change of nothing", `{"change":{"kind":"folder","change":{}}}` + "\n", 0o600, "line 1: a change of no set-up"},
		{"cut off", good + `{"change":{"kind":"fol`, 0o600, ""},
		{"empty", "", 0o600, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "journal")
			if err := errors.Join(os.WriteFile(path, []byte(tt.text), 0o600), os.Chmod(path, tt.mode)); err != nil {
				t.Fatal(err)
			}
			_, err := ReadJournal(path)
			if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
				t.Errorf("%v, want %q", err, tt.want)
			}
		})
	}
	dir := t.TempDir()
	if err := errors.Join(os.WriteFile(dir+"/huge", nil, 0o600), os.Truncate(dir+"/huge", maxJournal+1)); err != nil {
		t.Fatal(err)
	}
	if _, err := ReadJournal(dir + "/huge"); err == nil || !strings.Contains(err.Error(), "longer than") {
		t.Errorf("one that is huge: %v", err)
	}
	if err := os.Symlink("/etc/passwd", dir+"/journal"); err != nil {
		t.Fatal(err)
	}
	if _, err := ReadJournal(dir + "/journal"); err == nil {
		t.Error("a link is followed")
	}
}

// A name that JSON cannot hold is refused before anything is done.
func TestApplyNoUTF8(t *testing.T) {
	m := newMachine(t)
	j := m.journal(t)
	defer j.Close()
	plan := &Plan{Changes: []Change{&Folder{Path: m.dir + "/\xff", Mode: 0o755}}}
	if err := plan.Apply(t.Context(), System{}, j, "test", nil); err == nil || !strings.Contains(err.Error(), "not UTF-8") {
		t.Errorf("%v", err)
	}
	if _, err := os.Stat(m.dir + "/\xff"); err == nil {
		t.Error("it was made")
	}
}

// Whatever a journal says, it is read or refused, and its whole lines are counted.
func FuzzParseJournal(f *testing.F) {
	f.Add([]byte(`{"begin":{"time":"2026-11-02T10:00:00Z","about":"x"}}` + "\n" + `{"change":{"kind":"rows","change":{"path":"/t","rows":["a b"]}}}` + "\n" + `{"end":true}` + "\n{"))
	f.Add([]byte(`{"change":{"kind":"wiring","change":{"files":[{"before":"eA=="}]}}}` + "\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		entries, size, err := parseJournal(bytes.NewReader(data))
		if err != nil {
			return
		}
		if size != int64(bytes.LastIndexByte(data, '\n')+1) {
			t.Errorf("size %d of %q", size, data)
		}
		again, _, err := parseJournal(bytes.NewReader(data[:size]))
		if err != nil || len(again) != len(entries) {
			t.Errorf("%d entries, then %d, %v", len(entries), len(again), err)
		}
		for _, e := range entries {
			if e.start >= size {
				t.Errorf("an entry begins at %d of %d", e.start, size)
			}
			for _, c := range e.Changes {
				if _, err := encode(c); err != nil {
					t.Errorf("%v", err)
				}
			}
		}
	})
}
