package service

import (
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/postseal/postseal/config/opendkim"
)

func TestFindAccount(t *testing.T) {
	for _, tt := range []struct {
		userID string
		want   account
		err    string
	}{
		{"", account{uid: os.Geteuid(), gid: os.Getegid()}, ""},
		{"root", account{groups: []int{0}}, ""},
		{"0:0", account{groups: []int{0}}, ""},
		{"root:daemon", account{gid: 1, groups: []int{1}}, ""},
		{"nosuch", account{}, "no such user 'nosuch'"},
		{"", account{uid: os.Geteuid(), gid: os.Getegid()}, ""},
		{":root", account{}, "no such user ''"},
		{"root:", account{}, "no such group ''"},
		{"root:nosuch", account{}, "no such group 'nosuch'"},
		{"root:4000000", account{}, "no such group '4000000'"},
		{"4000000", account{}, "no such user '4000000'"},
	} {
		got, err := findAccount(tt.userID)
		if err != nil {
			if err.Error() != tt.err || exitOf(err) != ExitNoUser {
				t.Errorf("%q: %v, exit %d; want %q", tt.userID, err, exitOf(err), tt.err)
			}
			continue
		}
		if got.uid != tt.want.uid || got.gid != tt.want.gid || !slices.Equal(got.groups, tt.want.groups) || tt.err != "" {
			t.Errorf("%q: %+v, want %+v %s", tt.userID, got, tt.want, tt.err)
		}
	}
}

// verify sees that the process is not the account, and that root is still there.
func TestVerifyPrivileges(t *testing.T) {
	groups, err := os.Getgroups()
	if err != nil {
		t.Fatal(err)
	}
	me := account{uid: os.Getuid(), gid: os.Getgid(), groups: groups}
	other := me
	other.uid++
	if err := other.verify(); err == nil || exitOf(err) != ExitNoPerm {
		t.Errorf("another user: %v", err)
	}
	more := me
	more.groups = append(slices.Clone(groups), 4_000_000)
	if err := more.verify(); err == nil {
		t.Error("a group is missing, and nobody says so")
	}
	if err := me.verify(); (err == nil) != (os.Geteuid() != 0) {
		t.Errorf("ourselves, as user %d: %v", os.Geteuid(), err)
	}
}

// Nothing that another user put in the pid file's place is followed or lost.
func TestPidFile(t *testing.T) {
	own := strconv.Itoa(os.Getpid()) + "\n"
	for _, tt := range []struct {
		name    string
		prepare func(dir string) error
		fails   bool
	}{
		{"new", func(string) error { return nil }, false},
		{"an old one", func(dir string) error { return os.WriteFile(dir+"/pid", []byte("1\n"), 0o600) }, false},
		{"a link", func(dir string) error { return os.Symlink("victim", dir+"/pid") }, false},
		{"a link for the next", func(dir string) error { return os.Symlink("victim", dir+"/pid.new") }, false},
		{"a folder", func(dir string) error { return os.Mkdir(dir+"/pid", 0o700) }, true},
		{"no folder", func(dir string) error { return os.Remove(dir) }, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "run")
			if err := os.Mkdir(dir, 0o755); err != nil {
				t.Fatal(err)
			}
			if tt.name != "no folder" {
				if err := os.WriteFile(dir+"/victim", []byte("precious"), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			if err := tt.prepare(dir); err != nil {
				t.Fatal(err)
			}
			p := pidFile{path: dir + "/pid"}
			err := p.write()
			if (err != nil) != tt.fails {
				t.Fatalf("error %v", err)
			}
			if victim, err := os.ReadFile(dir + "/victim"); err == nil && string(victim) != "precious" {
				t.Errorf("the other file is now %q", victim)
			}
			if tt.fails {
				return
			}
			fi, err := os.Lstat(p.path)
			if err != nil || fi.Mode() != 0o644 {
				t.Errorf("%v, %v", fi.Mode(), err)
			}
			if data, err := os.ReadFile(p.path); err != nil || string(data) != own {
				t.Errorf("%q, %v", data, err)
			}
			p.remove(false)
			if left, _ := filepath.Glob(dir + "/pid*"); len(left) > 0 {
				t.Errorf("left: %q", left)
			}
		})
	}
	t.Run("a pipe, later", func(t *testing.T) {
		p := pidFile{path: filepath.Join(t.TempDir(), "pid")}
		if err := syscall.Mkfifo(p.path, 0o600); err != nil {
			t.Fatal(err)
		}
		p.remove(false) // and does not wait for a writer
		if _, err := os.Lstat(p.path); err != nil {
			t.Error(err)
		}
	})
	// A start that fails beside a running daemon does not take its pid file away.
	t.Run("a failed start", func(t *testing.T) {
		for before, want := range map[int]string{os.Getppid(): strconv.Itoa(os.Getppid()) + "\n", 1 << 30: "", 0: ""} {
			p := pidFile{path: filepath.Join(t.TempDir(), "pid")}
			if err := os.WriteFile(p.path, []byte(strconv.Itoa(before)), 0o600); err != nil {
				t.Fatal(err)
			}
			if err := p.write(); err != nil {
				t.Fatal(err)
			}
			p.remove(true)
			if data, _ := os.ReadFile(p.path); string(data) != want {
				t.Errorf("%d was there before; now %q, want %q", before, data, want)
			}
		}
	})
	t.Run("of another daemon", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "pid")
		if err := os.WriteFile(path, []byte("1\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		(&pidFile{path: path}).remove(false)
		if _, err := os.Stat(path); err != nil {
			t.Error(err)
		}
	})
}

// A pid file that cannot be written ends the start, but not that of an
// opendkim.conf.
func TestPidFileTrouble(t *testing.T) {
	var log strings.Builder
	for _, lenient := range []bool{true, false} {
		o := Options{Lenient: lenient}
		err := o.writePid(&pidFile{path: "/nonexistent/pid"}, slog.New(slog.NewTextHandler(&log, nil)))
		if (err == nil) != lenient {
			t.Errorf("lenient %v: %v", lenient, err)
		}
	}
	if strings.Count(log.String(), "no pid file") != 1 {
		t.Error(log.String())
	}
}

func TestRestarts(t *testing.T) {
	start := time.Date(2026, 11, 2, 10, 0, 0, 0, time.UTC)
	for _, tt := range []struct {
		name     string
		restarts restarts
		after    []time.Duration // of each restart, from the start on
		err      string          // of the last
	}{
		{"no limit", restarts{}, make([]time.Duration, 100), ""},
		{"count", restarts{limit: 2}, []time.Duration{0, time.Hour}, ""},
		{"count, exceeded", restarts{limit: 2}, []time.Duration{0, time.Hour, 48 * time.Hour}, "maximum restart count exceeded"},
		{"rate", restarts{rate: opendkim.Rate{Count: 2, Per: time.Hour}}, []time.Duration{0, time.Minute, time.Hour, 61 * time.Minute}, ""},
		{"rate, exceeded", restarts{rate: opendkim.Rate{Count: 2, Per: time.Hour}}, []time.Duration{0, time.Minute, 59 * time.Minute}, "maximum restart rate exceeded"},
	} {
		var err error
		for n, d := range tt.after {
			if err = tt.restarts.another(start.Add(d)); err != nil && n < len(tt.after)-1 {
				t.Errorf("%s: restart %d: %v", tt.name, n, err)
			}
		}
		if err == nil && tt.err != "" || err != nil && err.Error() != tt.err {
			t.Errorf("%s: %v, want %q", tt.name, err, tt.err)
		}
	}
}

func TestExitOf(t *testing.T) {
	cause := errors.New("cause")
	for want, err := range map[int]error{
		0:               nil,
		ExitSoftware:    cause,
		ExitConfig:      withExit(cause, ExitConfig),
		ExitUnavailable: withExit(&Error{ExitUnavailable, cause}, ExitConfig),
	} {
		if got := exitOf(err); got != want || err != nil && !errors.Is(err, cause) {
			t.Errorf("%v: %d, want %d", err, got, want)
		}
	}
}
