package milter

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/postseal/postseal/keys"
	"github.com/postseal/postseal/milter/resolver"
)

// watching is a daemon's process whose configuration is all in files. It signs
// for example.com, and has a key for example.org that no row names.
type watching struct {
	*process
	t       *testing.T
	program string
	m       *mta // an MTA's connection that stays open
}

const (
	rowCom = "*@example.com com\n"
	rowOrg = "*@example.org org\n"
)

// startWatching lays the files, and whatever lay does to them, and starts the
// daemon. lines are further settings.
func startWatching(t *testing.T, program, lines string, lay func(w *watching)) *watching {
	t.Helper()
	w := layWatching(t, program, lines)
	if lay != nil {
		lay(w)
	}
	w.run(w.command())
	return w
}

// layWatching lays the files.
func layWatching(t *testing.T, program, lines string) *watching {
	t.Helper()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	w := &watching{t: t, program: program, process: &process{
		dir: dir, log: new(lockedLog), ended: make(chan error, 1), records: resolver.NewRecords(nil),
	}}
	w.key("com", "example.com")
	w.key("org", "example.org")
	w.put("key.table", "com example.com:com:"+w.at("com.private")+"\norg example.org:org:"+w.at("org.private")+"\n")
	w.put("signing.table", rowCom)
	w.put("hosts", "127.0.0.1\n")
	w.put("headers", "From\nSubject\n")
	w.put("rules", "no such text\tanother\n")
	w.settings(lines)
	return w
}

func (w *watching) command() *exec.Cmd {
	return exec.Command(w.program, "serve", "-c", w.at("postseal.toml"))
}

func (w *watching) run(cmd *exec.Cmd) {
	w.t.Helper()
	cmd.Stderr = w.log
	if err := cmd.Start(); err != nil {
		w.t.Fatal(err)
	}
	w.Process = cmd.Process
	gone := make(chan struct{})
	go func() { w.ended <- cmd.Wait(); close(gone) }()
	w.t.Cleanup(func() { _ = w.Kill(); <-gone })
	w.log.wait(w.t, "msg=started")
	w.m = w.connect(w.t, "s")
}

func (w *watching) settings(lines string) {
	w.t.Helper()
	settings := []string{
		fmt.Sprintf("socket = %q", "local:"+w.at("s")), fmt.Sprintf("runtime_directory = %q", w.at("run")), "require_safe_keys = false",
	}
	for _, line := range []string{`key_table = "file:key.table"`, `signing_table = "refile:signing.table"`, `internal_hosts = "file:hosts"`, `sign_headers = "file:headers"`} {
		if key, _, _ := strings.Cut(line, "="); !strings.Contains(lines, key) {
			settings = append(settings, line)
		}
	}
	w.put("next.toml", strings.Join(append(settings, lines), "\n")+"\n")
	w.rename("next.toml", "postseal.toml")
}

func (w *watching) at(name string) string { return filepath.Join(w.dir, name) }

func (w *watching) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// put writes in place, and never leaves less than text for others to read: on a
// busy machine a test may rest for long between the calls.
func (w *watching) put(name, text string) {
	w.t.Helper()
	w.must(os.MkdirAll(filepath.Dir(w.at(name)), 0o755))
	f, err := os.OpenFile(w.at(name), os.O_WRONLY|os.O_CREATE, 0o600)
	w.must(err)
	defer f.Close()
	_, err = f.WriteString(text)
	w.must(err)
	w.must(f.Truncate(int64(len(text))))
}

func (w *watching) rename(from, to string) { w.t.Helper(); w.must(os.Rename(w.at(from), w.at(to))) }
func (w *watching) remove(name string)     { w.t.Helper(); w.must(os.RemoveAll(w.at(name))) }
func (w *watching) link(to, name string)   { w.t.Helper(); w.must(os.Symlink(to, w.at(name))) }

// key writes a new key in place, and its record beside those of others.
func (w *watching) key(name, domain string) {
	w.t.Helper()
	key, err := keys.Generate("ed25519", 0)
	w.must(err)
	w.must(keys.WritePrivate(w.at("fresh.private"), key))
	text, err := os.ReadFile(w.at("fresh.private"))
	w.must(err)
	w.remove("fresh.private")
	w.put(name+".private", string(text))
	w.must(w.records.Add(name+"._domainkey."+domain, keys.RecordText(key.Public())))
}

// signs delivers a mail and reports whether it is signed, and rightly.
func (w *watching) signs(domain string) bool {
	w.t.Helper()
	l := letter{header: header(domain), body: "x\r\n"}
	e := w.m.deliver(l)
	if e.inserted("DKIM-Signature") == "" {
		return false
	}
	wantSigned(w.t, w.records, e, l.header, l.body)
	return true
}

// until waits for a condition.
func (w *watching) until(what string, met func() bool) {
	w.t.Helper()
	for end := time.Now().Add(60 * time.Second); !met(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			w.t.Fatalf("%s: in vain\n%s", what, w.log)
		}
	}
}

// wantLine waits for a line of the log that has all of the texts.
func (w *watching) wantLine(texts ...string) {
	w.t.Helper()
	w.until("a line with "+strings.Join(texts, ", "), func() bool {
		for line := range strings.Lines(w.log.String()) {
			if !slices.ContainsFunc(texts, func(text string) bool { return !strings.Contains(line, text) }) {
				return true
			}
		}
		return false
	})
}

// inotify is how many instances of inotify the process has.
func (w *watching) inotify() (n int) {
	w.t.Helper()
	fds, err := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", w.Pid))
	w.must(err)
	for _, fd := range fds {
		if to, err := os.Readlink(fd); err == nil && to == "anon_inode:inotify" {
			n++
		}
	}
	return n
}
