package peers

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// Syslog is a log daemon of a test's own: a datagram socket that keeps what it
// is sent. A program that runs in it (see Command) has it as /dev/log, and
// nobody else does.
type Syslog struct {
	t     testing.TB
	path  string
	came  chan string
	marks int
}

// SyslogLine is one line, without its time.
type SyslogLine struct {
	// Facility and Severity are the numbers of RFC 5424 §6.2.1.
	Facility, Severity int
	// Ident is the program's name, PID its process; 0 if it did not say.
	Ident string
	PID   int
	Text  string
}

// severityWords are the names of syslog(3).
var severityWords = [...]string{"EMERG", "ALERT", "CRIT", "ERR", "WARNING", "NOTICE", "INFO", "DEBUG"}

// String is the severity's name and the text.
func (l SyslogLine) String() string { return severityWords[l.Severity] + " " + l.Text }

// StartSyslog opens the socket, which closes when the test ends.
func StartSyslog(t testing.TB) *Syslog {
	t.Helper()
	dir, err := os.MkdirTemp("", "postseal-syslog-") // t.TempDir may be too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	s := &Syslog{t: t, path: filepath.Join(dir, "log"), came: make(chan string, 10_000)}
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: s.path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	go s.receive(conn)
	return s
}

// receive reads at once what comes: the queue of a socket is short, and whoever
// logs waits.
func (s *Syslog) receive(conn net.Conn) {
	defer close(s.came)
	buf := make([]byte, 64<<10)
	for {
		n, err := conn.Read(buf)
		if err != nil {
			return
		}
		s.came <- string(buf[:n])
	}
}

// Path is the socket.
func (s *Syslog) Path() string { return s.path }

// inside gives the program that it runs a /dev with the socket as /dev/log, in
// a mount namespace of its own.
const inside = `set -e
dev=$(mktemp -d)
mount -t tmpfs tmpfs "$dev"
for d in null zero random urandom; do
	: > "$dev/$d"
	mount --bind "/dev/$d" "$dev/$d"
done
: > "$dev/log"
mount --bind "$1" "$dev/log"
mount --rbind "$dev" /dev
umount -l "$dev"
rmdir "$dev"
shift
exec "$@"
`

// Command runs a program that has the socket as /dev/log. The test is skipped
// where the system grants no mount namespace.
func (s *Syslog) Command(program string, arguments ...string) *exec.Cmd {
	s.t.Helper()
	unshare := []string{"--mount", "--propagation", "private"}
	if os.Geteuid() != 0 {
		unshare = append(unshare, "--map-root-user")
	}
	unshare = append(unshare, "sh", "-c", inside, "sh", s.path)
	if out, err := exec.Command("unshare", append(unshare, "true")...).CombinedOutput(); err != nil {
		Require(s.t, fmt.Errorf("no mount namespace for a /dev/log of its own: %w: %s", err, out))
	}
	return exec.Command("unshare", append(append(unshare, program), arguments...)...)
}

var syslogPattern = regexp.MustCompile(`^<(\d+)>\w{3} [ \d]\d \d\d:\d\d:\d\d ([^\[:]+)(?:\[(\d+)\])?: (?s:(.*?))\n?$`)

// Lines returns what has come since the last call. What a program sent before
// it answered somebody is among it.
func (s *Syslog) Lines() []SyslogLine {
	s.t.Helper()
	s.marks++
	mark := "mark " + strconv.Itoa(s.marks) // datagrams keep their order
	c, err := net.Dial("unixgram", s.path)
	if err != nil {
		s.t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Write([]byte(mark)); err != nil {
		s.t.Fatal(err)
	}
	var lines []SyslogLine
	for text := range s.came {
		if text == mark {
			return lines
		}
		m := syslogPattern.FindStringSubmatch(text)
		if m == nil {
			s.t.Errorf("no line of syslog: %q", text)
			continue
		}
		priority, _ := strconv.Atoi(m[1])
		pid, _ := strconv.Atoi(m[3])
		lines = append(lines, SyslogLine{
			Facility: priority >> 3, Severity: priority & 7, Ident: m[2], PID: pid, Text: strings.TrimRight(m[4], "\x00"),
		})
	}
	s.t.Fatal("the log is closed")
	return nil
}

// StartOpenDKIM starts the daemon as the function of the same name does, with
// this as its log.
func (s *Syslog) StartOpenDKIM(zone map[string]string, conf ...string) *OpenDKIM {
	s.t.Helper()
	return startOpenDKIM(s.t, s.Command, zone, append([]string{"Syslog yes"}, conf...)...)
}
