package opendkim

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/postseal/postseal/config"
)

func TestIs(t *testing.T) {
	for _, tt := range []struct {
		name, data string
		want       bool
	}{
		{"empty", "", false},
		{"comments", "# Syslog yes\n\n  # more\n", false},
		{"setting", "# c\n\nSyslog yes\n", true},
		{"blanks before it", "\tSyslog\tyes\r\n", true},
		{"byte order mark", "\ufeffSyslog yes\n", true},
		{"blank of a web page", "Syslog\u00a0yes\n", true},
		{"unknown name", "Sysloq yes\n", true},
		{"value with =", "MacroList daemon_name=ORIGINATING\n", true},
		{"name alone", "Syslog\n", true},
		{"letter case", "SYSLOG\n", true},
		{"hyphen", "On-BadSignature reject\n", true},
		{"key", "socket = \"inet:8891@localhost\"\n", false},
		{"key without blanks", "socket=\"inet:8891@localhost\"\n", false},
		{"key with _", "key_table \"x\"\n", false},
		{"table", "[[listener]]\n", false},
		{"dotted key", "a . b = 1\n", false},
		{"quoted key", "\"socket\" = 1\n", false},
		{"TOML after a comment", "# postseal.toml\nmode = \"s\"\n", false},
		{"unknown word alone", "banana\n", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := Is([]byte(tt.data)); got != tt.want {
				t.Errorf("Is(%q) = %v", tt.data, got)
			}
		})
	}
}

// load reads text with options, in a folder of its own.
func load(t *testing.T, text string, o Options) (*File, error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "opendkim.conf")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return Load(path, o)
}

func TestOverrides(t *testing.T) {
	f, err := load(t, "Mode v\nSocket inet:1@localhost\n", Options{Overrides: []Setting{
		{"mode", "s"}, {"Socket", "inet:2@localhost"}, {"Canonicalization", "relaxed"},
	}})
	if err != nil {
		t.Fatal(err)
	}
	c := f.Config
	if c.Mode.String() != "s" || c.Socket[0] != "inet:2@localhost" || c.Canonicalization != "relaxed/simple" {
		t.Errorf("mode %v, socket %v, canonicalization %v", c.Mode, c.Socket, c.Canonicalization)
	}
	if value, _, _ := f.Get("Mode"); value != "v" {
		t.Errorf("Get tells of the override: %q", value)
	}
	for _, tt := range []struct {
		name, value, want string
	}{
		{"Nosuch", "x", `unrecognized parameter ("Nosuch" on the command line)`},
		{"UMask", " ", "required value missing (UMask on the command line)"},
		{"DNSTimeout", "5s", `illegal value (DNSTimeout on the command line: "5s"; it wants a whole number`},
		{"Mode", "x", `opendkim.conf: unknown mode "x" (Mode at command line: `},
		{"RedirectFailuresTo", "a b", `illegal value (RedirectFailuresTo on the command line: "a b"`},
	} {
		_, err := load(t, "Socket inet:1@localhost\n", Options{Overrides: []Setting{{tt.name, tt.value}}})
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s %q: %v, want %q", tt.name, tt.value, err, tt.want)
		}
	}
}

func TestErrors(t *testing.T) {
	_, err := load(t, "Sysloq yes\nBackground maybe\nSocket inet:1@localhost\n", Options{})
	var (
		e        *Error
		problems config.Problems
	)
	if !errors.As(err, &e) || e.Exit != ExitConfig || !errors.As(err, &problems) || len(problems) != 2 {
		t.Fatalf("%#v", err)
	}
	for _, tt := range []struct {
		codes []int
		want  int
	}{{[]int{70}, 70}, {[]int{69, 70}, 70}, {[]int{69, 70, 78}, 78}, {[]int{69}, 69}} {
		if got := errorCode(tt.codes); got != tt.want {
			t.Errorf("%v: %d, want %d", tt.codes, got, tt.want)
		}
	}
}

func TestCheckOnly(t *testing.T) {
	f, err := load(t, "AutoRestart yes\nAutoRestartRate junk\nSignHeaders +X\n", Options{CheckOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	if len(f.Config.Socket) != 0 || len(f.Config.Validate()) != 0 {
		t.Errorf("socket %v, problems %v", f.Config.Socket, f.Config.Validate())
	}
	notices := f.Config.Notices.Error()
	for _, want := range []string{`"milter socket must be specified"`, `"AutoRestartRate invalid"`, "failed to set DKIM library options"} {
		if !strings.Contains(notices, want) {
			t.Errorf("no notice of %q:\n%s", want, notices)
		}
	}
}

func TestUmask(t *testing.T) {
	f, err := load(t, "Socket inet:1@localhost\n", Options{Umask: func() int { return 0o077 }})
	if err != nil || f.Config.SocketMode != 0o700 {
		t.Errorf("%v, %v", f.Config.SocketMode, err)
	}
	for value, want := range map[string]config.FileMode{"007": 0o770, "0": 0o777, "22": 0o751, "0777": 0, "-1": 0} {
		f, err := load(t, "Socket inet:1@localhost\nUMask "+value+"\n", Options{Umask: func() int { return 0o077 }})
		if err != nil || f.Config.SocketMode != want {
			t.Errorf("UMask %s: %v, %v; want %v", value, f.Config.SocketMode, err, want)
		}
	}
	mask := newReading("", Options{}).umask()
	if mask < 0 || mask > 0o777 {
		t.Errorf("the process's: %o", mask)
	}
}

func TestRate(t *testing.T) {
	for value, want := range map[string]Rate{
		"5/1H": {5, time.Hour}, "10/1M": {10, time.Minute}, "10/1h": {10, time.Hour}, "5/1": {5, time.Second}, "3/2d": {3, 48 * time.Hour},
		"/5": {0, 5 * time.Second}, "0/1s": {0, time.Second},
	} {
		if got, ok := parseRate(value); !ok || got != want {
			t.Errorf("%s: %v, %v; want %v", value, got, ok, want)
		}
	}
	for _, bad := range []string{"", "5", "5/", "5/h", "5/0", "5/1x", "5/1hh", "-1/1h", "+1/1h", "5 / 1h", "0x5/1h", "junk", "5/1h/", "99999999999/1h", "1/2147483647d"} {
		if got, ok := parseRate(bad); ok {
			t.Errorf("%q is taken: %v", bad, got)
		}
	}
}

func TestSocketForm(t *testing.T) {
	r := newReading("", Options{})
	r.config.BaseDirectory = "/base"
	for value, want := range map[string]string{
		"local:/run/s": "local:/run/s", "UNIX:/run/s": "local:/run/s", "/run/s": "local:/run/s", "run/s": "local:/base/run/s",
		"local:s": "local:/base/s", "inet:8891@localhost": "inet:8891@localhost", "INET6:8891@[::1]": "inet6:8891@[::1]",
		"inet:nosuch": "inet:nosuch", "x:/y": "x:/y", "local:": "local:", "inet:": "inet:",
	} {
		if got := r.socketForm(value); got != want {
			t.Errorf("%s: %s, want %s", value, got, want)
		}
	}
	if _, err := os.Stat("/etc/services"); err == nil {
		if got := r.socketForm("inet:smtp@localhost"); got != "inet:25@localhost" {
			t.Errorf("a service by name: %s", got)
		}
	}
}

func TestDefaultSocket(t *testing.T) {
	for _, tt := range []struct{ name, text, want string }{
		{"plain", "SOCKET=inet:8891@localhost\n", "inet:8891@localhost"},
		{"quotes", "SOCKET=\"local:/x y\" # c\n", "local:/x y"},
		{"single quotes", "SOCKET='$A'\n", "$A"},
		{"variable", "RUNDIR=/run/x\nSOCKET=local:$RUNDIR/s\n", "local:/run/x/s"},
		{"braces in quotes", "RUNDIR='/run/x'\nSOCKET=\"local:${RUNDIR}/s\"\n", "local:/run/x/s"},
		{"variable of nobody", "SOCKET=local:$HOME/s\n", "local:/s"},
		{"later variable", "SOCKET=$A\nA=x\n", ""},
		{"last one", "SOCKET=a\nSOCKET=b\n", "b"},
		{"comment", "#SOCKET=inet:1\n", ""},
		{"comment behind", "SOCKET=inet:1 # inet:2\n", "inet:1"},
		{"export", "export SOCKET=inet:1\n", "inet:1"},
		{"no substitution", "SOCKET=$(echo x)\n", "$(echo"},
		{"backslash", "SOCKET=a\\ b\n", "a b"},
		{"other name", "MYSOCKET=x\nSOCKET_X=y\n", ""},
		{"open quote", "SOCKET=\"inet:1\n", "inet:1"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "opendkim")
			if err := os.WriteFile(path, []byte(tt.text), 0o600); err != nil {
				t.Fatal(err)
			}
			if got, _ := defaultSocket(path); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
			f, err := load(t, "Socket inet:7@localhost\n", Options{Defaults: path})
			if err != nil || f.Config.Socket[0] != "inet:7@localhost" {
				t.Errorf("a Socket of the file loses: %v, %v", f.Config.Socket, err)
			}
		})
	}
}

func TestLoadConfig(t *testing.T) {
	t.Setenv("RUNTIME_DIRECTORY", "")
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	toml := write("postseal.toml", "socket = \"inet:1@localhost\"\nruntime_directory = \"/run/toml\"\n")
	conf := write("opendkim.conf", "Socket inet:1@localhost\nPidFile /run/conf/pid\n")
	broken := write("broken.conf", "PidFile pid\nBaseDirectory /run/base\nSysloq yes\n")
	for path, want := range map[string]string{toml: "/run/toml", conf: "/run/conf", broken: "/run/base"} {
		if got, err := FindRuntimeDirectory(path, config.Environment{}); err != nil || got != want {
			t.Errorf("runtime directory of %s: %q, %v; want %q", path, got, err, want)
		}
	}
	for _, path := range []string{toml, conf} {
		c, err := LoadConfig(path, config.Environment{})
		if err != nil {
			t.Fatal(err)
		}
		if got := c.LogLines == "both"; got != (path == conf) {
			t.Errorf("%s: log lines %q", path, c.LogLines)
		}
		if diff := cmp.Diff([]string{path}, c.Files()); diff != "" {
			t.Error(diff)
		}
	}
	for _, load := range []func(string) error{
		func(path string) error { _, err := LoadConfig(path, config.Environment{}); return err },
		func(path string) error { _, err := FindRuntimeDirectory(path, config.Environment{}); return err },
	} {
		if err := load(filepath.Join(dir, "absent")); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("absent: %v", err)
		}
	}
	if _, err := LoadConfig(broken, config.Environment{}); err == nil || !strings.Contains(err.Error(), broken+": configuration error at line 3: unrecognized parameter (\"Sysloq\"; did you mean Syslog?)") {
		t.Errorf("broken: %v", err)
	}
}

func TestRuntimeDirectory(t *testing.T) {
	for _, tt := range []struct{ pid, environment, want string }{
		{"/run/x/pid", "/run/systemd", "/run/x"},
		{"/run/opendkim.pid", "", "/run/opendkim"},
		{"/var/run/opendkim.pid", "/run/systemd", "/run/systemd"},
		{"", "/run/systemd:/run/more", "/run/systemd"},
		{"", "", "/run/opendkim"},
	} {
		t.Setenv("RUNTIME_DIRECTORY", tt.environment)
		if got := runtimeDirectory(&config.Config{PidFile: tt.pid}); got != tt.want {
			t.Errorf("%+v: %q", tt, got)
		}
	}
}

func TestLimits(t *testing.T) {
	dir := t.TempDir()
	self := filepath.Join(dir, "self.conf")
	fifo := filepath.Join(dir, "fifo")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	list := filepath.Join(dir, "list")
	if err := os.WriteFile(list, []byte(strings.Repeat("X\n", config.MaxHeaderNames+1)), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ name, text, want string }{
		{"long line", "AuthservID " + strings.Repeat("x", maxLine) + "\n", "line 1: illegal value (the line is longer than 65536 bytes)"},
		{"NUL", "Syslog yes\nMode s\x00v\n", "line 2: illegal value (the line has a NUL byte"},
		{"size", strings.Repeat("#\n", config.MaxFile/2+1), "error reading configuration file ("},
		{"settings", strings.Repeat("Mode s\n", maxSettings+1), "more than 100000 settings"},
		{"includes itself", "Include " + self + "\n", "nesting too deep"},
		{"includes itself often", strings.Repeat("Include "+self+"\n", 10), "more than 100 times Include"},
		{"errors", strings.Repeat("Mod s\n", maxProblems+5), "line 101: error reading configuration file (too many errors"},
		{"names of header fields", "SignHeaders file:" + list + "\n", "list holds 1001 names, and at most 1000 are taken"},
		{"FIFO", "Include " + fifo + "\n", "is a FIFO; want a regular file"},
		{"folder", "Include " + dir + "\n", "is a directory"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if err := os.WriteFile(self, []byte(tt.text), 0o600); err != nil {
				t.Fatal(err)
			}
			_, err := Load(self, Options{CheckOnly: true})
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Fatalf("got %.500v, want %q", err, tt.want)
			}
			lines := strings.Split(err.Error(), "\n")
			slices.Sort(lines)
			if once := slices.Compact(slices.Clone(lines)); len(once) < len(lines) || len(lines) > maxProblems+1 {
				t.Errorf("%d lines of errors, of which %d differ", len(lines), len(once))
			}
		})
	}
}

// The words of every parameter are there for what becomes of it.
func TestTable(t *testing.T) {
	for _, p := range parameters() {
		switch {
		case p.class == refuse && (p.note == "" || p.instead == ""):
			t.Errorf("%s is refused without saying what it was and what to use", p.name)
		case p.class != refuse && p.instead != "":
			t.Errorf("%s: nothing comes in its stead", p.name)
		case p.class == compat && p.note == "" && p.use == nil && p.field == nil:
			t.Errorf("%s is accepted without a notice", p.name)
		case p.class == core && p.note != "":
			t.Errorf("%s is core and does not work", p.name)
		}
	}
	if names := newNames().spellings(); len(names) != len(parameters()) {
		t.Errorf("%d names for %d parameters: one is there twice", len(names), len(parameters()))
	}
}

// A hundred thousand rows: the reader stops at the first without a signer.
func BenchmarkSigningRows(b *testing.B) {
	dir := b.TempDir()
	var rows strings.Builder
	for i := range 100_000 {
		fmt.Fprintf(&rows, "d%d.example k\n", i)
	}
	for name, text := range map[string]string{
		"senders": rows.String(), "keys": "k d:s:/k\n",
		"conf": "Socket inet:1@localhost\nBaseDirectory " + dir + "\nKeyTable file:keys\nSigningTable file:senders\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			b.Fatal(err)
		}
	}
	for b.Loop() {
		if _, err := Load(filepath.Join(dir, "conf"), Options{}); err != nil {
			b.Fatal(err)
		}
	}
}
