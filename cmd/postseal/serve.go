package main

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/postseal/postseal/config"
	"github.com/postseal/postseal/milter"
	"github.com/postseal/postseal/milter/dkim"
	"github.com/spf13/cobra"
)

func newServe() *cobra.Command {
	var path string
	var dns dnsFlags
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Run the daemon",
		Long: `Run the daemon in the foreground, logging to standard error or syslog.

SIGTERM and SIGINT stop it: it accepts no more connections, finishes the messages
whose header has begun to arrive (for drain_timeout at most) and exits with 0; a
second one ends it at once.
SIGHUP and SIGUSR1 reload the configuration at once, as "postseal reload" does.

With --json the log is JSON on standard error, one object a line, whatever log_format
and syslog say; so are the problems of a start that fails: {"msg": "not started",
"problems": [text], "exit_status": number}.`,
		Example: `  postseal serve
  postseal serve -c ./postseal.toml
  postseal serve -c ./postseal.toml --records ./keys.txt   # no DNS: for tests`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, stop := signal.NotifyContext(cmd.Context(), syscall.SIGTERM, syscall.SIGINT)
			defer stop()
			context.AfterFunc(ctx, stop) // a second signal does not wait
			reload := make(chan os.Signal, 1)
			signal.Notify(reload, syscall.SIGHUP, syscall.SIGUSR1)
			d, err := newDaemon(cmd, path, dns, asJSON)
			if err == nil {
				err = d.Run(ctx, reload)
			}
			if err != nil && asJSON {
				return logEnd(cmd, err)
			}
			return err
		},
	}
	addConfig(cmd, &path)
	dns.add(cmd)
	cmd.Flags().BoolVar(&asJSON, "json", false, "log JSON on standard error")
	return cmd
}

// logEnd writes the error of a daemon as a line of its log.
func logEnd(cmd *cobra.Command, err error) error {
	exit := exitError{code: exitFailed}
	errors.As(err, &exit)
	slog.New(slog.NewJSONHandler(cmd.ErrOrStderr(), nil)).
		Error("not started", "problems", strings.Split(err.Error(), "\n"), "exit_status", exit.code)
	return exitError{code: exit.code}
}

// newDaemon makes the daemon of a configuration file. Its log goes to the
// command's standard error, or where the file says; asJSON overrules the file.
func newDaemon(cmd *cobra.Command, path string, dns dnsFlags, asJSON bool) (*milter.Daemon, error) {
	load := func() (*config.Config, error) {
		cfg, err := loadConfig(path)
		if err == nil && asJSON {
			cfg.LogFormat, cfg.Syslog = "json", false
		}
		return cfg, err
	}
	cfg, err := load()
	if err != nil {
		return nil, err
	}
	log, level, err := milter.NewLogger(cfg, cmd.ErrOrStderr())
	if err != nil {
		return nil, exitError{exitConfig, err}
	}
	hostname, err := os.Hostname()
	if err != nil {
		return nil, err
	}
	var r dkim.Resolver
	if dns.set() {
		if r, err = dns.open(cmd, cfg.DNSTimeout.Std()); err != nil {
			return nil, err
		}
	}
	d, err := milter.NewDaemon(milter.DaemonOptions{
		Load: load,
		Log:  log, Level: level, Resolver: r, Hostname: hostname, Version: version(),
	})
	if err != nil {
		return nil, exitError{exitConfig, err}
	}
	return d, nil
}

// background runs a command's daemon until stop is called; stop returns its
// end.
func background(ctx context.Context, d *milter.Daemon) (stop func() error) {
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- d.Run(ctx, nil) }()
	return func() error {
		cancel()
		return <-ended
	}
}
