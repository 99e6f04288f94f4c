package main

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"

	"github.com/postseal/postseal/config"
	"github.com/postseal/postseal/keys"
	"github.com/postseal/postseal/milter"
	"github.com/postseal/postseal/milter/dkim"
	"github.com/postseal/postseal/milter/proof"
	"github.com/spf13/cobra"
)

// loadSnapshot reads a configuration and all that it names with the daemon's
// own code. Warnings go to w.
func loadSnapshot(path string, w io.Writer, r dkim.Resolver) (*config.Config, *milter.Snapshot, error) {
	cfg, err := loadConfig(path)
	if err != nil {
		return nil, nil, err
	}
	log := slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{Level: slog.LevelWarn}))
	const most = 10_000
	s, err := milter.Load(cfg, milter.Environment{Keys: keys.NewCache(most, proof.Prove, log), Log: log, Resolver: r})
	if err != nil {
		return nil, nil, exitError{exitConfig, err}
	}
	return cfg, s, nil
}

func newCheckConfig() *cobra.Command {
	var path string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "check-config",
		Short: "Check the configuration, its tables and keys",
		Long: `Read the configuration and everything that it names with the daemon's own code:
tables, lists, private keys and their permissions. Every key signs a probe that an
independent implementation must verify. All problems are printed at once.

The exit status is 0 if all is in order and 78 if the daemon would not start or a
key could not sign. Run it as the daemon's user: whether a key is safe depends on
who reads it.`,
		Example: "  postseal check-config\n  postseal check-config -c ./postseal.toml --json",
		Args:    usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, s, err := loadSnapshot(path, cmd.ErrOrStderr(), nil)
			var problems []string
			if err != nil {
				problems = strings.Split(err.Error(), "\n")
			} else {
				for _, p := range s.Disabled() {
					problems = append(problems, p.Error())
				}
			}
			if asJSON {
				report := struct {
					OK       bool           `json:"ok"`
					Problems []string       `json:"problems,omitempty"`
					Keys     []keys.KeyInfo `json:"keys,omitempty"`
				}{OK: len(problems) == 0, Problems: problems}
				if s != nil {
					report.Keys = s.Keys()
				}
				if err := printJSON(cmd, report); err != nil {
					return err
				}
				if len(problems) > 0 {
					return exitError{code: exitConfig}
				}
				return nil
			}
			if len(problems) > 0 {
				return exitError{exitConfig, errors.New(strings.Join(problems, "\npostseal: "))}
			}
			out := cmd.OutOrStdout()
			fmt.Fprintf(out, "%s is in order: mode %s\n", path, cfg.Mode)
			for _, k := range s.Keys() {
				fmt.Fprintf(out, "key  %s\n", keyWords(k))
			}
			return nil
		},
	}
	addConfig(cmd, &path)
	addJSON(cmd, &asJSON)
	return cmd
}
