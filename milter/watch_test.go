package milter

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/postseal/postseal/config"
	"github.com/postseal/postseal/milter/resolver"
)

// A table that was changed in any way is in force by itself.
func TestWatchedTable(t *testing.T) {
	t.Parallel()
	program := buildProgram(t)
	const linked = `signing_table = "refile:volume/signing.table"`
	volume := func(w *watching) {
		w.put("volume/..1/signing.table", rowCom)
		w.link("..1", "volume/..data")
		w.link("..data/signing.table", "volume/signing.table")
	}
	for _, row := range []struct {
		name, settings string
		lay, change    func(w *watching)
	}{
		{"in place", "", nil, func(w *watching) { w.put("signing.table", rowCom+rowOrg) }},
		{"renamed over", "", nil, func(w *watching) {
			w.put(".signing.table.swp", rowCom+rowOrg)
			w.rename(".signing.table.swp", "signing.table")
		}},
		{"removed and made", "", nil, func(w *watching) {
			w.remove("signing.table")
			w.put(".signing.table.new", rowCom+rowOrg)
			w.rename(".signing.table.new", "signing.table")
		}},
		{"a secret of Kubernetes", linked, volume, func(w *watching) {
			w.put("volume/..2/signing.table", rowCom+rowOrg)
			w.link("..2", "volume/..data_tmp")
			w.rename("volume/..data_tmp", "volume/..data")
			w.remove("volume/..1")
		}},
		{"the folder replaced", linked, volume, func(w *watching) {
			w.put("new/signing.table", rowCom+rowOrg)
			w.rename("volume", "old")
			w.rename("new", "volume")
		}},
		{"the folder removed and made", linked, volume, func(w *watching) {
			w.remove("volume")
			w.wantLine("reload failed", "volume/signing.table", "no such file")
			w.put("volume/signing.table", rowCom+rowOrg)
		}},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			w := startWatching(t, program, row.settings, row.lay)
			if !w.signs("example.com") || w.signs("example.org") {
				t.Fatal("before the change")
			}
			row.change(w)
			w.until("the new table", func() bool {
				if !w.signs("example.com") {
					t.Fatal("the old row is gone")
				}
				return w.signs("example.org")
			})
			w.wantLine("configuration reloaded", "changed_files", "signing.table")
			if n := w.inotify(); n != 1 {
				t.Errorf("%d instances of inotify", n)
			}
		})
	}
}

// Whatever file the configuration names, a change of it is reason to reload, and
// the log says which it was.
func TestWatchedFiles(t *testing.T) {
	t.Parallel()
	w := startWatching(t, buildProgram(t), "test_public_keys = \"records\"\nreplace_rules = \"rules\"", func(w *watching) {
		w.put("records", "s1._domainkey.example.com v=DKIM1; p=\n")
	})
	for _, name := range []string{"postseal.toml", "key.table", "signing.table", "hosts", "headers", "records", "rules", "com.private"} {
		text, err := os.ReadFile(w.at(name))
		w.must(err)
		w.put(name, string(text))
		w.wantLine("configuration reloaded", "changed_files", w.at(name))
	}
	w.put("headers", "From\nSubject\nX-New\n")
	w.until("the new list", func() bool {
		l := letter{header: append(header("example.com"), "X-New: 1"), body: "x\r\n"}
		e := w.m.deliver(l)
		wantSigned(t, w.records, e, l.header, l.body)
		return strings.Contains(strings.ToLower(e.inserted("DKIM-Signature")), "x-new")
	})
	// What a configuration names from now on is watched from now on.
	w.put("other.table", rowCom)
	w.settings(`signing_table = "refile:other.table"`)
	w.wantLine("configuration reloaded", "changed_files", w.at("postseal.toml"))
	w.until("the other table", func() bool {
		w.put("other.table", rowCom+rowOrg)
		return w.signs("example.org")
	})
}

// A writer who rests in the middle of a row does no harm: the old table stays,
// the log says why, and the whole table is in force when it is there.
func TestHalfWrittenTable(t *testing.T) {
	t.Parallel()
	w := startWatching(t, buildProgram(t), "", nil)
	f, err := os.OpenFile(w.at("signing.table"), os.O_WRONLY|os.O_TRUNC, 0)
	w.must(err)
	defer f.Close()
	_, err = f.WriteString(rowCom + "*@example.org")
	w.must(err)
	w.until("the half is seen", func() bool {
		if !w.signs("example.com") || w.signs("example.org") {
			t.Fatal("signed by half a table")
		}
		return strings.Contains(w.log.String(), "reload failed")
	})
	w.wantLine("reload failed", "changed_files", w.at("signing.table")+":2")
	_, err = f.WriteString(" org\n")
	w.must(err)
	w.until("the whole is in force", func() bool {
		if !w.signs("example.com") {
			t.Fatal("the first row is gone")
		}
		return w.signs("example.org")
	})
}

// Broken files keep what was, and say what is wrong where; mended, they are taken.
func TestBrokenFile(t *testing.T) {
	t.Parallel()
	program := buildProgram(t)
	for i, row := range []struct{ name, broken, at, mended string }{
		{"signing.table", rowCom + rowOrg + "*@example.net none\n", "signing.table:3", rowCom + rowOrg},
		{"key.table", "com example.com\n", "key.table:1", ""},
		{"postseal.toml", "no_such_setting = 1\n", "postseal.toml:1", ""},
		{"postseal.toml", "mode = \"sv\n", "postseal.toml:1", ""},
		{"headers", "From\nSubject\nNo:Name\n", "headers:3", ""},
	} {
		t.Run(fmt.Sprint(i, row.name), func(t *testing.T) {
			t.Parallel()
			w := startWatching(t, program, "", nil)
			good, err := os.ReadFile(w.at(row.name))
			w.must(err)
			w.put(row.name, row.broken)
			w.wantLine("reload failed", "changed_files=["+w.at(row.name)+"]", w.at(row.at))
			if !w.signs("example.com") || w.signs("example.org") {
				t.Error("the old configuration is not in force")
			}
			if row.mended == "" {
				row.mended = string(good)
			}
			w.put(row.name, row.mended)
			w.wantLine("configuration reloaded", "changed_files=["+w.at(row.name)+"]")
			if !w.signs("example.com") {
				t.Error("the mended file is not in force")
			}
		})
	}
}

// A new key is used by the very next message, whichever way it was written.
func TestReplacedKey(t *testing.T) {
	t.Parallel()
	program := buildProgram(t)
	for name, replace := range map[string]func(w *watching){
		"in place":     func(w *watching) { w.key("com", "example.com") },
		"renamed over": func(w *watching) { w.key("new", "example.com"); w.rename("new.private", "com.private") },
		"removed and made": func(w *watching) {
			w.remove("com.private")
			w.key("com", "example.com")
		},
		"unwatched": func(w *watching) {
			w.settings("watch_files = false")
			w.wantLine("configuration reloaded", "postseal.toml")
			w.key("com", "example.com")
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := startWatching(t, program, "", nil)
			if !w.signs("example.com") {
				t.Fatal("not signed")
			}
			w.records = resolver.NewRecords(nil) // the old key is not there any more
			replace(w)
			if strings.HasPrefix(name, "renamed") { // its record has the name of another selector
				text, _, err := w.records.LookupTXT(t.Context(), "new._domainkey.example.com")
				w.must(err)
				w.must(w.records.Add("com._domainkey.example.com", text...))
			}
			if !w.signs("example.com") {
				t.Error("not signed")
			}
		})
	}
}

// A file that the daemon may not read any more keeps what was. As root, who may
// read everything, the daemon is another user.
func TestUnreadableTable(t *testing.T) {
	t.Parallel()
	program := buildProgram(t)
	w := layWatching(t, program, "")
	cmd := w.command()
	if os.Geteuid() == 0 {
		const nobody = 65534
		for _, dir := range []string{filepath.Dir(w.dir), filepath.Dir(program)} { // whatever the umask is
			w.must(os.Chmod(dir, 0o755))
		}
		w.must(os.Chmod(program, 0o755))
		w.must(filepath.WalkDir(w.dir, func(path string, _ os.DirEntry, _ error) error { return os.Chown(path, nobody, nobody) }))
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	}
	w.run(cmd)
	w.must(os.Chmod(w.at("signing.table"), 0))
	w.wantLine("reload failed", "changed_files", "signing.table: permission denied")
	if !w.signs("example.com") {
		t.Error("the old table is not in force")
	}
	w.must(os.Chmod(w.at("signing.table"), 0o600))
	w.wantLine("configuration reloaded", "changed_files", "signing.table")
}

// A reload can turn watching off and on.
func TestWatchFilesSetting(t *testing.T) {
	t.Parallel()
	w := startWatching(t, buildProgram(t), "", nil)
	w.settings("watch_files = false")
	w.wantLine("configuration reloaded", "changed_files", "postseal.toml")
	if n := w.inotify(); n != 0 {
		t.Errorf("%d instances of inotify with watch_files off", n)
	}
	w.put("signing.table", rowCom+rowOrg+"broken\n")
	w.signal(t, syscall.SIGHUP)
	w.wantLine("reload failed", "signing.table:3")
	w.put("signing.table", rowCom)
	w.settings("")
	w.signal(t, syscall.SIGUSR1)
	w.until("the setting", func() bool { return strings.Count(w.log.String(), "configuration reloaded") == 2 })
	if n := strings.Count(w.log.String(), "changed_files"); n != 1 {
		t.Errorf("%d reloads by changed files while they were not watched", n-1)
	}
	w.put("signing.table", rowCom+rowOrg)
	w.until("the new table", func() bool { return w.signs("example.org") })
	if n := w.inotify(); n != 1 {
		t.Errorf("%d instances of inotify", n)
	}
}

// Where the system has no notifications left, the files are looked at: the daemon
// serves all the same, and says so.
func TestNoInotify(t *testing.T) {
	t.Parallel()
	program := buildProgram(t)
	// A limit of a user namespace of its own is the process's own.
	limited := func(cmd *exec.Cmd, limit string) *exec.Cmd {
		cmd = exec.Command("/bin/sh", append([]string{"-c", "echo 0 >/proc/sys/user/" + limit + ` && exec "$@"`, "sh"}, cmd.Args...)...)
		cmd.SysProcAttr = &syscall.SysProcAttr{
			Cloneflags:  syscall.CLONE_NEWUSER,
			UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
			GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
		}
		return cmd
	}
	for limit, fix := range map[string]string{
		"max_inotify_instances": "fs.inotify.max_user_instances", "max_inotify_watches": "fs.inotify.max_user_watches",
	} {
		t.Run(limit, func(t *testing.T) {
			t.Parallel()
			if out, err := limited(exec.Command("true"), limit).CombinedOutput(); err != nil {
				t.Skipf("this system gives us no user namespace: %v %s", err, out)
			}
			w := layWatching(t, program, "")
			w.run(limited(w.command(), limit))
			w.wantLine("level=WARN", "looked at every second", fix)
			w.put("signing.table", rowCom+rowOrg)
			w.until("the new table", func() bool { return w.signs("example.org") })
			w.wantLine("configuration reloaded", "changed_files", "signing.table")
		})
	}
}

// The key files of a small table are watched, those of a large one are not: each
// watched file costs a little, and a key is looked at when it signs.
func TestWatchedKeys(t *testing.T) {
	t.Parallel()
	program := buildProgram(t)
	rows := func(w *watching, n int) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, "k%d example.com:com:%s\n", i, w.at(fmt.Sprintf("k%d.private", i)))
			w.must(os.WriteFile(w.at(fmt.Sprintf("k%d.private", i)), []byte("no key\n"), 0o600))
		}
		return b.String()
	}
	for n, watched := range map[int]bool{98: true, 99: false} { // beside those of com and org, and below
		t.Run(fmt.Sprint(n+2), func(t *testing.T) {
			t.Parallel()
			w := startWatching(t, program, "", func(w *watching) {
				text, err := os.ReadFile(w.at("key.table"))
				w.must(err)
				w.put("key.table", string(text)+rows(w, n)+"each %:com:"+w.at("%.private")+"\n")
			})
			w.put("k7.private", "still none\n")
			if watched {
				w.wantLine("configuration reloaded", "changed_files", "k7.private")
			}
			w.put("hosts", "127.0.0.1\n::1\n")
			w.wantLine("configuration reloaded", "changed_files", "hosts")
			if got := strings.Contains(w.log.String(), "changed_files=["+w.at("k7.private")) ||
				strings.Contains(w.log.String(), w.at("k7.private")+" "+w.at("hosts")); got != watched {
				t.Errorf("the change of a key file is seen: %t", got)
			}
		})
	}
}

func problemsAt(places ...string) (p config.Problems) {
	for _, where := range places {
		p = append(p, config.Problem{Where: where, Text: "wrong"})
	}
	return p
}

// filesAtFault finds the files that a configuration's error is about.
func TestFilesAtFault(t *testing.T) {
	_, missing := os.Open("/nowhere/included")
	for name, row := range map[string]struct {
		err  error
		want string
	}{
		"problems":       {problemsAt("/a.conf:12", "/b.conf", "", "/c.conf:3:4"), "/a.conf /b.conf /c.conf"},
		"a missing file": {fmt.Errorf("configuration: %w", missing), "/nowhere/included"},
		"joined":         {fmt.Errorf("%w, %w", problemsAt("/a.conf:1"), missing), "/a.conf /nowhere/included"},
		"nothing":        {fmt.Errorf("no"), ""},
	} {
		if got := strings.Join(filesAtFault(row.err), " "); got != row.want {
			t.Errorf("%s: %q, want %q", name, got, row.want)
		}
	}
}
