package milter

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/postseal/postseal/testdata/peers"
)

// confined is a daemon whose files are below a folder, and a folder elsewhere
// that any user may read.
type confined struct {
	*watching
	elsewhere string
}

// landlocked skips a test where the kernel has no Landlock.
func landlocked(t *testing.T) {
	t.Helper()
	if _, _, errno := unix.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, 0, 0, unix.LANDLOCK_CREATE_RULESET_VERSION); errno != 0 {
		t.Skipf("the kernel has no Landlock: %v", errno)
	}
}

// startConfined starts the daemon once lay has made files. lines are settings; "@"
// in them stands for the folder elsewhere.
func startConfined(t *testing.T, program, lines string, lay func(c *confined)) *confined {
	t.Helper()
	elsewhere, err := os.MkdirTemp("", "elsewhere-") // t.TempDir's folders are neighbours
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(elsewhere) })
	c := &confined{layWatching(t, program, strings.ReplaceAll(lines, "@", elsewhere)), elsewhere}
	c.must(os.Chmod(elsewhere, 0o755))
	c.spread("hosts", "127.0.0.1\n")
	c.spread("signing.table", rowCom+rowOrg)
	key, err := os.ReadFile(c.at("org.private"))
	c.must(err)
	c.spread("org.private", string(key))
	if lay != nil {
		lay(c)
	}
	c.run(c.command())
	return c
}

// spread writes a file elsewhere.
func (c *confined) spread(name, text string) {
	c.t.Helper()
	path := filepath.Join(c.elsewhere, name)
	c.must(os.MkdirAll(filepath.Dir(path), 0o755))
	c.must(os.WriteFile(path, []byte(text), 0o644))
	c.must(os.Chmod(path, 0o644))
}

const isOutside = "is outside of what this process may read since its start (sandbox): restart the daemon; where sandbox_read names the folder, what comes there later needs no restart"

// refusesReload wants a reload that fails because of what is elsewhere, and the
// old configuration in force.
func (c *confined) refusesReload(path string) {
	c.t.Helper()
	c.wantLine("reload failed", path+" "+isOutside)
	if !c.signs("example.com") || c.signs("example.org") {
		c.t.Error("the old configuration is not in force any more")
	}
	if status := c.status(); !slices.ContainsFunc(status.LastReload.Problems, func(p string) bool { return strings.HasSuffix(p, isOutside) }) {
		c.t.Errorf("the status says of it: %q", status.LastReload.Problems)
	}
}

func (c *confined) status() (s Status) {
	c.t.Helper()
	out, err := exec.Command(c.program, "status", "--json", "--runtime-directory", c.at("run")).Output()
	c.must(err)
	c.must(json.Unmarshal(out, &s))
	return s
}

// The daemon's process reads nothing elsewhere, in a build with C and in one
// without, and says so.
func TestConfined(t *testing.T) {
	landlocked(t)
	t.Parallel()
	for _, cgo := range []string{"0", "1"} {
		t.Run("CGO_ENABLED="+cgo, func(t *testing.T) {
			t.Parallel()
			if _, err := exec.LookPath("cc"); cgo == "1" && err != nil {
				peers.Require(t, err)
			}
			program := filepath.Join(t.TempDir(), "postseal")
			build := exec.Command("go", "build", "-o", program, "../cmd/postseal")
			build.Env = append(os.Environ(), "CGO_ENABLED="+cgo)
			if cgo == "0" {
				build.Env = append(build.Env, "GOFLAGS=") // the tag openssl needs C
			}
			if out, err := build.CombinedOutput(); err != nil {
				t.Fatalf("go build: %v\n%s", err, out)
			}
			for _, row := range refusals {
				t.Run(row.name, func(t *testing.T) {
					t.Parallel()
					c := startConfined(t, program, "", nil)
					c.wantLine("msg=started", `sandbox="landlock, ABI`)
					c.everyThread("NoNewPrivs:\t1")
					if s := c.status(); !strings.HasPrefix(s.Sandbox, "landlock, ABI ") {
						t.Errorf("the status says %q", s.Sandbox)
					}
					if c.signs("example.org") {
						t.Fatal("the row is there before the change")
					}
					row.ask(c)
					if row.check != nil {
						row.check(c)
						return
					}
					c.refusesReload(row.path(c))
				})
			}
		})
	}
}

// everyThread wants a line in the status of each thread of the process.
func (c *confined) everyThread(line string) {
	c.t.Helper()
	paths, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/status", c.Pid))
	c.must(err)
	for _, path := range paths {
		if text, err := os.ReadFile(path); err == nil && !strings.Contains(string(text), line) {
			c.t.Errorf("%s lacks %q", path, line)
		}
	}
}

// refusals ask the daemon to read what is elsewhere.
var refusals = []struct {
	name  string
	ask   func(c *confined)
	path  func(c *confined) string // what the reload that is refused names
	check func(c *confined)        // in place of a refused reload
}{
	{"a table", func(c *confined) {
		c.settings(fmt.Sprintf("signing_table = %q", "refile:"+c.elsewhere+"/signing.table"))
	},
		func(c *confined) string { return c.elsewhere + "/signing.table" }, nil},
	{"a list", func(c *confined) { c.settings(fmt.Sprintf("internal_hosts = %q", "file:"+c.elsewhere+"/hosts")) },
		func(c *confined) string { return c.elsewhere + "/hosts" }, nil},
	{"the accounts' passwords", func(c *confined) { c.settings(`peer_list = "file:/etc/shadow"`) },
		func(c *confined) string { return "/etc/shadow" }, nil},
	{"a key", func(c *confined) {
		c.put("key.table", "com example.com:com:"+c.at("com.private")+"\norg example.org:org:"+c.elsewhere+"/org.private\n")
	}, func(c *confined) string { return c.elsewhere + "/org.private" }, nil},
	{"keys of many domains", func(c *confined) {
		c.put("key.table", "com example.com:com:"+c.at("com.private")+"\norg %:org:"+c.elsewhere+"/%/private\n")
	}, func(c *confined) string { return c.elsewhere + "/%/private" }, nil},
	{"a folder of keys that is not there", func(c *confined) {
		c.put("key.table", "com example.com:com:"+c.at("com.private")+"\norg example.org:org:/srv/no-such-folder/org.private\n")
	}, func(c *confined) string { return "/srv/no-such-folder/org.private" }, nil},
	{"a thousand keys", func(c *confined) {
		var rows strings.Builder
		for i := range 1000 {
			fmt.Fprintf(&rows, "k%d example.com:k%d:%s/%d/private\n", i, i, c.elsewhere, i)
		}
		c.put("key.table", "com example.com:com:"+c.at("com.private")+"\n"+rows.String())
	}, nil, func(c *confined) {
		c.wantLine("reload failed")
		if text := c.log.String(); len(text) > 20_000 || !strings.Contains(text, "and 980 more problems") {
			c.t.Errorf("%d octets in the log: %.2000s", len(text), text)
		}
	}},
	// The kernel is asked: where a link leads shows only when it is followed.
	{"a table that becomes a link", func(c *confined) {
		c.link(c.elsewhere+"/signing.table", "next.table")
		c.rename("next.table", "signing.table")
	}, func(c *confined) string { return "signing.table" }, nil},
	{"the configuration, as a link", func(c *confined) {
		c.spread("postseal.toml", "")
		c.link(c.elsewhere+"/postseal.toml", "next.toml")
		c.rename("next.toml", "postseal.toml")
	}, func(c *confined) string { return "postseal.toml" }, nil},
	{"a key that becomes a link", func(c *confined) {
		c.link(c.elsewhere+"/org.private", "next.private")
		c.rename("next.private", "com.private")
	}, nil, func(c *confined) {
		c.until("the key is seen", func() bool {
			if !c.signs("example.com") { // with the key from before
				c.t.Fatal("not signed")
			}
			return strings.Contains(c.log.String(), "com.private: permission denied")
		})
	}},
}

// A new domain needs no restart: its key's folder, its row, and where nothing is
// watched a reload are enough.
func TestConfinedTakesNewDomains(t *testing.T) {
	landlocked(t)
	t.Parallel()
	program := buildProgram(t)
	for _, row := range []struct {
		name, settings string
		lay, add       func(c *confined)
	}{
		{"by its folder", "", func(c *confined) {
			c.put("key.table", "com example.com:com:"+c.at("com.private")+"\nown %:org:"+c.at("keys/%/org.private")+"\n")
			c.put("signing.table", rowCom+"* own\n")
			c.must(os.MkdirAll(c.at("keys"), 0o755))
		}, func(c *confined) {
			c.must(os.MkdirAll(c.at("keys/example.org"), 0o755))
			c.rename("org.private", "keys/example.org/org.private")
		}},
		{"by a row", "", nil, func(c *confined) { c.put("signing.table", rowCom+rowOrg) }},
		{"by its folder and rows", "", layFolder, addFolder},
		{"by its folder, rows and a reload", "watch_files = false", layFolder, func(c *confined) {
			addFolder(c)
			c.must(c.Signal(syscall.SIGHUP))
		}},
		{"by a folder in place of one", "", layFolder, func(c *confined) {
			c.rename("keys/com", "old")
			c.must(os.Mkdir(c.at("keys/com"), 0o755))
			c.rename("old/com.private", "keys/com/com.private")
			addFolder(c)
		}},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			c := startConfined(t, program, row.settings, row.lay)
			if !c.signs("example.com") || c.signs("example.org") {
				t.Fatal("before the domain is added")
			}
			row.add(c)
			c.until("mail of the new domain is signed", func() bool { return c.signs("example.org") })
		})
	}
}

// layFolder puts the key of example.com in a folder of its own.
func layFolder(c *confined) {
	c.must(os.MkdirAll(c.at("keys/com"), 0o755))
	c.rename("com.private", "keys/com/com.private")
	c.put("key.table", "com example.com:com:"+c.at("keys/com/com.private")+"\n")
}

// addFolder adds example.org: a folder of keys beside the other, and rows.
func addFolder(c *confined) {
	c.must(os.MkdirAll(c.at("keys/org"), 0o755))
	c.rename("org.private", "keys/org/org.private")
	c.put("key.table", "com example.com:com:"+c.at("keys/com/com.private")+"\norg example.org:org:"+c.at("keys/org/org.private")+"\n")
	c.put("signing.table", rowCom+rowOrg)
}

// What sandbox_read names is read like the rest, and without the sandbox everything
// is.
func TestConfinedAsConfigured(t *testing.T) {
	t.Parallel()
	program := buildProgram(t)
	for _, row := range []struct{ settings, status string }{
		{`sandbox_read = ["@", "@-missing"]`, "landlock, ABI "},
		{"sandbox = false", "off"},
	} {
		t.Run(row.settings, func(t *testing.T) {
			t.Parallel()
			if row.status != "off" {
				landlocked(t)
			}
			c := startConfined(t, program, row.settings, nil)
			if got := c.status().Sandbox; !strings.HasPrefix(got, row.status) {
				t.Errorf("the status says %q", got)
			}
			if row.status != "off" {
				c.wantLine("sandbox_read names what is not there", c.elsewhere+"-missing")
			}
			c.settings(strings.ReplaceAll(row.settings, "@", c.elsewhere) + fmt.Sprintf("\nsigning_table = %q", "refile:"+c.elsewhere+"/signing.table"))
			c.until("the table elsewhere is in force", func() bool { return c.signs("example.org") })
		})
	}
}

// withoutLandlock in the environment is a program that the test becomes where the
// kernel has no Landlock.
const withoutLandlock = "POSTSEAL_TEST_WITHOUT_LANDLOCK"

// A kernel without Landlock is no reason not to serve; the log says so once.
func TestNoLandlock(t *testing.T) {
	if program := os.Getenv(withoutLandlock); program != "" {
		runtime.LockOSThread()
		if err := refuseLandlock(); err != nil {
			t.Fatal(err)
		}
		args := []string{program, "serve", "-c", "postseal.toml"}
		t.Fatal(syscall.Exec(program, args, slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, withoutLandlock) })))
	}
	t.Parallel()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	c := &confined{watching: layWatching(t, buildProgram(t), "")}
	cmd := exec.Command(self, "-test.run", "^TestNoLandlock$")
	cmd.Dir = c.dir
	cmd.Env = append(os.Environ(), withoutLandlock+"="+c.program)
	c.run(cmd)
	if !c.signs("example.com") {
		t.Error("not signed")
	}
	if got := c.status().Sandbox; !strings.HasPrefix(got, "none: the kernel has no Landlock") {
		t.Errorf("the status says %q", got)
	}
	if n := strings.Count(c.log.String(), "no sandbox;"); n != 1 || !strings.Contains(c.log.String(), "level=INFO msg=\"no sandbox;") {
		t.Errorf("it is said %d times:\n%s", n, c.log)
	}
}

// refuseLandlock makes the system call that asks for Landlock fail, as old kernels
// do, for this thread and what it becomes (seccomp(2)).
func refuseLandlock() error {
	filter := []unix.SockFilter{
		{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: 0}, // the number of the call
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, Jf: 1, K: unix.SYS_LANDLOCK_CREATE_RULESET},
		{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ERRNO | uint32(unix.ENOSYS)},
		{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ALLOW},
	}
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return err
	}
	program := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	return unix.Prctl(unix.PR_SET_SECCOMP, unix.SECCOMP_MODE_FILTER, uintptr(unsafe.Pointer(&program)), 0, 0)
}
