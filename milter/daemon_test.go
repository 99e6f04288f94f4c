package milter

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
	"weak"

	"github.com/postseal/postseal/config"
	"github.com/postseal/postseal/keys"
	"github.com/postseal/postseal/milter/resolver"
)

// runningDaemon is a daemon with its files.
type runningDaemon struct {
	*Daemon
	dir     string
	log     *lockedLog
	records *resolver.Records
	reload  chan os.Signal
	stop    func() error
}

func (d *runningDaemon) write(t testing.TB, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(d.dir, name), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// key makes a key file and publishes its record.
func (d *runningDaemon) key(t testing.TB, selector, domain string) {
	t.Helper()
	key, err := keys.Generate("ed25519", 0)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(d.dir, selector+"."+domain+".private")
	_ = os.Remove(path)
	if err := keys.WritePrivate(path, key); err != nil {
		t.Fatal(err)
	}
	if err := d.records.Add(selector+"._domainkey."+domain, keys.RecordText(key.Public())); err != nil {
		t.Fatal(err)
	}
}

// startDaemon runs a daemon that signs for example.com from files.
func startDaemon(t testing.TB) *runningDaemon {
	t.Helper()
	return startDaemonWith(t, "")
}

// startDaemonWith has further settings, and OpenDKIM's lines in its log.
func startDaemonWith(t testing.TB, settings string, change ...func(*DaemonOptions)) *runningDaemon {
	t.Helper()
	d := &runningDaemon{dir: t.TempDir(), log: new(lockedLog), records: resolver.NewRecords(nil), reload: make(chan os.Signal)}
	d.key(t, "s1", "example.com")
	d.write(t, "key.table", "k example.com:s1:"+filepath.Join(d.dir, "s1.example.com.private")+"\n")
	d.write(t, "signing.table", "*@example.com k\n")
	d.settings(t, settings)
	path := filepath.Join(d.dir, "postseal.toml")
	cfg, err := config.Load(path)
	if err != nil {
		t.Fatal(err)
	}
	lines, err := NewLines(cfg, d.log)
	if err != nil {
		t.Fatal(err)
	}
	o := DaemonOptions{
		Load:  func() (*config.Config, error) { return config.Load(path) },
		Log:   slog.New(slog.NewTextHandler(d.log, nil)),
		Lines: lines, ConfigFile: path,
		Resolver: d.records, Hostname: "host.example", Version: "test",
	}
	for _, f := range change {
		f(&o)
	}
	if d.Daemon, err = NewDaemon(o); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- d.Run(ctx, d.reload) }()
	d.stop = sync.OnceValue(func() error { cancel(); return <-ended })
	t.Cleanup(func() {
		if err := d.stop(); err != nil {
			t.Error(err)
		}
	})
	return d
}

// settings writes postseal.toml with further lines, in which "@/" is the daemon's
// folder, and with the tables unless they have key_file. Reloads are the test's.
func (d *runningDaemon) settings(t testing.TB, lines string) {
	if !strings.Contains(lines, "key_file") {
		lines = "key_table = \"file:key.table\"\nsigning_table = \"refile:signing.table\"\n" + lines
	}
	d.write(t, "postseal.toml", fmt.Sprintf("socket = %q\nruntime_directory = %q\nrequire_safe_keys = false\nwatch_files = false\n%s\n",
		"local:"+filepath.Join(d.dir, "s"), filepath.Join(d.dir, "run"), strings.ReplaceAll(lines, "@/", d.dir+"/")))
}

func (d *runningDaemon) connect(t testing.TB) *mta {
	t.Helper()
	s := &testServer{path: filepath.Join(d.dir, "s")}
	return s.connect(t, "localhost", "127.0.0.1")
}

func header(domain string) []string {
	return []string{"From: user@" + domain, "Subject: x"}
}

// A reload puts new tables in force for the messages to come; one in progress
// ends as it began. A broken file is reported with every problem, and the old
// tables stay.
func TestReload(t *testing.T) {
	d := startDaemon(t)
	control := Control{Dir: filepath.Join(d.dir, "run")}
	m := d.connect(t)
	l := letter{header: header("example.org"), body: "x\r\n"}
	if e := m.deliver(l); e.inserted("DKIM-Signature") != "" {
		t.Fatalf("signed before the domain is there: %q", e.changes)
	}
	d.key(t, "s2", "example.org")
	keyTable := fmt.Sprintf("k example.com:s1:%s\nnew example.org:s2:%s\n",
		filepath.Join(d.dir, "s1.example.com.private"), filepath.Join(d.dir, "s2.example.org.private"))
	d.write(t, "key.table", keyTable)
	d.write(t, "signing.table", "*@example.com k\n*@example.org new\n")

	inProgress := d.connect(t)
	inProgress.send('M', "<user@example.org>\x00")
	inProgress.macros('N', "i", "1") // the daemon has read MAIL once it has answered a later command
	inProgress.send('L', "From\x00 user@example.org\x00")
	inProgress.send('N', "")
	inProgress.answer()

	r, err := control.Reload(t.Context())
	if err != nil || len(r.Problems) > 0 {
		t.Fatalf("reload: %v %v", err, r)
	}
	wantSigned(t, d.records, m.deliver(l), l.header, l.body)
	inProgress.send('E', "")
	if code, _ := inProgress.answer(); code == 'i' {
		t.Error("a message that began before the reload is signed with the new table")
	}

	d.write(t, "signing.table", "*@example.com nosuchkey\n*@example.org other\n")
	r, err = control.Reload(t.Context())
	if err != nil || len(r.Problems) < 2 || !strings.Contains(strings.Join(r.Problems, "\n"), "signing.table:1") ||
		!strings.Contains(strings.Join(r.Problems, "\n"), "signing.table:2") {
		t.Fatalf("broken tables: %v %q", err, r.Problems)
	}
	wantSigned(t, d.records, m.deliver(l), l.header, l.body)
	s, err := control.Status(t.Context())
	if err != nil || len(s.LastReload.Problems) != len(r.Problems) || len(s.Keys) != 2 || s.Counts.Messages[Sign] != 2 {
		t.Errorf("status: %v %+v", err, s)
	}

	d.write(t, "signing.table", "*@example.org new\n")
	d.settings(t, "maximum_connections = 7\nno_such_setting = 1\n")
	if r, err = control.Reload(t.Context()); err != nil || len(r.Problems) != 1 || !strings.Contains(r.Problems[0], "no_such_setting") {
		t.Errorf("an unknown setting: %v %q", err, r.Problems)
	}
	d.settings(t, "maximum_connections = 7\n")
	d.reload <- syscall.SIGHUP
	d.log.wait(t, "configuration reloaded")
	d.log.wait(t, "setting=maximum_connections")
	r, err = control.Reload(t.Context())
	if err != nil || !slices.Contains(r.Notes, "maximum_connections") {
		t.Errorf("a setting that takes a restart is not named: %v %+v", err, r)
	}
}

// A key that goes bad is not a reason to send unsigned: the mail is deferred,
// the log says what and where. One replaced in place is used at once.
func TestKeyFiles(t *testing.T) {
	d := startDaemon(t)
	m := d.connect(t)
	l := letter{header: header("example.com"), body: "x\r\n"}
	wantSigned(t, d.records, m.deliver(l), l.header, l.body)

	path := filepath.Join(d.dir, "s1.example.com.private")
	d.write(t, "s1.example.com.private", "no key at all\n")
	wantSigned(t, d.records, m.deliver(l), l.header, l.body) // the old key stays
	d.log.wait(t, path)

	d.key(t, "s1", "example.com") // its record stands beside the old one's
	e := m.deliver(l)
	wantSigned(t, d.records, e, l.header, l.body)

	d.write(t, "s1.example.com.private", "no key at all\n")
	if _, err := d.Daemon.reload(); err != nil {
		t.Fatalf("a bad key fails the reload: %v", err)
	}
	d.write(t, "key.table", "k example.com:s1:"+filepath.Join(d.dir, "missing.private")+"\n")
	if _, err := d.Daemon.reload(); err != nil {
		t.Fatalf("a missing key file fails the reload: %v", err)
	}
	if e := m.deliver(l); e.code != 't' {
		t.Errorf("mail without its key ended with %q %q, want a deferral", e.code, e.text)
	}
	s, err := Control{Dir: filepath.Join(d.dir, "run")}.Status(t.Context())
	if err != nil || len(s.Disabled) != 1 || !strings.Contains(s.Disabled[0], "missing.private") ||
		len(s.Keys) != 1 || s.Keys[0].State != keys.StateDisabled || !strings.Contains(s.Keys[0].Error, "missing.private") {
		t.Errorf("the status does not list the key: %v %+v", err, s)
	}
	d.log.wait(t, "missing.private")
}

// A key that takes the place of another alone signs the very next message, whether
// a table or key_file names it.
func TestKeyReplacedAlone(t *testing.T) {
	for name, settings := range map[string]string{
		"key_table": "",
		"key_file":  "domain = [\"example.com\"]\nselector = \"s1\"\nkey_file = \"s1.example.com.private\"\n",
	} {
		t.Run(name, func(t *testing.T) {
			d := startDaemonWith(t, settings)
			m := d.connect(t)
			l := letter{header: header("example.com"), body: "x\r\n"}
			for range 3 {
				d.records = resolver.NewRecords(nil) // the old key is not there any more
				d.key(t, "s1", "example.com")
				wantSigned(t, d.records, m.deliver(l), l.header, l.body)
			}
		})
	}
}

// A configuration may be large: a connection that is idle, as it may be for hours,
// keeps none of before.
func TestIdleConnectionKeepsNoOldConfiguration(t *testing.T) {
	d := startDaemon(t)
	m := d.connect(t)
	l := letter{header: header("example.com"), body: "x\r\n"}
	wantSigned(t, d.records, m.deliver(l), l.header, l.body)
	before := weak.Make(d.server.Snapshot())
	if _, err := d.Daemon.reload(); err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(time.Minute); before.Value() != nil; time.Sleep(time.Millisecond) {
		if runtime.GC(); time.Now().After(end) {
			t.Fatal("the configuration from before the reload is in memory")
		}
	}
	wantSigned(t, d.records, m.deliver(l), l.header, l.body)
}

// Everything that is wrong at the start is said at once, and nothing stays open.
func TestStartProblems(t *testing.T) {
	d := startDaemon(t)
	load := func() (*config.Config, error) { return config.Load(filepath.Join(d.dir, "postseal.toml")) }
	log := slog.New(slog.DiscardHandler)
	_, err := NewDaemon(DaemonOptions{Load: load, Log: log})
	if err == nil || !strings.Contains(err.Error(), "another process answers") {
		t.Errorf("a second daemon on the same sockets: %v", err)
	}
	if err := d.stop(); err != nil {
		t.Fatal(err)
	}
	d.write(t, "signing.table", "*@example.com nosuchkey\n")
	d.settings(t, "internal_hosts = \"file:missing.hosts\"\nmacro_list = \"refile:signing.table\"\n")
	_, err = NewDaemon(DaemonOptions{Load: load, Log: log})
	for _, want := range []string{"nosuchkey", "missing.hosts", "macro_list"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("the problems do not name %s: %v", want, err)
		}
	}
	if _, err := net.Dial("unix", filepath.Join(d.dir, "s")); err == nil {
		t.Error("a socket is left open")
	}
}
