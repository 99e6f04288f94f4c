// Package milter is the daemon: listeners and their limits, one session a
// connection, the decision to sign or to verify, the actions on results,
// reload and drain.
package milter

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/postseal/postseal/milter/resolver"
	"github.com/postseal/postseal/milter/wire"
)

// Server answers the MTA's connections from the snapshot in force.
type Server struct {
	log      *slog.Logger
	lines    *Lines
	hostname string
	version  string
	now      func() time.Time
	limits   wire.Limits
	most     int // connections at once

	snapshot  atomic.Pointer[Snapshot]
	stopping  atomic.Bool
	changes   atomic.Uint64 // of sessions' stages
	counters  *counters
	sightings Sightings // of the keys that sign
	troubles  *troubles // nil keeps none

	mu        sync.Mutex
	listeners []net.Listener
	accepting sync.WaitGroup // calls of Serve
	sessions  map[*session]struct{}
	running   sync.WaitGroup // sessions
	full      time.Time      // when it was last logged that no connection is free
	serial    uint64
	connected Connected
}

// ServerOptions is what a server takes from outside of its snapshot; none of it
// changes while it runs.
type ServerOptions struct {
	Log *slog.Logger
	// Hostname names us in Authentication-Results where nothing else does.
	Hostname string
	// Version names us in software_header.
	Version string
	// Lines is told of each message in OpenDKIM's words, if not nil.
	Lines *Lines
	// Troubles keeps the last messages that did not go as they should, for a monitor.
	Troubles bool
	// Now is the clock of signatures; nil is time.Now.
	Now func() time.Time
}

// NewServer makes a server with a first snapshot. Its limits are those of that
// snapshot.
func NewServer(s *Snapshot, o ServerOptions) *Server {
	if o.Now == nil {
		o.Now = time.Now
	}
	srv := &Server{
		log: o.Log, lines: o.Lines, hostname: o.Hostname, version: o.Version, now: o.Now,
		limits: wire.Limits{
			MaxFrame: wire.MaxFrame,
			Idle:     s.cfg.IdleTimeout.Std(), Frame: s.cfg.FrameTimeout.Std(), Write: s.cfg.FrameTimeout.Std(),
		},
		most:     affordable(s.cfg.MaximumConnections, o.Log),
		sessions: map[*session]struct{}{},
		counters: newCounters(),
	}
	if o.Troubles {
		srv.troubles = new(troubles)
	}
	srv.snapshot.Store(s)
	return srv
}

// affordable is how many connections of those configured the process can have
// open at once, with descriptors left for keys, DNS and the log: at the cap an
// idle connection makes room for a new one, without a descriptor none does.
func affordable(configured int, log *slog.Logger) int {
	const reserve = 128
	var files syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &files); err != nil {
		return configured
	}
	left := files.Cur - min(files.Cur/2, reserve+files.Cur/resolver.FileShare)
	if uint64(configured) <= left {
		return configured
	}
	log.Warn("maximum_connections is more than the process may have files open (RLIMIT_NOFILE, LimitNOFILE= of a systemd unit); fewer are served at once",
		"maximum_connections", configured, "open_files", files.Cur, "served", left)
	return int(left)
}

// Use puts a snapshot in force for the messages to come.
func (s *Server) Use(next *Snapshot) {
	s.snapshot.Store(next)
	s.mu.Lock()
	defer s.mu.Unlock()
	for ss := range s.sessions {
		ss.letGo(next)
	}
}

// Snapshot is the one in force.
func (s *Server) Snapshot() *Snapshot { return s.snapshot.Load() }

// Serve accepts connections on l until Shutdown or an error that does not pass.
// socket is the listener's name in the configuration. Trouble that passes (no
// descriptors left, a peer gone already) is waited out.
func (s *Server) Serve(l net.Listener, socket string) error {
	s.mu.Lock()
	if s.stopping.Load() {
		s.mu.Unlock()
		l.Close()
		return nil
	}
	s.listeners = append(s.listeners, l)
	s.accepting.Add(1)
	s.mu.Unlock()
	defer s.accepting.Done()
	const longestPause = time.Second
	var pause time.Duration
	var logged time.Time
	for {
		c, err := l.Accept()
		switch {
		case err == nil:
			pause = 0
			s.admit(c, socket)
		case s.stopping.Load():
			return nil
		case passes(err):
			pause = min(max(2*pause, 5*time.Millisecond), longestPause)
			if now := time.Now(); now.Sub(logged) > longestPause {
				logged = now
				s.log.Error("cannot accept connections for now", "socket", socket, "err", err, "retry_in", pause)
			}
			time.Sleep(pause)
		default:
			return err
		}
	}
}

// passes reports whether an error of accept(2) is no reason to stop listening.
func passes(err error) bool {
	for _, e := range []syscall.Errno{syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM,
		syscall.ECONNABORTED, syscall.EINTR, syscall.EAGAIN, syscall.EPROTO} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// admit starts a session. At the cap one that evict chooses goes; if there is
// none, the new one does. Of one that the daemon has made to itself nobody is to
// notice anything.
func (s *Server) admit(c net.Conn, socket string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if check, ok := c.(selfCheck); ok {
		go newSession(s, socket, check, slog.New(slog.DiscardHandler)).run()
		return
	}
	if len(s.sessions) >= s.most {
		evicted := s.evict()
		if now := time.Now(); now.Sub(s.full) > time.Second {
			s.full = now
			s.log.Warn("maximum_connections are in use: an idle one is closed for a new one, or the new one if none is idle",
				"maximum_connections", s.most, "refused", !evicted)
		}
		if !evicted {
			s.connected.Refused++
			c.Close()
			return
		}
		s.connected.Evicted++
	}
	s.connected.Accepted++
	s.serial++
	ss := newSession(s, socket, c, s.log.With("conn", s.serial))
	s.sessions[ss] = struct{}{}
	s.running.Add(1)
	go func() {
		defer s.running.Done()
		ss.run()
		s.mu.Lock()
		delete(s.sessions, ss)
		s.mu.Unlock()
	}()
}

// evict closes the connection that has been outside a transaction for longest,
// one that has negotiated nothing yet before all others: a flood of strangers
// takes no place from an MTA. It reports whether there is one.
func (s *Server) evict() bool {
	var oldest *session
	chosen := idle
	for ss := range s.sessions {
		st := stage(ss.stage.Load())
		if st < chosen || st == chosen && (oldest == nil || ss.since.Load() < oldest.since.Load()) {
			oldest, chosen = ss, st
		}
	}
	if oldest == nil {
		return false
	}
	oldest.conn.Close()
	delete(s.sessions, oldest)
	return true
}

// Shutdown stops accepting, closes the connections that are outside a transaction
// and waits for the others to end theirs, until ctx ends. Its error is ctx's, with
// messages left unanswered.
func (s *Server) Shutdown(ctx context.Context) error {
	s.mu.Lock()
	s.stopping.Store(true)
	for _, l := range s.listeners {
		l.Close()
	}
	s.mu.Unlock()
	s.accepting.Wait() // who was accepted until now is served
	s.mu.Lock()
	for ss := range s.sessions {
		ss.hurry()
	}
	s.mu.Unlock()
	done := make(chan struct{})
	go func() {
		s.running.Wait()
		close(done)
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
	}
	s.mu.Lock()
	s.log.Warn("messages in progress are given up: drain_timeout is over", "connections", len(s.sessions))
	for ss := range s.sessions {
		ss.conn.Close()
	}
	s.mu.Unlock()
	<-done
	return ctx.Err()
}

// Connected counts connections since the start.
func (s *Server) Connected() Connected {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.connected
}

// Connections is how many sessions are open.
func (s *Server) Connections() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.sessions)
}
