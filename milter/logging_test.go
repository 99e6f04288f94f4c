package milter

import (
	"bytes"
	"log/slog"
	"log/syslog"
	"strings"
	"testing"

	"github.com/postseal/postseal/config"
)

// fakeSyslog notes severity and line.
type fakeSyslog struct{ lines []string }

func (f *fakeSyslog) send(severity syslog.Priority, line string) {
	f.lines = append(f.lines, severityNames[severity]+" "+line)
}

// severityNames are the severities that we use.
var severityNames = map[syslog.Priority]string{
	syslog.LOG_DEBUG: "debug", syslog.LOG_INFO: "info", syslog.LOG_NOTICE: "notice", syslog.LOG_WARNING: "warning", syslog.LOG_ERR: "err",
}

// A record goes out with its level's severity, in one line, without the time
// and the level that syslog writes itself; the level can change meanwhile.
func TestSyslogHandler(t *testing.T) {
	for format, want := range map[string][]string{
		"text": {`info msg=one conn=7 g.from="a\nb"`, `warning msg=two conn=7`, `err msg=three conn=7`, `debug msg=four`},
		"json": {`info {"msg":"one","conn":7,"g":{"from":"a\nb"}}`, `warning {"msg":"two","conn":7}`, `err {"msg":"three","conn":7}`, `debug {"msg":"four"}`},
	} {
		out, level := new(fakeSyslog), new(slog.LevelVar)
		log := slog.New(newSyslogHandler(out.send, format, level))
		conn := log.With("conn", 7)
		conn.Debug("not wanted")
		conn.WithGroup("g").Info("one", "from", "a\nb")
		conn.Warn("two")
		conn.Error("three")
		level.Set(slog.LevelDebug)
		log.Debug("four")
		if got := strings.Join(out.lines, "\n"); got != strings.Join(want, "\n") {
			t.Errorf("%s:\n%s\nwant\n%s", format, got, strings.Join(want, "\n"))
		}
	}
}

func TestNewLogger(t *testing.T) {
	for format, want := range map[string]string{"text": "level=WARN msg=hello", "json": `"level":"WARN","msg":"hello"`} {
		var b bytes.Buffer
		cfg := config.Default()
		cfg.LogFormat, cfg.LogLevel = format, slog.LevelWarn
		log, level, err := NewLogger(cfg, &b)
		if err != nil {
			t.Fatal(err)
		}
		log.Info("not wanted")
		log.Warn("hello")
		if !strings.Contains(b.String(), want) || strings.Contains(b.String(), "not wanted") {
			t.Errorf("%s: %s", format, &b)
		}
		level.Set(slog.LevelInfo)
		if log.Info("wanted"); !strings.Contains(b.String(), "wanted") {
			t.Errorf("%s: the level does not change: %s", format, &b)
		}
	}
	cfg := config.Default()
	cfg.Syslog, cfg.SyslogFacility = true, "nowhere"
	if _, _, err := NewLogger(cfg, nil); err == nil || !strings.Contains(err.Error(), `"nowhere"`) {
		t.Errorf("an unknown facility: %v", err)
	}
}
