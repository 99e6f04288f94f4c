package keys

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"golang.org/x/sys/unix"
)

// privateWalk judges files as they are, and takes every folder for root's: those
// of tests lie below /tmp.
func privateWalk() walk {
	w := systemWalk(os.Geteuid())
	w.stat = func(path string, st *unix.Stat_t) error {
		err := stat(path, st)
		if st.Mode&unix.S_IFMT == unix.S_IFDIR {
			st.Mode, st.Uid, st.Gid = unix.S_IFDIR|0o755, 0, 0
		}
		return err
	}
	return w
}

// swaps are ways to put an unsafe file in a safe one's place, and back: good and
// bad are such files, path is what is read.
var swaps = []struct {
	name string
	put  func(path, file string) error
}{
	{"a link", func(path, file string) error {
		if err := os.Remove(path + ".next"); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return errors.Join(os.Symlink(file, path+".next"), os.Rename(path+".next", path))
	}},
	{"a file", func(path, file string) error {
		text, err1 := os.ReadFile(file)
		fi, err2 := os.Stat(file)
		if err := errors.Join(err1, err2); err != nil {
			return err
		}
		return errors.Join(os.WriteFile(path+".next", text, 0o600), os.Chmod(path+".next", fi.Mode()), os.Rename(path+".next", path))
	}},
	{"a linked folder", func(path, file string) error {
		folder := filepath.Dir(path)
		if err := os.Remove(folder + ".next"); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return errors.Join(os.Symlink(filepath.Dir(file), folder+".next"), os.Rename(folder+".next", folder))
	}},
}

// swapped lays a safe and an unsafe file, and the path to be read.
func swapped(t *testing.T, put func(path, file string) error) (path, good, bad string) {
	t.Helper()
	dir := t.TempDir()
	good, bad = write(t, dir+"/good/k", "good"), write(t, dir+"/bad/k", "bad")
	for _, err := range []error{os.Chmod(good, 0o600), os.Chmod(bad, 0o644)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	path = dir + "/in/k"
	if err := put(path, good); err != nil { // it takes a folder
		if err := errors.Join(os.Mkdir(dir+"/in", 0o755), put(path, good)); err != nil {
			t.Fatal(err)
		}
	}
	return path, good, bad
}

// Whenever the file is exchanged, between any two looks at it or while it is read,
// an unsafe one is never used.
func TestSwapBetweenCheckAndUse(t *testing.T) {
	for _, swap := range swaps {
		t.Run(swap.name, func(t *testing.T) {
			path, good, bad := swapped(t, swap.put)
			put := func(file string) {
				t.Helper()
				if err := swap.put(path, file); err != nil {
					t.Fatal(err)
				}
			}
			refused := 0
			for first := range 12 { // the look before which the other file comes
				for second := range 12 { // and this one again
					put([]string{good, bad}[first%2])
					w, looks := privateWalk(), 0
					look := func() {
						switch looks++; looks {
						case first:
							put([]string{bad, good}[first%2])
						case first + second:
							put([]string{good, bad}[first%2])
						}
					}
					resolve, stat := w.resolve, w.stat
					w.resolve = func(path string) (string, error) { look(); return resolve(path) }
					w.stat = func(path string, st *unix.Stat_t) error { look(); return stat(path, st) }
					found, err := w.readFile(path, policy{safe: true})
					if err != nil {
						refused++
					} else if string(found.data) != "good" {
						t.Fatalf("exchanged before looks %d and %d: %q is used", first, first+second, found.data)
					}
				}
			}
			if refused == 0 || refused == 12*12 {
				t.Errorf("%d of %d were refused", refused, 12*12)
			}
		})
	}
}

// The same, while another process has all the time in the world.
func TestSwapInALoop(t *testing.T) {
	for _, swap := range swaps {
		t.Run(swap.name, func(t *testing.T) {
			path, good, bad := swapped(t, swap.put)
			end := make(chan struct{})
			var wg sync.WaitGroup
			wg.Go(func() {
				for {
					select {
					case <-end:
						return
					default:
					}
					if err := errors.Join(swap.put(path, bad), swap.put(path, good)); err != nil {
						t.Error(err)
						return
					}
				}
			})
			w := privateWalk()
			used := 0
			for range 3000 {
				found, err := w.readFile(path, policy{safe: true})
				switch {
				case err != nil:
				case string(found.data) != "good":
					t.Errorf("%q is used", found.data)
				default:
					used++
				}
			}
			close(end)
			wg.Wait()
			if found, err := w.readFile(path, policy{safe: true}); err != nil || string(found.data) != "good" {
				t.Errorf("at rest: %v", err)
			}
			t.Logf("%d of 3000 readings met the safe file", used)
		})
	}
}

// A process that may not read the files of accounts any more takes those that it
// has read.
func TestAccountsOutOfReach(t *testing.T) {
	gone := false
	c := newCopies()
	c.read = func(path string) ([]byte, error) {
		if gone {
			return nil, &fs.PathError{Op: "open", Path: path, Err: unix.EACCES}
		}
		return os.ReadFile(path)
	}
	w := fakeWalk(t, map[string]node{"/etc/keys/k": {0o640, daemon, group}, "/etc/keys/own": {0o640, daemon, alone}}, "")
	w.last = c
	ask := func() (other, own error) {
		_, _, other = w.check("/etc/keys/k")
		_, _, own = w.check("/etc/keys/own")
		return other, own
	}
	var unsafe *UnsafeError
	gone = true
	if _, own := ask(); own == nil || errors.As(own, &unsafe) {
		t.Errorf("without a word about groups: %v", own)
	}
	gone = false
	if other, own := ask(); !errors.As(other, &unsafe) || own != nil {
		t.Errorf("while they can be read: %v, %v", other, own)
	}
	gone = true
	if other, own := ask(); !errors.As(other, &unsafe) || own != nil {
		t.Errorf("out of reach: %v, %v", other, own)
	}
}
