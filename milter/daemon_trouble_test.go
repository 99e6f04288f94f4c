package milter

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/postseal/postseal/config"
)

// While a reload runs, the status is told and a stop is not kept waiting.
func TestSlowReload(t *testing.T) {
	dir := t.TempDir()
	entered, leave := make(chan struct{}), make(chan struct{})
	loads := 0
	reload := make(chan os.Signal)
	d, err := NewDaemon(DaemonOptions{
		Load: func() (*config.Config, error) {
			if loads++; loads > 1 {
				entered <- struct{}{}
				<-leave
				return nil, errors.New("one problem\nanother")
			}
			return config.Parse([]byte("socket = \"local:"+dir+"/s\"\nruntime_directory = \""+dir+"/run\"\nmode = \"v\"\n"), "test.toml")
		},
		Log: slog.New(slog.DiscardHandler), Hostname: "host.example",
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- d.Run(ctx, reload) }()
	reload <- syscall.SIGHUP
	<-entered
	if st, err := (Control{Dir: filepath.Join(dir, "run")}).Status(t.Context()); err != nil || !st.LastReload.Time.IsZero() {
		t.Errorf("status during a reload: %v %+v", err, st.LastReload)
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	leave <- struct{}{}
	for d.Status().LastReload.Time.IsZero() {
		time.Sleep(time.Millisecond)
	}
	if p := d.Status().LastReload.Problems; !slices.Equal(p, []string{"one problem", "another"}) {
		t.Errorf("problems: %q", p)
	}
}

// Each of many askers for a reload gets an answer, and mail goes on meanwhile.
func TestReloadUnderLoad(t *testing.T) {
	d := startDaemon(t)
	m := d.connect(t)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 10 {
				if r, err := (Control{Dir: filepath.Join(d.dir, "run")}).Reload(t.Context()); err != nil || len(r.Problems) > 0 {
					t.Errorf("reload: %v %q", err, r.Problems)
				}
				d.Status()
			}
		})
	}
	l := letter{header: header("example.com"), body: "x\r\n"}
	for range 50 {
		wantSigned(t, d.records, m.deliver(l), l.header, l.body)
	}
	wg.Wait()
}

// A folder that cannot be used is named, with what to do.
func TestFolders(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "file"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, row := range []struct{ name, socket, runtime, want string }{
		{"runtime_directory cannot be made", dir + "/s", dir + "/file/run", "name a folder that the daemon may write to"},
		{"runtime_directory is a file", dir + "/s", dir + "/file", "name a folder that the daemon may write to"},
		{"runtime_directory takes no socket", dir + "/s", "/proc/self", "name a folder that the daemon may write to"},
		{"the socket's folder is missing", dir + "/missing/s", dir + "/run", "install -d -o USER " + dir + "/missing"},
	} {
		t.Run(row.name, func(t *testing.T) {
			_, err := NewDaemon(DaemonOptions{
				Load: func() (*config.Config, error) {
					return config.Parse([]byte("socket = \"local:"+row.socket+"\"\nruntime_directory = \""+row.runtime+"\"\nmode = \"v\"\n"), "test.toml")
				},
				Log: slog.New(slog.DiscardHandler),
			})
			if err == nil || !strings.Contains(err.Error(), row.want) {
				t.Errorf("got %v, want %q", err, row.want)
			}
		})
	}
	if _, err := os.Lstat(filepath.Join(dir, "run", controlName)); err == nil {
		t.Error("the control socket is left behind")
	}
}

func TestNeedRestart(t *testing.T) {
	parse := func(text string) *config.Config {
		cfg, err := config.Parse([]byte(text), "test.toml")
		if err != nil {
			t.Fatal(err)
		}
		return cfg
	}
	const listener = "domain = [\"example.com\"]\nselector = \"s\"\nkey_file = \"/k\"\nmode = \"v\"\n[[listener]]\nsocket = \"local:/l\"\nmode = "
	for _, row := range []struct{ name, before, after, want string }{
		{"nothing", "mode = \"v\"", "mode = \"v\"\nlog_level = \"debug\"", ""},
		{"a listener's mode", listener + `"v"`, listener + `"s"`, ""},
		{"a listener", "mode = \"v\"", listener + `"v"`, "socket"},
		{"sockets", "mode = \"v\"\nsocket = [\"local:/a\", \"local:/b\"]", "mode = \"v\"\nsocket = [\"local:/b\"]", "socket"},
		{"the sandbox", "mode = \"v\"\nsandbox = false", "mode = \"v\"\nsandbox_read = \"/srv\"", "sandbox sandbox_read"},
		{"the monitor", "mode = \"v\"\nmonitor_keys = 1", "mode = \"v\"\nmonitor_socket = \"inet:9891\"", "monitor_socket"},
		{"several", "mode = \"v\"", "mode = \"v\"\nsocket_mode = \"0600\"\nsyslog = true\nidle_timeout = \"3h\"", "socket_mode idle_timeout syslog"},
	} {
		if got := strings.Join(needRestart(parse(row.before), parse(row.after)), " "); got != row.want {
			t.Errorf("%s: %q, want %q", row.name, got, row.want)
		}
	}
}
