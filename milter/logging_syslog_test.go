package milter

import (
	"bytes"
	"fmt"
	"log/syslog"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/postseal/postseal/config"
	"github.com/postseal/postseal/testdata/peers"
)

// syslogPath is a path that is short enough for a socket.
func syslogPath(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "postseal-log-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return filepath.Join(dir, "log")
}

// listenSyslog is a log daemon that reads nothing by itself.
func listenSyslog(t *testing.T, path string) *net.UnixConn {
	t.Helper()
	c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// received is the next line that a log daemon has, without its time.
func received(t *testing.T, c net.Conn) string {
	t.Helper()
	if err := c.SetReadDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 4096)
	n, err := c.Read(buf)
	if err != nil {
		t.Fatal(err)
	}
	return regexp.MustCompile(`>\w{3} [ \d]\d \d\d:\d\d:\d\d `).ReplaceAllString(string(buf[:n]), ">")
}

// A log daemon that is not there yet, or goes away and comes back, costs its
// lines nothing: they go to the second log, with one word about why.
func TestSyslogComesAndGoes(t *testing.T) {
	path := syslogPath(t)
	var second bytes.Buffer
	now := time.Now()
	s := newSyslogSocket(syslog.LOG_MAIL, "opendkim", &second, path)
	s.now = func() time.Time { return now }
	id := fmt.Sprintf("opendkim[%d]", os.Getpid())

	s.send(syslog.LOG_INFO, "before")
	s.send(syslog.LOG_INFO, "before, too")
	want := regexp.QuoteMeta(id) + `: syslog: .*: connect: no such file or directory; the log goes here until a log daemon answers; in the background, nowhere\n` +
		regexp.QuoteMeta(id+": before\n"+id+": before, too\n")
	if !regexp.MustCompile(`^` + want + `$`).MatchString(second.String()) {
		t.Errorf("second log: %q", &second)
	}

	c := listenSyslog(t, path)
	s.send(syslog.LOG_INFO, "too early")
	now = now.Add(syslogPause)
	s.send(syslog.LOG_NOTICE, "there")
	if got, want := received(t, c), "<21>"+id+": there"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}

	// Restarted: another socket of the same name takes the next line.
	c.Close()
	os.Remove(path) // already gone where Close removes it
	c = listenSyslog(t, path)
	s.send(syslog.LOG_ERR, "again")
	if got, want := received(t, c), "<19>"+id+": again"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}

	// Gone for good: said once more.
	second.Reset()
	c.Close()
	os.Remove(path)
	s.send(syslog.LOG_INFO, "after")
	if n := strings.Count(second.String(), "until a log daemon answers"); n != 1 || !strings.HasSuffix(second.String(), id+": after\n") {
		t.Errorf("second log: %q", &second)
	}
}

// A log daemon that has stopped to read holds up one line in a while, for a
// moment, and no mail.
func TestSyslogStuck(t *testing.T) {
	path := syslogPath(t)
	listenSyslog(t, path)
	second := new(lockedLog)
	now := time.Now()
	s := newSyslogSocket(syslog.LOG_MAIL, "postseal", second, path)
	s.now = func() time.Time { return now }
	const lines = 5000 // more than a queue holds
	for i := range lines {
		s.send(syslog.LOG_INFO, fmt.Sprintf("line %d", i))
	}
	if got := second.String(); !strings.Contains(got, "i/o timeout") || !strings.HasSuffix(got, fmt.Sprintf("line %d\n", lines-1)) {
		t.Errorf("second log: %.300q", got)
	}
}

// A daemon of old listens on a stream and wants line ends.
func TestSyslogStream(t *testing.T) {
	path := syslogPath(t)
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	s := newSyslogSocket(syslog.LOG_LOCAL3, "x", os.Stderr, path)
	s.send(syslog.LOG_DEBUG, "text")
	c, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if got, want := received(t, c), fmt.Sprintf("<159>x[%d]: text\n", os.Getpid()); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// loggingChild makes the test binary a program that logs a line of each sort.
const loggingChild = "POSTSEAL_TEST_LOG_FACILITY"

// Both logs use the /dev/log of the system, with each facility that OpenDKIM
// has; without a /dev/log they use what they are given.
func TestSystemSyslog(t *testing.T) {
	if facility := os.Getenv(loggingChild); facility != "" {
		cfg := config.Default()
		cfg.Syslog, cfg.SyslogFacility, cfg.SyslogName, cfg.LogLines = true, facility, "name", "both"
		log, _, err := NewLogger(cfg, os.Stdout)
		if err != nil {
			t.Fatal(err)
		}
		lines, err := NewLines(cfg, os.Stdout)
		if err != nil {
			t.Fatal(err)
		}
		log.Warn("structured")
		lines.say(line{syslog.LOG_NOTICE, "bare"})
		return
	}
	t.Parallel()
	daemon := peers.StartSyslog(t)
	arguments := []string{"-test.run=^TestSystemSyslog$", "-test.v"}
	for facility, number := range map[string]int{"mail": 2, "kern": 0, "LOCAL7": 23, "security": 4, "authpriv": 10, "ftp": 11, "cron": 9} {
		cmd := daemon.Command(os.Args[0], arguments...)
		cmd.Env = append(os.Environ(), loggingChild+"="+facility)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		var got []string
		for _, l := range daemon.Lines() {
			if l.Facility != number || l.Ident != "name" {
				t.Errorf("%s: %+v", facility, l)
			}
			got = append(got, l.String())
		}
		if want := "WARNING msg=structured, NOTICE bare"; strings.Join(got, ", ") != want {
			t.Errorf("%s: got %q, want %s", facility, got, want)
		}
	}
}

func TestUnknownFacility(t *testing.T) {
	cfg := config.Default()
	cfg.Syslog, cfg.SyslogFacility, cfg.LogLines = true, "nowhere", "both"
	if _, err := NewLines(cfg, nil); err == nil || !strings.Contains(err.Error(), `"nowhere"`) {
		t.Errorf("an unknown facility: %v", err)
	}
	for f := range facilities {
		cfg.SyslogFacility = f
		if p := cfg.Validate(); len(p) > 0 {
			t.Errorf("%s: %v", f, p)
		}
	}
}
