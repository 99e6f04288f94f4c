package watch

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Without notifications the files are looked at, and the log says so once.
func TestNoNotifications(t *testing.T) {
	for _, row := range []struct {
		name string
		err  error
		log  []string
	}{
		{"no more instances", syscall.EMFILE, []string{"level=WARN", "fs.inotify.max_user_instances"}},
		{"no more watches", fmt.Errorf("folder: %w", syscall.ENOSPC), []string{"level=WARN", "fs.inotify.max_user_watches"}},
		{"a folder that may not be read", syscall.EACCES, []string{"level=INFO"}},
		{"anything else", syscall.ENOMEM, []string{"level=WARN"}},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			f := newFolder(t)
			f.write("file", "x")
			f.write("other", "x")
			var failing fails
			failing.set(row.err)
			r := start(t, func(w *Watcher) {
				w.often = time.Millisecond
				w.open = func(stirred chan<- struct{}) (*notifier, error) {
					if err := failing.get(); err != nil {
						return nil, err
					}
					return newNotifier(stirred)
				}
			}, f.at("file"), f.at("other"))
			f.write("file", "y")
			r.want(f.at("file"))
			f.remove("file")
			r.want(f.at("file"))
			text := r.log.String()
			if strings.Count(text, "not notified") != 1 || slices.ContainsFunc(row.log, func(s string) bool { return !strings.Contains(text, s) }) {
				t.Errorf("the log:\n%s", text)
			}
			failing.set(nil)
			f.write("file", "z") // from here on there are notifications
			r.want(f.at("file"))
			for end := time.Now().Add(30 * time.Second); !strings.Contains(r.log.String(), "notified by the system again"); time.Sleep(time.Millisecond) {
				if time.Now().After(end) {
					t.Fatalf("the log:\n%s", r.log)
				}
			}
		})
	}
}

// A folder that its user may enter and not read has no notifications.
func TestUnreadableFolder(t *testing.T) {
	if os.Geteuid() == 0 {
		runAsUser(t)
		return
	}
	f := newFolder(t)
	f.write("d/file", "x")
	f.must(os.Chmod(f.at("d"), 0o300))
	t.Cleanup(func() { f.must(os.Chmod(f.at("d"), 0o700)) })
	r := start(t, func(w *Watcher) { w.often = time.Millisecond }, f.at("d/file"))
	f.write("d/file", "y")
	r.want(f.at("d/file"))
	if !strings.Contains(r.log.String(), "permission denied") {
		t.Errorf("the log:\n%s", r.log)
	}
}

// What notifications do not tell of is found all the same.
func TestSeldom(t *testing.T) {
	f := newFolder(t)
	f.write("d/file", "x")
	f.mkdir("e")
	f.must(os.Link(f.at("d/file"), f.at("e/file"))) // inotify tells of the name that was used
	r := start(t, func(w *Watcher) { w.seldom = time.Millisecond }, f.at("d/file"))
	f.write("e/file", "y")
	r.want(f.at("d/file"))
}

// More events than the system keeps are no reason to miss one.
func TestManyEvents(t *testing.T) {
	f := newFolder(t)
	f.write("file", "x")
	r := start(t, nil, f.at("file"))
	for i := range 40_000 {
		f.must(os.Chmod(f.at("file"), 0o600|os.FileMode(i%2)<<3))
	}
	f.write("file", "the last")
	for seen := ""; seen != "the last"; {
		r.want(f.at("file"))
		data, err := os.ReadFile(f.at("file"))
		f.must(err)
		seen = string(data)
	}
}

// held is what the process has of what a watcher needs.
func held(t *testing.T) (goroutines, instances, watches int) {
	t.Helper()
	fds, err := filepath.Glob("/proc/self/fd/*")
	if err != nil {
		t.Fatal(err)
	}
	for _, fd := range fds {
		if to, err := os.Readlink(fd); err != nil || to != "anon_inode:inotify" {
			continue
		}
		instances++
		info, err := os.ReadFile("/proc/self/fdinfo/" + filepath.Base(fd))
		if err != nil {
			t.Fatal(err)
		}
		watches += strings.Count(string(info), "inotify wd:")
	}
	return runtime.NumGoroutine(), instances, watches
}

// Nothing is left of a watcher, nor of what it watched before. (This test is not
// parallel: it counts what the process has.)
func TestNothingIsLeft(t *testing.T) {
	goroutines, instances, _ := held(t)
	for range 20 {
		f := newFolder(t)
		f.write("file", "x")
		r := start(t, nil, f.at("file"))
		f.write("file", "y")
		r.want(f.at("file"))
		r.stop()
		r.Set([]string{f.at("file")}) // by a reload that ends late
		New(r.Watcher.log).Close()
	}
	for end := time.Now().Add(30 * time.Second); runtime.NumGoroutine() > goroutines; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%d goroutines, %d before", runtime.NumGoroutine(), goroutines)
		}
	}
	if _, now, _ := held(t); now != instances {
		t.Errorf("%d instances of inotify, %d before", now, instances)
	}

	f := newFolder(t)
	f.write("a/b/file", "x")
	f.write("c/file", "x")
	r := start(t, nil, f.at("a/b/file"), f.at("c/file"))
	_, _, before := held(t)
	if depth := strings.Count(f.at("a/b/file"), "/"); before != depth+1 {
		t.Errorf("%d watches for files in %d folders", before, depth+1)
	}
	for i := range 20 {
		f.rename("a", fmt.Sprint("old", i))
		f.write("a/b/file", "x")
		r.want(f.at("a/b/file"))
	}
	if _, _, now := held(t); now != before {
		t.Errorf("%d watches after folders were replaced, %d before", now, before)
	}
	r.Set([]string{f.at("c/file")})
	if _, _, now := held(t); now != before-2 {
		t.Errorf("%d watches without the folders a and a/b, %d with them", now, before)
	}
	r.Set(nil)
	if _, now, _ := held(t); now != instances {
		t.Errorf("%d instances of inotify without files, %d before", now, instances)
	}
	r.Set([]string{f.at("c/file")})
	f.write("c/file", "y")
	r.want(f.at("c/file"))
}

// runAsUser runs the test once more, as a user whom rights hold for.
func runAsUser(t *testing.T) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	program, err := os.ReadFile(self)
	if err != nil {
		t.Fatal(err)
	}
	const nobody = 65534
	dir := t.TempDir()
	for _, err := range []error{
		os.Chmod(filepath.Dir(dir), 0o755), os.WriteFile(dir+"/test", program, 0o755), os.Mkdir(dir+"/tmp", 0o700), os.Chown(dir+"/tmp", nobody, nobody),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command(dir+"/test", "-test.run", "^"+t.Name()+"$", "-test.v")
	cmd.Dir, cmd.Env = "/", append(os.Environ(), "TMPDIR="+dir+"/tmp")
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	if out, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(out), "--- PASS: "+t.Name()) {
		t.Errorf("as another user: %v\n%s", err, out)
	}
}
