package milter

import (
	"errors"
	"fmt"
	"io"
	"log/syslog"
	"net"
	"os"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/postseal/postseal/config"
)

const (
	// syslogPatience is how long a line waits for a log daemon that does not
	// read, and syslogPause how long it is then left alone: no mail may wait
	// for its log line.
	syslogPatience = 200 * time.Millisecond
	syslogPause    = time.Second
)

// syslogSocket sends lines to the log daemon of this machine. What it does not
// take goes to a second log: the one of the standard library would fail the
// start where there is no daemon, lose lines, and wait for ever where the daemon
// has stopped to read.
type syslogSocket struct {
	facility syslog.Priority
	ident    string // name and process id
	second   io.Writer
	quiet    bool     // it does not say why it uses second
	paths    []string // where a daemon may listen
	now      func() time.Time

	mu     sync.Mutex
	conn   net.Conn // nil: none
	failed bool     // the last line went to second
	rest   time.Time
}

// openSyslog connects to the log daemon now, while its socket can be seen:
// under another root folder it may not be there any more. w is the second log.
func openSyslog(cfg *config.Config, w io.Writer, quiet bool) (*syslogSocket, error) {
	f, ok := facilities[strings.ToLower(cfg.SyslogFacility)]
	if !ok {
		return nil, fmt.Errorf("syslog_facility: unknown facility %q", cfg.SyslogFacility)
	}
	s := newSyslogSocket(f, cfg.SyslogName, w, "/dev/log", "/var/run/syslog", "/var/run/log")
	s.quiet = quiet
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.dial(); err != nil {
		s.fail(err)
	}
	return s, nil
}

func newSyslogSocket(facility syslog.Priority, name string, second io.Writer, paths ...string) *syslogSocket {
	return &syslogSocket{facility: facility, ident: fmt.Sprintf("%s[%d]", name, os.Getpid()), second: second, paths: paths, now: time.Now}
}

// facilities are those of syslog(3) by name; "security" is OpenDKIM's word for
// auth.
var facilities = map[string]syslog.Priority{
	"kern": syslog.LOG_KERN, "user": syslog.LOG_USER, "mail": syslog.LOG_MAIL, "daemon": syslog.LOG_DAEMON,
	"auth": syslog.LOG_AUTH, "security": syslog.LOG_AUTH, "syslog": syslog.LOG_SYSLOG, "lpr": syslog.LOG_LPR, "news": syslog.LOG_NEWS,
	"uucp": syslog.LOG_UUCP, "cron": syslog.LOG_CRON, "authpriv": syslog.LOG_AUTHPRIV, "ftp": syslog.LOG_FTP,
	"local0": syslog.LOG_LOCAL0, "local1": syslog.LOG_LOCAL1, "local2": syslog.LOG_LOCAL2, "local3": syslog.LOG_LOCAL3,
	"local4": syslog.LOG_LOCAL4, "local5": syslog.LOG_LOCAL5, "local6": syslog.LOG_LOCAL6, "local7": syslog.LOG_LOCAL7,
}

// send sends one line without a line end.
func (s *syslogSocket) send(severity syslog.Priority, text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.try(severity, text); err != nil {
		s.fail(err)
		fmt.Fprintf(s.second, "%s: %s\n", s.ident, text)
		return
	}
	s.failed = false
}

// errResting says that the daemon failed a moment ago.
var errResting = errors.New("the log daemon does not answer")

// try sends a line, and once more over a new connection: a daemon that was
// restarted has another socket of the same name.
func (s *syslogSocket) try(severity syslog.Priority, text string) (err error) {
	if s.conn == nil && s.now().Before(s.rest) {
		return errResting
	}
	for range 2 {
		if s.conn == nil {
			if err := s.dial(); err != nil {
				return err
			}
		}
		if err = s.write(severity, text); err == nil || errors.Is(err, syscall.EMSGSIZE) {
			return err
		}
		s.conn.Close()
		s.conn = nil
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return err
		}
	}
	return err
}

// write writes a line as syslog(3) does (RFC 3164 §4.1, without the host).
func (s *syslogSocket) write(severity syslog.Priority, text string) error {
	now := time.Now()
	if err := s.conn.SetWriteDeadline(now.Add(syslogPatience)); err != nil {
		return err
	}
	line := fmt.Sprintf("<%d>%s %s: %s", s.facility|severity, now.Format(time.Stamp), s.ident, text)
	if s.conn.RemoteAddr().Network() == "unix" {
		line += "\n" // a stream: daemons of old
	}
	_, err := io.WriteString(s.conn, line)
	return err
}

func (s *syslogSocket) dial() (err error) {
	for _, path := range s.paths {
		for _, network := range []string{"unixgram", "unix"} {
			conn, why := net.DialTimeout(network, path, syslogPatience)
			if why == nil {
				s.conn = conn
				return nil
			}
			if err == nil {
				err = why // that of the usual place
			}
		}
	}
	return err
}

// fail notes that a line could not be sent, and says so once.
func (s *syslogSocket) fail(err error) {
	if !errors.Is(err, errResting) {
		s.rest = s.now().Add(syslogPause)
	}
	if !s.failed && !s.quiet {
		fmt.Fprintf(s.second, "%s: syslog: %v; the log goes here until a log daemon answers; in the background, nowhere\n", s.ident, err)
	}
	s.failed = true
}
