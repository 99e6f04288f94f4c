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
	facility, ok := facilities[cfg.SyslogFacility]
	if !ok {
		return nil, nil, fmt.Errorf("syslog_facility: unknown facility %q", cfg.SyslogFacility)
	}
	out, err := syslog.New(facility|syslog.LOG_INFO, cfg.SyslogName)
	if err != nil {
		return nil, nil, fmt.Errorf("syslog: %w; is a syslog daemon running? syslog = false logs to standard error", err)
	}
	h := syslogHandler{out: out}
	h.format(cfg.LogFormat, &slog.HandlerOptions{Level: level, ReplaceAttr: withoutTime})
	return slog.New(h), level, nil
}

// facilities of syslog(3) that syslog_facility may name.
var facilities = map[string]syslog.Priority{
	"mail": syslog.LOG_MAIL, "daemon": syslog.LOG_DAEMON, "user": syslog.LOG_USER,
	"auth": syslog.LOG_AUTH, "authpriv": syslog.LOG_AUTHPRIV, "syslog": syslog.LOG_SYSLOG,
	"local0": syslog.LOG_LOCAL0, "local1": syslog.LOG_LOCAL1, "local2": syslog.LOG_LOCAL2, "local3": syslog.LOG_LOCAL3,
	"local4": syslog.LOG_LOCAL4, "local5": syslog.LOG_LOCAL5, "local6": syslog.LOG_LOCAL6, "local7": syslog.LOG_LOCAL7,
}

// withoutTime drops what syslog writes itself.
func withoutTime(groups []string, a slog.Attr) slog.Attr {
	if len(groups) == 0 && (a.Key == slog.TimeKey || a.Key == slog.LevelKey) {
		return slog.Attr{}
	}
	return a
}

// syslogHandler formats a record as text or JSON and sends it with the severity
// of its level.
type syslogHandler struct {
	out     *syslog.Writer
	handler func(io.Writer) slog.Handler
	with    []func(slog.Handler) slog.Handler
	level   slog.Leveler
}

func (h *syslogHandler) format(name string, o *slog.HandlerOptions) {
	h.level = o.Level
	h.handler = func(w io.Writer) slog.Handler { return slog.NewTextHandler(w, o) }
	if name == "json" {
		h.handler = func(w io.Writer) slog.Handler { return slog.NewJSONHandler(w, o) }
	}
}

func (h syslogHandler) Enabled(_ context.Context, l slog.Level) bool { return l >= h.level.Level() }

func (h syslogHandler) Handle(ctx context.Context, r slog.Record) error {
	send := h.out.Info
	switch {
	case r.Level >= slog.LevelError:
		send = h.out.Err
	case r.Level >= slog.LevelWarn:
		send = h.out.Warning
	case r.Level < slog.LevelInfo:
		send = h.out.Debug
	}
	f := h.handler(writerFunc(send))
	for _, w := range h.with {
		f = w(f)
	}
	return f.Handle(ctx, r)
}

func (h syslogHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return h.and(func(f slog.Handler) slog.Handler { return f.WithAttrs(attrs) })
}

func (h syslogHandler) WithGroup(name string) slog.Handler {
	return h.and(func(f slog.Handler) slog.Handler { return f.WithGroup(name) })
}

func (h syslogHandler) and(w func(slog.Handler) slog.Handler) slog.Handler {
	h.with = append(h.with[:len(h.with):len(h.with)], w)
	return h
}

// writerFunc is one formatted line on its way to syslog.
type writerFunc func(string) error

func (f writerFunc) Write(p []byte) (int, error) { return len(p), f(string(p)) }
