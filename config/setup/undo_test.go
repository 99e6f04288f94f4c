package setup

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// machine is a made-up machine: files in a folder, and accounts and services that
// programs change.
type machine struct {
	dir   string
	users map[string]bool // also groups, as "group NAME"
	in    map[string]bool // "USER GROUP"
	up    bool
	fails string // a command that fails
	ran   []string
}

func newMachine(t *testing.T) *machine {
	t.Helper()
	m := &machine{dir: t.TempDir(), users: map[string]bool{"passwd postfix": true, "group postfix": true}, in: map[string]bool{}}
	m.write(t, "main.cf", "a = 1\nb = \xe4\n")
	m.write(t, "master.cf", "smtp inet\n")
	m.write(t, "old.table", "# rows\nother x") // without an end of line
	m.write(t, "settings", "one\r\ntwo\r\n")
	return m
}

func (m *machine) write(t *testing.T, name, text string) {
	t.Helper()
	path := m.dir + "/" + name
	_, err := os.Stat(path)
	if werr := os.WriteFile(path, []byte(text), 0o600); werr != nil {
		t.Fatal(werr)
	}
	if errors.Is(err, fs.ErrNotExist) { // whatever the umask is
		if err := os.Chmod(path, 0o640); err != nil {
			t.Fatal(err)
		}
	}
}

// run plays the programs of accounts and services.
func (m *machine) run(_ context.Context, argv ...string) (string, error) {
	line := strings.Join(argv, " ")
	m.ran = append(m.ran, line)
	if m.fails != "" && strings.HasPrefix(line, m.fails) {
		return "", errors.New(argv[0] + " failed")
	}
	last := argv[len(argv)-1]
	missing := func(key string) error {
		if !m.users[key] {
			return fmt.Errorf("no %s", key)
		}
		return nil
	}
	switch argv[0] {
	case "getent":
		return "", missing(argv[1] + " " + last)
	case "groupadd":
		m.users["group "+last] = true
	case "useradd":
		m.users["passwd "+last] = true
	case "userdel":
		err := missing("passwd " + last)
		delete(m.users, "passwd "+last)
		delete(m.users, "group "+last)
		return "", err
	case "groupdel":
		err := missing("group " + last)
		delete(m.users, "group "+last)
		return "", err
	case "usermod":
		m.in[last+" "+argv[3]] = true
	case "gpasswd":
		delete(m.in, argv[2]+" "+last)
	case "id":
		for key := range m.in {
			if user, group, _ := strings.Cut(key, " "); user == last {
				return "postfix " + group, nil
			}
		}
	case "up":
		m.up = true
	case "down":
		m.up = false
	default:
		return "", fmt.Errorf("no program %s", argv[0])
	}
	return "", nil
}

func (m *machine) system() System { return System{Run: m.run} }

// state is everything that a set-up may change, with modes.
func (m *machine) state(t *testing.T) string {
	t.Helper()
	var b strings.Builder
	err := filepath.WalkDir(m.dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		name := strings.TrimPrefix(path, m.dir)
		if !d.IsDir() {
			text, err := os.ReadFile(path)
			fmt.Fprintf(&b, "%s %v %q\n", name, info.Mode(), text)
			return err
		}
		fmt.Fprintf(&b, "%s %v\n", name, info.Mode())
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprintln(&b, m.users, m.in, m.up)
	return b.String()
}

// plan has a change of every kind.
func (m *machine) plan(t *testing.T) *Plan {
	t.Helper()
	read := func(name string) []byte {
		text, err := os.ReadFile(m.dir + "/" + name)
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	file := func(name, added string) File {
		before := read(name)
		return File{Path: m.dir + "/" + name, Before: before, After: slices.Concat(before, []byte(added+"\n")), Added: []string{added}}
	}
	settings, mainCF, masterCF := file("settings", "three"), file("main.cf", "smtpd_milters = x"), file("master.cf", " -o x")
	return &Plan{Changes: []Change{
		&Account{Name: "postseal", NewGroup: true, Folders: []string{m.dir + "/etc/keys"}},
		&Folder{Path: m.dir + "/etc", Mode: 0o755},
		&File{Path: m.dir + "/etc/new.table", New: true, Mode: 0o644, After: []byte("# rows\n")},
		&Command{Undo: []string{"down"}},
		&settings,
		&Folder{Path: m.dir + "/etc/keys", Mode: 0o700},
		&PrivateKey{Path: m.dir + "/etc/keys/k", Type: "ed25519"},
		&Rows{Path: m.dir + "/etc/new.table", Rows: []string{"a 1", "b 2"}},
		&Rows{Path: m.dir + "/old.table", Rows: []string{"a 1", "b 2"}},
		&Member{User: "postfix", Group: "postseal"},
		&Command{Argv: []string{"up"}, Undo: []string{"down"}},
		&Wiring{Dir: m.dir, Files: []File{mainCF, masterCF}},
	}}
}

func (m *machine) journal(t *testing.T) *Journal {
	t.Helper()
	j, err := OpenJournal(t.Context(), m.dir+"/var/journal", func() time.Time { return time.Unix(1, 0) }, nil)
	if err != nil {
		t.Fatal(err)
	}
	return j
}

// undo takes everything back, and returns what was left.
func (m *machine) undo(t *testing.T) (left []Left) {
	t.Helper()
	j := m.journal(t)
	defer j.Close()
	for {
		entries, err := j.Entries()
		if err != nil {
			t.Fatal(err)
		}
		if len(entries) == 0 {
			return left
		}
		err = j.Undo(t.Context(), m.system(), func(_ Change, l Left) {
			if l != (Left{}) {
				left = append(left, l)
			}
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

// wantBack takes everything back: nothing is left, and the machine is as it was.
func (m *machine) wantBack(t *testing.T, before string) {
	t.Helper()
	if left := m.undo(t); left != nil {
		t.Errorf("left: %q", left)
	}
	if diff := cmp.Diff(before, m.state(t)); diff != "" {
		t.Errorf("-before +after:\n%s", diff)
	}
}

// killed ends a set-up as a crash does: at its first change, or once that is noted.
type killed struct {
	Change
	noted bool
}

var errKilled = errors.New("killed")

func (k *killed) do(ctx context.Context, s System, log func(Change) error) error {
	if !k.noted {
		return errKilled
	}
	return k.Change.do(ctx, s, func(c Change) error { return errors.Join(log(c), errKilled) })
}

// A set-up that is cut off anywhere is taken back whole.
func TestUndoAfterCrash(t *testing.T) {
	n := len(newMachine(t).plan(t).Changes)
	for i := range n + 1 {
		for _, noted := range []bool{false, true} {
			t.Run(fmt.Sprintf("%d %t", i, noted), func(t *testing.T) {
				m := newMachine(t)
				before := m.state(t)
				plan := m.plan(t)
				if i < n {
					plan.Changes[i] = &killed{plan.Changes[i], noted}
				}
				j := m.journal(t)
				err := plan.Apply(t.Context(), m.system(), j, "test", nil)
				if i < n && !errors.Is(err, errKilled) || i == n && err != nil {
					t.Fatal(err)
				}
				if err := j.Close(); err != nil {
					t.Fatal(err)
				}
				if i > 0 && m.state(t) == before {
					t.Fatal("nothing was done")
				}
				m.wantBack(t, before)
			})
		}
	}
}

// A run of the same goes on where one was cut off, and both are taken back as one.
func TestGoOn(t *testing.T) {
	n := len(newMachine(t).plan(t).Changes)
	for i := range n {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			m := newMachine(t)
			before := m.state(t)
			plan, rest := m.plan(t), m.plan(t)
			plan.Changes[i] = &killed{plan.Changes[i], true}
			j := m.journal(t)
			if err := plan.Apply(t.Context(), m.system(), j, "test", nil); !errors.Is(err, errKilled) {
				t.Fatal(err)
			}
			j.Close()
			j = m.journal(t)
			done, err := j.Mend(t.Context(), m.system())
			if err != nil || len(done) != i {
				t.Fatalf("%d changes, %v", len(done), err)
			}
			rest.Changes = rest.Changes[i:]
			if err := rest.Apply(t.Context(), m.system(), j, "test", nil); err != nil {
				t.Fatal(err)
			}
			if entries, err := j.Entries(); err != nil || len(entries) != 1 || !entries[0].Complete {
				t.Errorf("%v, %v", entries, err)
			}
			j.Close()
			if !m.up || !m.in["postfix postseal"] {
				t.Error("not all is done")
			}
			m.wantBack(t, before)
		})
	}
}

// What a crash leaves of a single change.
func TestUndoHalfDone(t *testing.T) {
	for _, tt := range []struct {
		name string
		half func(t *testing.T, m *machine)
	}{
		{"the beginning of a new file", func(t *testing.T, m *machine) { m.write(t, "etc/new.table", "# ro") }},
		{"an empty new file", func(t *testing.T, m *machine) { m.write(t, "etc/new.table", "") }},
		{"the beginning of a key", func(t *testing.T, m *machine) { m.write(t, "etc/keys/k", "-----BEGIN PRI") }},
		{"the beginning of rows", func(t *testing.T, m *machine) { m.write(t, "old.table", "# rows\nother x\na 1\nb") }},
		{"no row", func(t *testing.T, m *machine) { m.write(t, "old.table", "# rows\nother x") }},
		{"one of two files of Postfix", func(t *testing.T, m *machine) { m.write(t, "master.cf", "smtp inet\n") }},
		{"a new text that is not in its place", func(t *testing.T, m *machine) {
			m.write(t, "settings", "one\r\ntwo\r\n")
			m.write(t, "settings"+unfinished, "one\r\n")
		}},
		{"a group without its user", func(t *testing.T, m *machine) { delete(m.users, "passwd postseal") }},
		{"nobody", func(t *testing.T, m *machine) { delete(m.users, "passwd postseal"); delete(m.users, "group postseal") }},
		{"no member", func(t *testing.T, m *machine) { delete(m.in, "postfix postseal") }},
		{"no key", func(t *testing.T, m *machine) { os.Remove(m.dir + "/etc/keys/k") }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m := newMachine(t)
			before := m.state(t)
			m.apply(t, m.plan(t))
			tt.half(t, m)
			m.wantBack(t, before)
		})
	}
}

func (m *machine) apply(t *testing.T, plan *Plan) {
	t.Helper()
	j := m.journal(t)
	defer j.Close()
	if err := plan.Apply(t.Context(), m.system(), j, "test", nil); err != nil {
		t.Fatal(err)
	}
}

// What others have done since stays, and only what is ours goes.
func TestUndoChangedSince(t *testing.T) {
	for _, tt := range []struct {
		name, file, now, after string
		left                   []string
	}{
		{"rows of others", "old.table", "mine 1\n# rows\nother x\na 1\nb 2\nlater 2\n", "mine 1\n# rows\nother x\nlater 2\n", []string{"old.table: it was changed since"}},
		{"a row of ours is gone", "old.table", "# rows\nother x\nb 2\n", "# rows\nother x\n", []string{"old.table: it was changed since"}},
		{"all of ours are gone", "old.table", "# rows\nother y\n", "# rows\nother y\n", nil},
		{"the table is gone", "old.table", "-", "-", nil},
		{"a new table with rows of others", "etc/new.table", "# rows\na 1\nb 2\nlater 2\n", "# rows\nlater 2\n",
			[]string{"new.table: it was changed since", "new.table: it was changed since", "/etc: other"}},
		{"settings", "settings", "zero\none\r\ntwo\r\nthree\n", "zero\none\r\ntwo\r\n", []string{"settings: it was changed since"}},
		{"another key", "etc/keys/k", "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g\n-----END PRIVATE KEY-----\n", "",
			[]string{"it is another key", "keys: other", "etc: other", "user postseal: "}},
		{"another key beside", "etc/keys/k2", "key", "key", []string{"keys: other", "etc: other", "user postseal: "}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m := newMachine(t)
			m.apply(t, m.plan(t))
			if tt.now == "-" {
				if err := os.Remove(m.dir + "/" + tt.file); err != nil {
					t.Fatal(err)
				}
			} else {
				m.write(t, tt.file, tt.now)
			}
			left := m.undo(t)
			if len(left) != len(tt.left) {
				t.Errorf("left: %q, want %q", left, tt.left)
			} else {
				for i, l := range left {
					if !strings.Contains(l.String(), tt.left[i]) {
						t.Errorf("left: %q, want %q", l, tt.left[i])
					}
				}
			}
			got, err := os.ReadFile(m.dir + "/" + tt.file)
			if tt.after == "-" && errors.Is(err, fs.ErrNotExist) {
				return
			}
			want := tt.after
			if want == "" {
				want = tt.now
			}
			if string(got) != want {
				t.Errorf("%q, want %q", got, want)
			}
			if info, err := os.Stat(m.dir + "/old.table"); tt.file == "old.table" && (err != nil || info.Mode() != 0o640) {
				t.Errorf("%v, %v", info, err)
			}
		})
	}
}

// Where a change fails, it is said what was done, and the rest is not begun; what was
// done is taken back.
func TestApplyFails(t *testing.T) {
	for _, fails := range []string{"groupadd", "useradd", "usermod", "up"} {
		t.Run(fails, func(t *testing.T) {
			m := newMachine(t)
			before := m.state(t)
			m.fails = fails
			plan := m.plan(t)
			j := m.journal(t)
			err := plan.Apply(t.Context(), m.system(), j, "test", nil)
			j.Close()
			var stopped *Stopped
			if !errors.As(err, &stopped) || len(stopped.Done)+1+len(stopped.Rest) != len(plan.Changes) {
				t.Fatalf("%v", err)
			}
			m.wantBack(t, before)
		})
	}
}

// A set-up that is to end does so between two changes.
func TestApplyInterrupted(t *testing.T) {
	m := newMachine(t)
	before := m.state(t)
	ctx, cancel := context.WithCancel(t.Context())
	j := m.journal(t)
	made := 0
	err := m.plan(t).Apply(ctx, m.system(), j, "test", func(Change) {
		if made++; made == 6 {
			cancel()
		}
	})
	if !errors.Is(err, context.Canceled) || made != 6 {
		t.Errorf("%d changes: %v", made, err)
	}
	if entries, err := j.Entries(); err != nil || len(entries) != 1 || entries[0].Complete || len(entries[0].Changes) != 6 {
		t.Errorf("%v, %v", entries, err)
	}
	j.Close()
	m.wantBack(t, before)
}

// What fails to be taken back stays in the journal, and is taken back later.
func TestUndoFails(t *testing.T) {
	m := newMachine(t)
	before := m.state(t)
	m.apply(t, m.plan(t))
	m.fails = "gpasswd"
	j := m.journal(t)
	var stopped *Stopped
	if err := j.Undo(t.Context(), m.system(), func(Change, Left) {}); !errors.As(err, &stopped) || stopped.At.Line() != "user postfix in group postseal" {
		t.Errorf("%v", err)
	}
	j.Close()
	m.fails = ""
	m.wantBack(t, before)
}

// A file that somebody changes between plan and deed is not overwritten.
func TestApplyMeanwhile(t *testing.T) {
	m := newMachine(t)
	plan := m.plan(t)
	m.write(t, "settings", "mine\n")
	j := m.journal(t)
	if err := plan.Apply(t.Context(), m.system(), j, "test", nil); !errors.Is(err, errChanged) {
		t.Errorf("%v", err)
	}
	j.Close()
	m.undo(t)
	if got, _ := os.ReadFile(m.dir + "/settings"); string(got) != "mine\n" {
		t.Errorf("%q", got)
	}
}

// A journal may say anything of a table that was changed since.
func TestUndoWrongSize(t *testing.T) {
	for _, size := range []int64{-1, 1 << 40} {
		m := newMachine(t)
		m.write(t, "old.table", "a 1\nmine 2\n")
		left, err := (&Rows{Path: m.dir + "/old.table", Rows: []string{"a 1"}, Size: size}).revert(t.Context(), System{})
		if text, _ := os.ReadFile(m.dir + "/old.table"); err != nil || left == (Left{}) || string(text) != "mine 2\n" {
			t.Errorf("%q, %v, %v", text, left, err)
		}
	}
}

// A link that somebody has put in the place of a folder is theirs, and so is what is in
// the folder that it leads to.
func TestUndoLink(t *testing.T) {
	dir := t.TempDir()
	if err := errors.Join(os.Mkdir(dir+"/theirs", 0o700), os.Symlink("theirs", dir+"/ours")); err != nil {
		t.Fatal(err)
	}
	if left, err := (&Folder{Path: dir + "/ours"}).revert(t.Context(), System{}); err != nil || left != (Left{}) {
		t.Errorf("%v, %v", left, err)
	}
	wantFiles(t, dir, "ours", "theirs")
}

// A service that has gone needs no stop, a command that fails is left to a person.
func TestUndoCommand(t *testing.T) {
	for _, tt := range []struct {
		name string
		err  error
		left bool
	}{
		{"it works", nil, false},
		{"no such unit", errors.New("systemctl disable x failed: Failed to disable unit: Unit file x does not exist."), false},
		{"no such program", fmt.Errorf("postfix: %w", ErrNoProgram), false},
		{"another reason", errors.New("postfix reload failed: it says no"), true},
	} {
		s := System{Run: func(context.Context, ...string) (string, error) { return "", tt.err }}
		left, err := (&Command{Undo: []string{"down"}}).revert(t.Context(), s)
		if err != nil || (left != Left{}) != tt.left || tt.left && !strings.Contains(left.String(), "it says no; run it if it is still needed") {
			t.Errorf("%s: %v, %v", tt.name, left, err)
		}
	}
}
