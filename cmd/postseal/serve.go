package main

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"

	"github.com/postseal/postseal/cmd/postseal/service"
	"github.com/postseal/postseal/config"
	"github.com/postseal/postseal/config/opendkim"
	"github.com/spf13/cobra"
)

func newServe() *cobra.Command {
	var path, lines string
	var dns dnsFlags
	var asJSON, sandbox bool
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Run the daemon",
		Long: `Run the daemon in the foreground, logging to standard error or syslog. The
configuration is a postseal.toml or an opendkim.conf; of the latter, Background and
AutoRestart do not count here.

SIGTERM and SIGINT stop it: it accepts no more connections, finishes the messages
that have begun, also where the client is still sending (for drain_timeout at most),
and exits with 0; a second one ends it at once.
SIGHUP and SIGUSR1 reload the configuration at once, as "postseal reload" does.

systemd is told when it serves, reloads and stops (Type=notify), and as long as it
answers itself (WatchdogSec=). Sockets that systemd has opened are used in place of
those of the same address in the configuration; others are served, too.

With --sandbox, which postseal.toml has on by default (sandbox), the daemon can read
once it has started what it needs and nothing more, where the kernel has Landlock:
the folders of the configuration, of the files that it names and of the keys, and
those above the folders of keys. --sandbox=false switches it off.

A setting can also come from the environment, as POSTSEAL_ and its name in capitals:
POSTSEAL_DOMAIN, POSTSEAL_SELECTOR, POSTSEAL_KEY_FILE; commas divide the elements of
a list. A variable counts over a postseal.toml, and where there is none in the usual
place at the start, the variables are the whole configuration. The log names them at
the start. [[listener]] needs a file, and so does a private key. Under an
opendkim.conf they have no effect.

With --json the log is JSON on standard error, one object a line, whatever log_format
and syslog say; so are the problems of a start that fails: {"msg": "not started",
"problems": [text], "exit_status": number}.

Exit status, beside those of every command: 65 user_id names nobody; 69 a socket
cannot be opened; 71 the root folder cannot be changed or the pid file not be
written; 77 user_id cannot be taken on.`,
		Example: `  postseal serve
  postseal serve -c ./postseal.toml
  postseal serve -c /etc/opendkim.conf --log-lines opendkim
  postseal serve -c ./postseal.toml --records ./keys.txt   # no DNS: for tests`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			known := []string{"structured", "opendkim", "both"}
			if lines != "" && !slices.Contains(known, lines) {
				return usage(cmd, "--log-lines %s: want %s", lines, strings.Join(known, ", "))
			}
			err := serve(cmd, path, dns, func(cfg *config.Config) {
				if asJSON {
					cfg.LogFormat, cfg.Syslog = "json", false
				}
				if lines != "" {
					cfg.LogLines = lines
				}
				if cmd.Flags().Changed("sandbox") {
					cfg.Sandbox = sandbox
				}
			})
			if err != nil && asJSON {
				return logEnd(cmd, err)
			}
			return err
		},
	}
	addConfig(cmd, &path)
	dns.add(cmd)
	cmd.Flags().BoolVar(&asJSON, "json", false, "log JSON on standard error")
	cmd.Flags().BoolVar(&sandbox, "sandbox", false, "read nothing but what the configuration needs, whatever the configuration says")
	cmd.Flags().StringVar(&lines, "log-lines", "", "`which` lines tell of messages, whatever the configuration says: structured, opendkim or both")
	return cmd
}

// serve runs the daemon of a configuration file until a signal ends it. change
// is what the command line has to say about the configuration.
func serve(cmd *cobra.Command, path string, dns dnsFlags, change func(*config.Config)) error {
	hasFile := false
	o := service.Options{
		Name: "postseal", File: path, Foreground: true, Version: service.Version(),
		Stdout: cmd.OutOrStdout(), Stderr: cmd.ErrOrStderr(),
		Load: func() (*config.Config, opendkim.Process, error) {
			cfg, err := loadConfig(cmd, path)
			switch {
			case err != nil:
				return nil, opendkim.Process{}, err
			case hasFile && len(cfg.Sources()) == 0:
				return nil, opendkim.Process{}, exitError{exitConfig, fmt.Errorf("%s is gone; the settings of the environment do not take its place while the daemon runs", path)}
			}
			hasFile = len(cfg.Sources()) > 0
			change(cfg)
			return cfg, opendkim.Process{}, nil
		},
	}
	if data, err := os.ReadFile(path); err == nil {
		o.Lenient = opendkim.Is(data)
	}
	if dns.set() {
		cfg, err := loadConfig(cmd, path)
		if err != nil {
			return err
		}
		if o.Resolver, err = dns.open(cmd, cfg.DNSTimeout.Std()); err != nil {
			return err
		}
	}
	err := service.Run(cmd.Context(), o)
	var with *service.Error
	if errors.As(err, &with) {
		return exitError{with.Exit, with.Err}
	}
	return err
}

// logEnd writes the error of a daemon as a line of its log.
func logEnd(cmd *cobra.Command, err error) error {
	exit := exitError{code: exitFailed}
	errors.As(err, &exit)
	slog.New(slog.NewJSONHandler(cmd.ErrOrStderr(), nil)).
		Error("not started", "problems", strings.Split(err.Error(), "\n"), "exit_status", exit.code)
	return exitError{code: exit.code}
}
