package service

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unicode"

	"github.com/coreos/go-systemd/v22/activation"
	"github.com/coreos/go-systemd/v22/daemon"
	"golang.org/x/sys/unix"
)

// manager is the service manager that started this process, systemd for one. It is
// the daemon's milter.Observer. Its zero value is nobody.
type manager struct {
	conn     *net.UnixConn  // where it wants to be told, nil for nowhere
	watchdog time.Duration  // in what time it wants a sign of life, 0 for none
	sockets  []net.Listener // that it has opened for us

	served   sync.Once
	serving  func() // called once the daemon serves, if not nil
	stopping atomic.Bool
}

const (
	// slowWork is how long a start or a reload may take: tables may be huge, and
	// lie on another machine.
	slowWork = 10 * time.Minute
	// lastWords is how much longer than drain_timeout a stop may take.
	lastWords = 10 * time.Second
	// told is how long a message to the manager may take. It is busy at times.
	told = 30 * time.Second
	// longestWords bounds what it is told of how the daemon does, in octets.
	longestWords = 1000
)

// findManager takes what the environment says of a manager, which is meant for this
// process alone: those that it starts do not find it there. It comes before the
// process gives anything up: then the way to the manager may be out of reach.
func findManager() (m *manager, err error) {
	m = &manager{}
	var noWatchdog, noSocket, noConn error
	m.watchdog, noWatchdog = daemon.SdWatchdogEnabled(true)
	m.sockets, noSocket = passed(activation.Files(true))
	if name := os.Getenv("NOTIFY_SOCKET"); name != "" {
		os.Unsetenv("NOTIFY_SOCKET")
		m.conn, noConn = net.DialUnix("unixgram", nil, &net.UnixAddr{Net: "unixgram", Name: name})
	}
	return m, errors.Join(noWatchdog, noSocket, noConn)
}

// passed are the sockets that the manager has opened for this process.
func passed(files []*os.File) (sockets []net.Listener, err error) {
	for _, f := range files {
		l, e := listening(f)
		if e != nil {
			err = errors.Join(err, fmt.Errorf("socket %s of the service manager: %w", f.Name(), e))
			continue
		}
		sockets = append(sockets, l)
	}
	return sockets, err
}

// listening makes a listener of a socket. It closes f.
func listening(f *os.File) (net.Listener, error) {
	defer f.Close()
	kind, err := unix.GetsockoptInt(int(f.Fd()), unix.SOL_SOCKET, unix.SO_TYPE)
	if err != nil {
		return nil, os.NewSyscallError("getsockopt", err)
	}
	accepts, err := unix.GetsockoptInt(int(f.Fd()), unix.SOL_SOCKET, unix.SO_ACCEPTCONN)
	if err != nil || kind != unix.SOCK_STREAM || accepts == 0 {
		return nil, errors.New("it is none that listens for connections: use ListenStream=, without Accept=yes")
	}
	l, err := net.FileListener(f)
	if err != nil {
		return nil, err
	}
	if network := l.Addr().Network(); network != "tcp" && network != "unix" {
		l.Close()
		return nil, fmt.Errorf("a milter has no use for %s", network)
	}
	return l, nil
}

// wants reports whether there is somebody who wants anything of this process.
func (m *manager) wants() bool { return m.conn != nil || m.watchdog > 0 || len(m.sockets) > 0 }

// Loading says that the start has begun, and may take its time.
func (m *manager) Loading() {
	m.tell("STATUS=reading configuration, tables and keys", extend(slowWork))
}

// Serving implements milter.Observer.
func (m *manager) Serving(words string) {
	if m.stopping.Load() {
		return // a reload has ended that nobody waits for
	}
	m.tell("READY=1", "STATUS="+oneLine(words))
	if m.serving != nil {
		m.served.Do(m.serving)
	}
}

// Reloading implements milter.Observer.
func (m *manager) Reloading() {
	if m.stopping.Load() {
		return // it has no more time for that
	}
	var now unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_MONOTONIC, &now) // this clock is always there
	m.tell("RELOADING=1", fmt.Sprintf("MONOTONIC_USEC=%d", now.Nano()/1000), "STATUS=reloading", extend(slowWork))
}

// Stopping implements milter.Observer.
func (m *manager) Stopping(drain time.Duration) {
	m.stopping.Store(true)
	m.tell("STOPPING=1", fmt.Sprintf("STATUS=stopping; messages in progress have %v", drain), extend(drain+lastWords))
}

// tell sends assignments in one message (sd_notify(3)). A manager that does not
// listen is no reason not to serve.
func (m *manager) tell(assignments ...string) {
	if m.conn == nil {
		return
	}
	_ = m.conn.SetWriteDeadline(time.Now().Add(told))
	_, _ = m.conn.Write([]byte(strings.Join(assignments, "\n")))
}

// extend asks for time.
func extend(d time.Duration) string { return fmt.Sprintf("EXTEND_TIMEOUT_USEC=%d", d.Microseconds()) }

// oneLine is text that is no further assignment.
func oneLine(text string) string {
	text = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, text)
	if len(text) > longestWords {
		text = text[:longestWords] + "…"
	}
	return strings.ToValidUTF8(text, "?")
}
