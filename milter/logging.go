package milter

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"log/syslog"

	"github.com/postseal/postseal/config"
)

// NewLogger makes the log that cfg asks for: syslog, or text or JSON on w. The
// level can be changed while the log is in use.
func NewLogger(cfg *config.Config, w io.Writer) (*slog.Logger, *slog.LevelVar, error) {
	level := new(slog.LevelVar)
	level.Set(cfg.LogLevel)
	o := &slog.HandlerOptions{Level: level}
	if !cfg.Syslog {
		if cfg.LogFormat == "json" {
			return slog.New(slog.NewJSONHandler(w, o)), level, nil
		}
		return slog.New(slog.NewTextHandler(w, o)), level, nil
	}
	facility, ok := facility(cfg.SyslogFacility)
	if !ok {
		return nil, nil, fmt.Errorf("syslog_facility: unknown facility %q", cfg.SyslogFacility)
	}
	out, err := syslog.New(facility|syslog.LOG_INFO, cfg.SyslogName)
	if err != nil {
		return nil, nil, fmt.Errorf("syslog: %w; is a syslog daemon running? syslog = false logs to standard error", err)
	}
	return slog.New(newSyslogHandler(out, cfg.LogFormat, level)), level, nil
}

// facility is the facility of syslog(3) that syslog_facility names.
func facility(name string) (syslog.Priority, bool) {
	p, ok := map[string]syslog.Priority{
		"mail": syslog.LOG_MAIL, "daemon": syslog.LOG_DAEMON, "user": syslog.LOG_USER,
		"auth": syslog.LOG_AUTH, "authpriv": syslog.LOG_AUTHPRIV, "syslog": syslog.LOG_SYSLOG,
		"local0": syslog.LOG_LOCAL0, "local1": syslog.LOG_LOCAL1, "local2": syslog.LOG_LOCAL2, "local3": syslog.LOG_LOCAL3,
		"local4": syslog.LOG_LOCAL4, "local5": syslog.LOG_LOCAL5, "local6": syslog.LOG_LOCAL6, "local7": syslog.LOG_LOCAL7,
	}[name]
	return p, ok
}

// syslogWriter is the part of *syslog.Writer that the log uses.
type syslogWriter interface {
	Debug(line string) error
	Info(line string) error
	Warning(line string) error
	Err(line string) error
}

// syslogHandler sends each record with the severity of its level: one handler
// a severity, all of the same format and attributes.
type syslogHandler struct {
	debug, info, warning, err slog.Handler
}

// newSyslogHandler formats records as text or JSON, without what syslog writes
// itself.
func newSyslogHandler(out syslogWriter, format string, level slog.Leveler) slog.Handler {
	o := &slog.HandlerOptions{Level: level, ReplaceAttr: withoutTime}
	severity := func(send writerFunc) slog.Handler {
		if format == "json" {
			return slog.NewJSONHandler(send, o)
		}
		return slog.NewTextHandler(send, o)
	}
	return syslogHandler{severity(out.Debug), severity(out.Info), severity(out.Warning), severity(out.Err)}
}

// withoutTime drops the time and the level.
func withoutTime(groups []string, a slog.Attr) slog.Attr {
	if len(groups) == 0 && (a.Key == slog.TimeKey || a.Key == slog.LevelKey) {
		return slog.Attr{}
	}
	return a
}

// Enabled implements slog.Handler.
func (h syslogHandler) Enabled(ctx context.Context, l slog.Level) bool {
	return h.of(l).Enabled(ctx, l)
}

// Handle implements slog.Handler.
func (h syslogHandler) Handle(ctx context.Context, r slog.Record) error {
	return h.of(r.Level).Handle(ctx, r)
}

// of is the handler for a level.
func (h syslogHandler) of(l slog.Level) slog.Handler {
	switch {
	case l >= slog.LevelError:
		return h.err
	case l >= slog.LevelWarn:
		return h.warning
	case l >= slog.LevelInfo:
		return h.info
	}
	return h.debug
}

// WithAttrs implements slog.Handler.
func (h syslogHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return h.each(func(f slog.Handler) slog.Handler { return f.WithAttrs(attrs) })
}

// WithGroup implements slog.Handler.
func (h syslogHandler) WithGroup(name string) slog.Handler {
	return h.each(func(f slog.Handler) slog.Handler { return f.WithGroup(name) })
}

func (h syslogHandler) each(change func(slog.Handler) slog.Handler) slog.Handler {
	return syslogHandler{change(h.debug), change(h.info), change(h.warning), change(h.err)}
}

// writerFunc is one formatted line on its way to syslog.
type writerFunc func(string) error

func (f writerFunc) Write(p []byte) (int, error) { return len(p), f(string(p)) }
