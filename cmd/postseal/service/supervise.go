package service

import (
	"errors"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"github.com/postseal/postseal/config"
	"github.com/postseal/postseal/config/opendkim"
)

// shortLife is how long a daemon has to have lived to be started again without
// a pause as long.
const shortLife = time.Second

// supervise keeps a daemon running: one that dies is started again, unless it
// was told to stop or cannot start as it is configured. The pid file names the
// supervisor, which passes signals on. It touches no mail and stays who it is, so
// that the next daemon can start as the first one did.
func (o *Options) supervise(cfg *config.Config, process opendkim.Process, p parent) error {
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP, syscall.SIGUSR1)
	defer signal.Stop(signals)
	l, err := o.openLog(cfg)
	if err != nil {
		return err
	}
	s := supervisor{log: l, signals: signals, restarts: restarts{limit: process.AutoRestartCount, rate: process.AutoRestartRate}}
	var pid pidFile
	if cfg.PidFile != "" {
		user, err := findAccount(cfg.UserID)
		if err != nil {
			return err
		}
		// The daemon's, which may have a root folder of its own.
		makeFolder(filepath.Join(cfg.ChangeRootDirectory, cfg.RuntimeDirectory), user)
		pid.path = filepath.Join(cfg.ChangeRootDirectory, cfg.Path(cfg.PidFile))
		if err := o.writePid(&pid, l.Logger); err != nil {
			return err
		}
	}
	s.ready = p.ready
	defer func() { pid.remove(s.ready != nil) }()
	return s.run()
}

// supervisor is a supervisor at work.
type supervisor struct {
	log      *log
	signals  <-chan os.Signal
	ready    func() error // nil once it was called
	restarts restarts
}

func (s *supervisor) run() error {
	for {
		since := time.Now()
		stopped, err := s.once()
		switch exit := exitCode(err); {
		case stopped || err == nil:
			return nil
		case s.ready != nil:
			return failed(err)
		case exit == ExitConfig || exit == ExitNoUser || exit == ExitNoPerm:
			s.log.Error("the daemon cannot start as it is configured", "status", exit)
			return &Error{Exit: exit}
		case exit >= 0:
			s.log.Error("the daemon ended; it is started again", "status", exit)
			s.log.lines.Restarting("exited with status " + strconv.Itoa(exit))
		default:
			s.log.Error("the daemon died; it is started again", "err", err)
			s.log.lines.Restarting("terminated with signal " + strconv.Itoa(int(signalOf(err))))
		}
		if err := s.restarts.another(time.Now()); err != nil {
			s.log.Error("the daemon is not started again", "err", err)
			s.log.lines.GivenUp(err.Error())
			return &Error{ExitUnavailable, err}
		}
		if time.Since(since) < shortLife && s.pause() {
			return nil
		}
	}
}

// once runs a daemon to its end. stopped says that it was asked to end.
func (s *supervisor) once() (stopped bool, err error) {
	c, err := spawn(worker)
	if err != nil {
		return false, err
	}
	defer c.close()
	ended := make(chan error, 1)
	go func() { ended <- c.Wait() }()
	var serves bool
	var later os.Signal // to reload, from before it served
	for {
		select {
		case serves = <-c.started:
			if serves && s.ready != nil {
				if err := s.ready(); err != nil {
					_ = c.Process.Signal(syscall.SIGTERM)
					<-ended
					return false, err
				}
				s.ready = nil
			}
			if serves && later != nil {
				_ = c.Process.Signal(later)
			}
		case sig := <-s.signals:
			if sig == syscall.SIGTERM || sig == syscall.SIGINT {
				stopped = true
			} else if !serves {
				later = sig // it would die of it now
				continue
			}
			_ = c.Process.Signal(sig)
		case err := <-ended:
			sig := signalOf(err)
			return stopped || sig == syscall.SIGTERM || sig == syscall.SIGINT, err
		}
	}
}

// pause waits before the next start. It reports whether a signal said stop.
func (s *supervisor) pause() (stop bool) {
	over := time.After(shortLife)
	for {
		select {
		case <-over:
			return false
		case sig := <-s.signals:
			if sig == syscall.SIGTERM || sig == syscall.SIGINT {
				return true
			}
		}
	}
}

// exitCode is that of a process, -1 for one that a signal ended.
func exitCode(err error) int {
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return exit.ExitCode()
	}
	return -1
}

// signalOf is the signal that ended a process, -1 if none did.
func signalOf(err error) syscall.Signal {
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		if status, ok := exit.Sys().(syscall.WaitStatus); ok {
			return status.Signal()
		}
	}
	return -1
}

// restarts counts how often a daemon is started again.
type restarts struct {
	limit int // 0: none
	rate  opendkim.Rate
	count int
	last  []time.Time // within rate.Per
}

// another asks for one more. Its errors are OpenDKIM's words.
func (r *restarts) another(now time.Time) error {
	if r.limit > 0 && r.count >= r.limit {
		return errors.New("maximum restart count exceeded")
	}
	if r.rate.Count > 0 {
		for len(r.last) > 0 && now.Sub(r.last[0]) >= r.rate.Per {
			r.last = r.last[1:]
		}
		if len(r.last) >= r.rate.Count {
			return errors.New("maximum restart rate exceeded")
		}
		r.last = append(r.last, now)
	}
	r.count++
	return nil
}
