package milter

import (
	"fmt"
	"io"
	"log/syslog"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/postseal/postseal/config"
)

// Lines is the log in the words of OpenDKIM 2.11, for scripts and people that
// read those. A nil *Lines says nothing.
type Lines struct {
	send func(severity syslog.Priority, text string)
	// alone says that there is no structured line for each message beside.
	alone bool
}

// line is one of them, with the severity that OpenDKIM gives it.
type line struct {
	severity syslog.Priority
	text     string
}

// NewLines opens the log of OpenDKIM's lines: syslog where cfg has it, else w,
// which gets the bare text. It is nil where log_lines asks for none. The error
// says that syslog_facility is unknown.
func NewLines(cfg *config.Config, w io.Writer) (*Lines, error) {
	if cfg.LogLines != "opendkim" && cfg.LogLines != "both" {
		return nil, nil
	}
	l := &Lines{alone: cfg.LogLines == "opendkim"}
	if cfg.Syslog {
		s, err := openSyslog(cfg, w, true) // NewLogger's socket says why w is used
		if err != nil {
			return nil, err
		}
		l.send = s.send
		return l, nil
	}
	l.send = func(_ syslog.Priority, text string) { fmt.Fprintln(w, text) }
	return l, nil
}

// filterName is how OpenDKIM calls itself. Scripts look for the name, and may
// look for the number.
const filterName = "OpenDKIM Filter v2.11.0"

// Starting says that the daemon starts; args are those of the command, without
// its name.
func (l *Lines) Starting(args []string) {
	text := filterName + " starting"
	if len(args) > 0 {
		text += " (args: " + strings.Join(args, " ") + ")"
	}
	l.say(line{syslog.LOG_INFO, text})
}

// Terminating says that the daemon ends with this exit status.
func (l *Lines) Terminating(status int) {
	l.say(line{syslog.LOG_INFO, fmt.Sprintf("%s terminating with status %d, errno = 0", filterName, status)})
}

// Restarting says that the daemon is started again; why is "terminated with
// signal 9" or "exited with status 2".
func (l *Lines) Restarting(why string) {
	l.say(line{syslog.LOG_NOTICE, why + ", restarting"})
}

// GivenUp says why it is not started again any more.
func (l *Lines) GivenUp(why string) { l.say(line{syslog.LOG_ERR, why}) }

// Reloaded says that the configuration of a file is in force.
func (l *Lines) Reloaded(file string) {
	l.say(line{syslog.LOG_INFO, "configuration reloaded from " + file})
}

// ReloadFailed says what keeps the configuration of a file from being used, a
// line a problem.
func (l *Lines) ReloadFailed(file string, problems ...string) {
	for _, p := range problems {
		p = strings.TrimPrefix(p, "opendkim: ")
		if !strings.HasPrefix(p, file) {
			p = file + ": " + p
		}
		l.say(line{syslog.LOG_ERR, p})
	}
}

// instead reports whether messages get no structured line.
func (l *Lines) instead() bool { return l != nil && l.alone }

// message says what became of a message.
func (l *Lines) message(m *message) {
	if l == nil {
		return
	}
	l.say(messageLines(m.lineFacts())...)
}

func (l *Lines) say(lines ...line) {
	if l == nil {
		return
	}
	for _, one := range lines {
		l.send(one.severity, printable(one.text))
	}
}

// maxLine bounds a line in octets; log daemons cut longer ones.
const maxLine = 8 << 10

// printable escapes what could begin another line or control a terminal.
// OpenDKIM leaves that to the log daemon.
func printable(text string) string {
	if len(text) <= maxLine && !strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r > '~' }) {
		return text // nearly always
	}
	var b strings.Builder
	for i := 0; i < len(text); {
		r, n := utf8.DecodeRuneInString(text[i:])
		if b.Len() > maxLine {
			b.WriteString("…")
			break
		}
		switch {
		case r == utf8.RuneError && n == 1:
			fmt.Fprintf(&b, `\x%02x`, text[i])
		case strconv.IsPrint(r):
			b.WriteString(text[i : i+n])
		default:
			q := strconv.QuoteRune(r)
			b.WriteString(q[1 : len(q)-1])
		}
		i += n
	}
	return b.String()
}
