package service

import (
	"log/slog"

	"github.com/postseal/postseal/config"
	"github.com/postseal/postseal/milter"
)

// log is where the daemon's lines go: our own, and those in OpenDKIM's words.
type log struct {
	*slog.Logger
	level *slog.LevelVar
	lines *milter.Lines
}

// openLog opens syslog, standard output or standard error, as cfg says.
func (o *Options) openLog(cfg *config.Config) (*log, error) {
	w := o.Stderr
	if cfg.StdoutLog {
		w = o.Stdout
	}
	logger, level, err := milter.NewLogger(cfg, w)
	if err != nil {
		return nil, &Error{ExitConfig, err}
	}
	lines, err := milter.NewLines(cfg, w)
	if err != nil {
		return nil, &Error{ExitConfig, err}
	}
	return &log{logger, level, lines}, nil
}
