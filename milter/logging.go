package milter

import (
	"context"
	"io"
	"log/slog"
	"log/syslog"
	"strings"

	"github.com/postseal/postseal/config"
)

// NewLogger makes the log that cfg asks for: syslog, or text or JSON on w. The
// level can be changed while the log is in use. Lines that no log daemon takes
// go to w, from the start on where there is none, as in a container.
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
	out, err := openSyslog(cfg, w, false)
	if err != nil {
		return nil, nil, err
	}
	return slog.New(newSyslogHandler(out.send, cfg.LogFormat, level)), level, nil
}

// syslogHandler sends each record with the severity of its level: one handler
// a severity, all of the same format and attributes.
type syslogHandler struct {
	debug, info, warning, err slog.Handler
}

// newSyslogHandler formats records as text or JSON, without what syslog writes
// itself.
func newSyslogHandler(send func(syslog.Priority, string), format string, level slog.Leveler) slog.Handler {
	o := &slog.HandlerOptions{Level: level, ReplaceAttr: withoutTime}
	severity := func(p syslog.Priority) slog.Handler {
		w := writerFunc(func(line string) { send(p, strings.TrimSuffix(line, "\n")) })
		if format == "json" {
			return slog.NewJSONHandler(w, o)
		}
		return slog.NewTextHandler(w, o)
	}
	return syslogHandler{severity(syslog.LOG_DEBUG), severity(syslog.LOG_INFO), severity(syslog.LOG_WARNING), severity(syslog.LOG_ERR)}
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
type writerFunc func(string)

func (f writerFunc) Write(p []byte) (int, error) {
	f(string(p))
	return len(p), nil
}
