package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/postseal/postseal/config"
	"github.com/postseal/postseal/milter"
	"github.com/postseal/postseal/milter/dkim"
	"github.com/spf13/cobra"
)

func newServe() *cobra.Command {
	var path string
	var dns dnsFlags
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Run the daemon",
		Long: `Run the daemon in the foreground, logging to standard error or syslog.

SIGTERM and SIGINT stop it: it accepts no more connections, finishes the messages
whose header has begun to arrive (for drain_timeout at most) and exits with 0.
SIGHUP and SIGUSR1 reload the configuration at once, as "postseal reload" does.`,
		Example: `  postseal serve
  postseal serve -c ./postseal.toml
  postseal serve -c ./postseal.toml --records ./keys.txt   # no DNS: for tests`,
		Args: usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, stop := signal.NotifyContext(cmd.Context(), syscall.SIGTERM, syscall.SIGINT)
			defer stop()
			reload := make(chan os.Signal, 1)
			signal.Notify(reload, syscall.SIGHUP, syscall.SIGUSR1)
			d, err := newDaemon(cmd, path, dns)
			if err != nil {
				return err
			}
			return d.Run(ctx, reload)
		},
	}
	addConfig(cmd, &path)
	dns.add(cmd)
	return cmd
}

// newDaemon makes the daemon of a configuration file. Its log goes to the
// command's standard error, or where the file says.
func newDaemon(cmd *cobra.Command, path string, dns dnsFlags) (*milter.Daemon, error) {
	cfg, err := loadConfig(path)
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
		if r, err = dns.resolver(cfg.DNSTimeout.Std()); err != nil {
			return nil, err
		}
	}
	d, err := milter.NewDaemon(milter.DaemonOptions{
		Load: func() (*config.Config, error) { return config.Load(path) },
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
