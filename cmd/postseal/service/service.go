// Package service runs the daemon as a process of the system: it reads the
// configuration, opens the log, changes root folder and user, writes the pid file,
// goes to the background, is started again when it dies, and obeys signals.
//
// The order of a start is OpenDKIM's: as the user who starts it, tables, lists
// and KeyFile are read; then it changes the root folder, writes the pid file and
// becomes UserID for good; only then keys of KeyTable are read and sockets opened,
// which therefore belong to UserID.
package service

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/postseal/postseal/config"
	"github.com/postseal/postseal/config/opendkim"
	"github.com/postseal/postseal/milter"
	"github.com/postseal/postseal/milter/dkim"
)

// Exit codes of sysexits.h for a start that fails.
const (
	ExitNoUser      = 65 // EX_DATAERR: UserID names a user or group that is not there
	ExitUnavailable = 69 // EX_UNAVAILABLE: a socket cannot be opened
	ExitSoftware    = 70 // EX_SOFTWARE
	ExitOSErr       = 71 // EX_OSERR: the root folder cannot be changed
	ExitNoPerm      = 77 // EX_NOPERM: cannot become UserID
	ExitConfig      = 78 // EX_CONFIG
)

// Options is what a daemon's process takes from its command.
type Options struct {
	// Name is what the command is called, for what it says on Stderr.
	Name string
	// File is the configuration file, for the log.
	File string
	// Load reads the configuration, at the start and at each reload.
	Load func() (*config.Config, opendkim.Process, error)
	// Foreground overrules Process: no background, no supervision.
	Foreground bool
	// Lenient is for an opendkim.conf: no pid file and no control socket are no
	// reason not to start, because they are none for OpenDKIM.
	Lenient bool
	// Resolver answers in place of the configured name servers, if not nil.
	Resolver dkim.Resolver
	// Version is what status shows.
	Version string
	// Stderr is where the log goes unless the configuration says otherwise,
	// Stdout where it goes with StdoutLog.
	Stdout, Stderr io.Writer
}

// Error ends the process with an exit code. Err is nil where everything has been
// said.
type Error struct {
	Exit int
	Err  error
}

func (e *Error) Error() string {
	if e.Err == nil {
		return fmt.Sprintf("exit status %d", e.Exit)
	}
	return e.Err.Error()
}

func (e *Error) Unwrap() error { return e.Err }

// Run runs the daemon until ctx or a signal ends it, or starts it in the
// background and returns once its sockets are open. Its error is an *Error.
// Programs that call it are started again by it, with the same command line: they
// should come here before they do anything else.
func Run(ctx context.Context, o Options) error {
	signal.Ignore(syscall.SIGPIPE) // who reads the log may go, and the daemon stays
	if err := forbidCore(); err != nil {
		o.say(err.Error())
	}
	var p parent
	if !o.Foreground {
		var err error
		if p, err = inherited(); err != nil {
			return withExit(err, ExitOSErr)
		}
	}
	m, err := findManager()
	if err != nil {
		o.say(err.Error())
	}
	m.Loading()
	cfg, process, err := o.Load()
	switch {
	case err != nil:
		return withExit(err, ExitConfig)
	case o.Foreground || p.role == worker || !process.Background:
		return o.serve(ctx, cfg, p, m)
	case p.role == command:
		if m.wants() {
			o.say("in the background the service manager is told nothing, and its sockets are not used: where the unit has Type=notify, " +
				`WatchdogSec= or a .socket, run the daemon in the foreground (-f, or "Background no")`)
			m.tell("STATUS=")
		}
		return o.launch()
	case process.AutoRestart:
		return o.supervise(cfg, process, p)
	}
	return o.serve(ctx, cfg, p, m)
}

// exitOf is the exit code for an error.
func exitOf(err error) int {
	var with *Error
	switch {
	case err == nil:
		return 0
	case errors.As(err, &with):
		return with.Exit
	}
	return ExitSoftware
}

// withExit gives an error that has none an exit code.
func withExit(err error, exit int) error {
	var with *Error
	if errors.As(err, &with) {
		return err
	}
	return &Error{exit, err}
}

// serve is the daemon itself.
func (o *Options) serve(ctx context.Context, cfg *config.Config, p parent, m *manager) error {
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	context.AfterFunc(ctx, stop) // a second signal does not wait
	reload := make(chan os.Signal, 1)
	signal.Notify(reload, syscall.SIGHUP, syscall.SIGUSR1)
	defer signal.Stop(reload)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	p.whenGone(cancel)

	l, err := o.openLog(cfg)
	if err != nil {
		return err
	}
	d, pid, err := o.start(cfg, l, p, m)
	if err == nil {
		if p.role != command && !cfg.Syslog {
			o.say(`in the background there is no log but syslog's, which is off: "Syslog yes", or -l, turns it on`)
		}
		err = p.ready()
	}
	failed := err != nil
	if !failed {
		l.lines.Starting(os.Args[1:])
		if m.watchdog > 0 {
			m.serving = func() { go m.watch(ctx, d.Answers, l.Logger) }
		}
		err = d.Run(ctx, reload)
		l.lines.Terminating(exitOf(err))
	}
	pid.remove(failed)
	if err != nil && cfg.Syslog { // else it stands on standard error
		l.Error("not started, or ended by an error", "problems", strings.Split(err.Error(), "\n"))
	}
	if err != nil {
		return withExit(err, ExitSoftware)
	}
	return nil
}

// start opens everything and becomes the user that serves.
func (o *Options) start(cfg *config.Config, l *log, p parent, m *manager) (d *milter.Daemon, pid pidFile, err error) {
	hostname, err := os.Hostname()
	if err != nil {
		return nil, pid, err
	}
	user, err := findAccount(cfg.UserID)
	if err != nil {
		return nil, pid, err
	}
	options := milter.DaemonOptions{
		Load: o.loader(cfg), Log: l.Logger, Level: l.level, Lines: l.lines, ConfigFile: o.File, Resolver: o.Resolver,
		Hostname: hostname, Version: o.Version, WithoutControl: o.Lenient,
		Inherited: m.sockets, Observer: m,
	}
	if user.differs() || cfg.ChangeRootDirectory != "" {
		options.Signer = &user.uid
	}
	options.Drop = func() error {
		if err := o.changeRoot(cfg); err != nil {
			return err
		}
		makeFolder(cfg.RuntimeDirectory, user)
		if cfg.PidFile != "" && p.role != worker { // a worker's supervisor has written it
			pid.path = cfg.Path(cfg.PidFile)
			if err := o.writePid(&pid, l.Logger); err != nil {
				return err
			}
		}
		return user.become()
	}
	if d, err = milter.NewDaemon(options); err == nil {
		d.Confine(pid.path)
	}
	var listen *milter.ListenError
	switch {
	case errors.As(err, &listen):
		err = withExit(err, ExitUnavailable)
	case err != nil:
		err = o.inConfig(err)
	}
	return d, pid, err
}

// inConfig is an error of what the configuration names, in the terms of its form.
func (o *Options) inConfig(err error) error {
	var with *Error
	if errors.As(err, &with) || !o.Lenient {
		return withExit(err, ExitConfig)
	}
	return &Error{ExitConfig, opendkim.In(o.File, err)}
}

// loader is Load for the daemon: the first time what was read already.
func (o *Options) loader(first *config.Config) func() (*config.Config, error) {
	return func() (cfg *config.Config, err error) {
		if cfg, first = first, nil; cfg == nil {
			cfg, _, err = o.Load()
		}
		return cfg, err
	}
}

// changeRoot makes the configured folder the root of everything from now on.
func (o *Options) changeRoot(cfg *config.Config) error {
	dir := cfg.ChangeRootDirectory
	if dir == "" {
		return nil
	}
	if cfg.UserID == "" {
		o.say("use of ChangeRootDirectory without Userid not advised")
	}
	_, _ = time.Now().Zone() // reads the time zone's file, which may be out of reach then
	if err := os.Chdir(dir); err != nil {
		return &Error{ExitOSErr, fmt.Errorf("%s: chdir(): %s", dir, opendkim.SystemText(err))}
	}
	if err := syscall.Chroot("."); err != nil {
		return &Error{ExitOSErr, fmt.Errorf("%s: chroot(): %s", dir, opendkim.SystemText(err))}
	}
	return nil
}

// say prints a warning of the start.
func (o *Options) say(text string) { fmt.Fprintf(o.Stderr, "%s: %s\n", o.Name, text) }
