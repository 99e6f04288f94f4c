package milter

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/postseal/postseal/config"
	"github.com/postseal/postseal/config/watch"
	"github.com/postseal/postseal/keys"
	"github.com/postseal/postseal/milter/dkim"
	"github.com/postseal/postseal/milter/proof"
	"github.com/postseal/postseal/milter/resolver"
	"github.com/postseal/postseal/milter/sandbox"
)

// cachedKeys bounds the private keys that are kept parsed and proven.
const cachedKeys = 10_000

// DaemonOptions is what a daemon takes from outside.
type DaemonOptions struct {
	// Load reads the configuration, at the start and at each reload.
	Load func() (*config.Config, error)
	// Log is where everything is said; see NewLogger.
	Log *slog.Logger
	// Level is the level of Log, which a reload may change; nil if it may not.
	Level *slog.LevelVar
	// Lines is the log in OpenDKIM's words, if not nil; see NewLines. ConfigFile
	// is what it calls the configuration.
	Lines      *Lines
	ConfigFile string
	// Resolver answers in place of the configured name servers, if not nil.
	Resolver dkim.Resolver
	// Hostname names us in Authentication-Results where nothing else does.
	Hostname string
	// Version is shown by status and by software_header.
	Version string
	// Drop, if not nil, gives up what only the start needs, such as root, once
	// the tables are read and before keys are and a socket is opened. Signer is
	// the user that the process then is.
	Drop   func() error
	Signer *int
	// Inherited are listening sockets that are open already. One that the
	// configuration names is used in its place; the others are served, too. They are
	// not removed in the end.
	Inherited []net.Listener
	// Observer is told of start, reloads and stop, if not nil.
	Observer Observer
	// WithoutControl lets a daemon run that cannot make its control socket.
	WithoutControl bool
}

// ListenError is why a socket could not be opened.
type ListenError struct{ Err error }

func (e *ListenError) Error() string { return e.Err.Error() }

func (e *ListenError) Unwrap() error { return e.Err }

// Daemon is a server with its configuration, its sockets and its control
// socket.
type Daemon struct {
	o       DaemonOptions
	cfg     *config.Config // the first one: sockets and limits stay as it says
	keys    *keys.Cache
	server  *Server
	sockets []*socket
	control net.Listener
	monitor monitoring
	started time.Time
	dns     resolver.Stats

	reloading sync.Mutex // one reload at a time
	files     *watch.Watcher
	// What files watches: what the configuration names, and key files.
	watched, watchedKeys []string
	named                []string // by the configuration that was read last, but for the key

	// confined says what keeps this process to its files, box what they are, nil
	// for everything; see Confine. unreached are files of the start outside of it.
	confined  string
	box       *sandbox.Box
	unreached map[string]bool

	mu         sync.Mutex
	lastReload Reloaded
	reloads    Reloads
}

// Reloads counts reloads since the start.
type Reloads struct {
	Success uint64 `json:"success"`
	Failure uint64 `json:"failure"`
}

// Reloaded is how a reload ended.
type Reloaded struct {
	Time time.Time `json:"time"`
	// Problems is empty after success.
	Problems []string `json:"problems,omitempty"`
	// Notes are settings that take a restart.
	Notes []string `json:"notes,omitempty"`
}

// NewDaemon loads the configuration and opens every socket. Its error joins
// every problem; that the monitor's cannot be opened is none.
func NewDaemon(o DaemonOptions) (d *Daemon, err error) {
	if o.Observer == nil {
		o.Observer = unobserved{}
	}
	files := watch.New(o.Log)
	d = &Daemon{o: o, keys: keys.NewCache(cachedKeys, proof.Prove, o.Log), files: files, started: time.Now(), confined: "off"}
	defer func() {
		if err != nil {
			files.Close()
		}
	}()
	var s *Snapshot
	if d.cfg, s, err = d.load(nil); err != nil {
		return nil, err
	}
	if o.Drop != nil {
		if err := o.Drop(); err != nil {
			return nil, err
		}
		d.files.Narrow()
	}
	if o.Signer != nil {
		s.ReadKeys()
	}
	d.watchKeys(s)
	d.server = NewServer(s, ServerOptions{
		Log: o.Log, Lines: o.Lines, Hostname: o.Hostname, Version: o.Version, Troubles: d.cfg.MonitorAt() != "",
	})
	if err := d.open(); err != nil {
		d.closeSockets()
		return nil, err
	}
	d.sayDisabled(s)
	return d, nil
}

// wholeAttempts is how often files that change while they are read are read anew.
const wholeAttempts = 5

var errMoving = errors.New("the files of the configuration change while they are read; try again when they are at rest")

// load reads the configuration and everything that it names. If a file changes
// meanwhile, what was read may be a mixture, as when a link to a folder with all of
// them is put elsewhere: it is read anew then.
func (d *Daemon) load(previous *Snapshot) (*config.Config, *Snapshot, error) {
	for range wholeAttempts {
		cfg, before, err := d.loadConfig()
		var s *Snapshot
		if err == nil {
			s, err = Load(cfg, d.environment(cfg, previous, before.Same))
		}
		if err == nil && d.o.Signer != nil && previous != nil {
			s.ReadKeys()
		}
		if before.Same() {
			return cfg, s, err
		}
	}
	return nil, nil, errMoving
}

func (d *Daemon) environment(cfg *config.Config, previous *Snapshot, unchanged func() bool) Environment {
	if cfg.ChangeRootDirectory != "" {
		unchanged = nil // other files stand there under the same names
	}
	return Environment{
		Keys: d.keys, Resolver: d.o.Resolver, DNS: &d.dns, Log: d.o.Log, Previous: previous, Signer: d.o.Signer, Unchanged: unchanged,
		Outside: d.outside,
	}
}

// open opens the control socket and the milter sockets.
func (d *Daemon) open() error {
	if err := d.openControl(); err != nil {
		if !d.o.WithoutControl {
			return err
		}
		d.o.Log.Warn("no control socket; reload and status cannot ask this daemon", "err", err)
	}
	given := inherited(slices.Clone(d.o.Inherited))
	var problems []error
	for _, name := range socketNames(d.cfg) {
		if l := given.take(name, d.cfg.ChangeRootDirectory); l != nil {
			d.sockets = append(d.sockets, newSocket(l, name, true))
			continue
		}
		l, err := Listen(name, d.cfg.SocketMode.Mode(), d.cfg.SocketGroup)
		if err != nil {
			problems = append(problems, &ListenError{fmt.Errorf("socket: %w", err)})
			continue
		}
		d.sockets = append(d.sockets, newSocket(l, name, false))
	}
	for _, l := range given {
		d.sockets = append(d.sockets, newSocket(prompted(l), socketName(l.Addr()), true))
	}
	d.openMonitor()
	return errors.Join(problems...)
}

// socketNames are the sockets of a configuration.
func socketNames(cfg *config.Config) []string {
	names := slices.Clone(cfg.Socket)
	for _, l := range cfg.Listener {
		names = append(names, l.Socket)
	}
	return names
}

func (d *Daemon) openControl() (err error) {
	if err := os.MkdirAll(d.cfg.RuntimeDirectory, 0o755); err != nil {
		return fmt.Errorf("runtime_directory: %w; name a folder that the daemon may write to", err)
	}
	if d.control, err = listenControl(d.cfg.RuntimeDirectory); err != nil {
		return fmt.Errorf("control socket in runtime_directory: %w; name a folder that the daemon may write to", err)
	}
	return nil
}

func (d *Daemon) closeSockets() {
	if d.control != nil {
		d.control.Close()
	}
	if d.monitor.listener != nil {
		d.monitor.listener.Close()
	}
	for _, l := range d.sockets {
		l.Close()
	}
}

// Addrs are the addresses of the milter sockets, in the order of the configuration;
// behind them, those of inherited ones that it does not name.
func (d *Daemon) Addrs() []net.Addr {
	addrs := make([]net.Addr, len(d.sockets))
	for i, l := range d.sockets {
		addrs[i] = l.Addr()
	}
	return addrs
}

// Run serves until ctx ends, then stops accepting, lets the messages in
// progress end within drain_timeout and returns nil. Each value from reload
// reloads the configuration, and so does a changed file where watch_files is on.
func (d *Daemon) Run(ctx context.Context, reload <-chan os.Signal) error {
	defer d.closeSockets()
	failed := make(chan error, len(d.sockets)+1)
	for _, l := range d.sockets {
		go func() {
			if err := d.server.Serve(l, l.name); err != nil {
				failed <- fmt.Errorf("socket %s: %w", l.name, err)
			}
		}()
		log := d.o.Log
		if l.inherited {
			log = log.With("inherited", true)
		}
		log.Info("listening", "socket", l.name, "address", l.Addr().String())
	}
	if d.control != nil {
		defer d.serveControl(failed).Close()
	}
	if d.monitor.listener != nil {
		defer d.serveMonitor().Close()
	}
	if variables := d.cfg.Variables(); len(variables) > 0 {
		d.o.Log.Info("settings come from the environment", "variables", strings.Join(variables, ", "), "file", cmp.Or(strings.Join(d.cfg.Sources(), ", "), "none"))
	}
	d.o.Log.Info("started", "version", d.o.Version, "keys", d.server.Snapshot().KeyCount(), "sandbox", d.confined)
	d.o.Observer.Serving(d.words())

	ctx, end := context.WithCancel(ctx)
	defer end()
	go d.files.Run(ctx)
	go d.monitor.publishing.runEvery(ctx)
	go d.reloadOn(ctx, reload) // a reload may take long: a stop does not wait for it
	var err error
	select {
	case err = <-failed:
		d.o.Log.Error("a listener failed; stopping", "err", err)
		end()
	case <-ctx.Done():
	}
	d.o.Log.Info("stopping", "connections", d.server.Connections())
	atMost := d.server.Snapshot().cfg.DrainTimeout.Std()
	d.o.Observer.Stopping(atMost)
	drain, cancel := context.WithTimeout(context.Background(), atMost)
	defer cancel()
	_ = d.server.Shutdown(drain) // it has logged what it gave up
	d.o.Log.Info("stopped")
	return err
}

// reloadOn reloads for each value from signals and for changed files, until ctx
// ends.
func (d *Daemon) reloadOn(ctx context.Context, signals <-chan os.Signal) {
	for {
		select {
		case <-signals:
			_, _ = d.reload() // it has logged its problems
		case changed := <-d.files.Changes():
			_, _ = d.reload(changed...)
		case <-ctx.Done():
			return
		}
	}
}

// reload reads the configuration anew and puts it in force for the messages to
// come. On an error, which joins all problems, the old one stays. It also returns
// what the status shows of it. The log names the files whose change is the reason.
func (d *Daemon) reload(changed ...string) (Reloaded, error) {
	d.reloading.Lock()
	defer d.reloading.Unlock()
	log := d.o.Log
	if len(changed) > 0 {
		log = log.With("changed_files", changed)
	}
	r := Reloaded{Time: time.Now()}
	d.o.Observer.Reloading()
	defer func() { d.o.Observer.Serving(d.words()) }()
	defer func() {
		d.mu.Lock()
		d.lastReload = r
		if len(r.Problems) == 0 {
			d.reloads.Success++
		} else {
			d.reloads.Failure++
		}
		d.mu.Unlock()
	}()
	old := d.server.Snapshot()
	giveBack(old)
	cfg, next, err := d.load(old)
	if err = d.refused(old, cfg, next, err); err != nil {
		if r.Problems = strings.Split(err.Error(), "\n"); len(r.Problems) > mostProblems {
			more := len(r.Problems) - mostProblems
			r.Problems = append(r.Problems[:mostProblems:mostProblems], fmt.Sprintf("and %d more problems", more))
		}
		log.Error("reload failed; the old configuration stays in force", "problems", r.Problems)
		d.o.Lines.ReloadFailed(d.o.ConfigFile, r.Problems...)
		return r, err
	}
	d.server.Use(next)
	giveBack(next)
	d.watchKeys(next)
	if d.o.Level != nil {
		d.o.Level.Set(cfg.LogLevel)
	}
	r.Notes = needRestart(d.cfg, cfg)
	log.Info("configuration reloaded", "keys", next.KeyCount())
	d.o.Lines.Reloaded(d.o.ConfigFile)
	for _, n := range r.Notes {
		d.o.Log.Warn("setting changed; it takes a restart", "setting", n)
	}
	d.sayDisabled(next)
	return r, nil
}

// mostProblems is how many problems of a reload are named: there may be as many as
// tables have rows.
const mostProblems = 20

// largeTables is from how many keys on the memory of a configuration counts.
const largeTables = 10_000

// giveBack returns unused memory to the system where a configuration is large: two
// of them are in memory while one takes the place of the other, beside up to as much
// garbage. With 100,000 domains and 10,000 keys in use a reload costs 220 ms of CPU
// instead of 150 ms, and leaves 130 MiB instead of 230 MiB.
func giveBack(s *Snapshot) {
	if s.KeyCount() >= largeTables {
		debug.FreeOSMemory()
	}
}

// mostDisabled is how many keys and rows that cannot sign the log names: where a
// folder cannot be read there may be as many as there are domains.
const mostDisabled = 20

// sayDisabled logs the keys and rows that cannot sign.
func (d *Daemon) sayDisabled(s *Snapshot) {
	disabled := s.Disabled()
	for i, err := range disabled {
		if i == mostDisabled {
			d.o.Log.Error("more keys cannot sign; postseal status --json lists them", "count", len(disabled)-i)
			break
		}
		d.o.Log.Error("a key cannot sign; mail that needs it is not let through (on_internal_error)", "err", err)
	}
}

// needRestart names the settings that differ and that a reload cannot change.
// The mode of a listener is not among them.
func needRestart(running, next *config.Config) []string {
	sockets := func(c *config.Config) []string { return slices.Sorted(slices.Values(socketNames(c))) }
	var changed []string
	for _, setting := range []struct {
		name string
		same bool
	}{
		{"socket", slices.Equal(sockets(running), sockets(next))},
		{"socket_mode", running.SocketMode == next.SocketMode},
		{"socket_group", running.SocketGroup == next.SocketGroup},
		{"user_id", running.UserID == next.UserID},
		{"change_root_directory", running.ChangeRootDirectory == next.ChangeRootDirectory},
		{"pid_file", running.PidFile == next.PidFile},
		{"stdout_log", running.StdoutLog == next.StdoutLog},
		{"sandbox", running.Sandbox == next.Sandbox},
		{"sandbox_read", slices.Equal(running.SandboxRead, next.SandboxRead)},
		{"monitor_socket", running.MonitorSocket == next.MonitorSocket},
		{"runtime_directory", running.RuntimeDirectory == next.RuntimeDirectory},
		{"maximum_connections", running.MaximumConnections == next.MaximumConnections},
		{"frame_timeout", running.FrameTimeout == next.FrameTimeout},
		{"idle_timeout", running.IdleTimeout == next.IdleTimeout},
		{"log_format", running.LogFormat == next.LogFormat},
		{"log_lines", running.LogLines == next.LogLines},
		{"syslog", running.Syslog == next.Syslog},
		{"syslog_facility", running.SyslogFacility == next.SyslogFacility},
		{"syslog_name", running.SyslogName == next.SyslogName},
	} {
		if !setting.same {
			changed = append(changed, setting.name)
		}
	}
	return changed
}
