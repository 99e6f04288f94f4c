package main

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/postseal/postseal/config"
	"github.com/postseal/postseal/milter"
	"github.com/spf13/cobra"
)

// addControl adds the flags that find a running daemon.
func addControl(cmd *cobra.Command, path, dir *string) {
	addConfig(cmd, path)
	cmd.Flags().StringVar(dir, "runtime-directory", "", "the daemon's runtime_directory, in place of the configuration's `folder`")
}

// control finds the running daemon.
func control(path, dir string) (milter.Control, error) {
	if dir != "" {
		return milter.Control{Dir: dir}, nil
	}
	cfg, err := loadConfig(path)
	if err != nil {
		var code exitError
		errors.As(err, &code)
		return milter.Control{}, exitError{code.code, fmt.Errorf("%w\nthe running daemon can also be found with --runtime-directory /run/postseal", code.err)}
	}
	return milter.Control{Dir: cfg.RuntimeDirectory}, nil
}

func newReload() *cobra.Command {
	var path, dir string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "reload",
		Short: "Have the daemon read its configuration anew, and wait for the result",
		Long: `Have the running daemon read its configuration, tables and keys anew.

The command waits until the new configuration is in force. If it has problems,
they are printed, the exit status is 1 and the daemon goes on with the old one.`,
		Example: "  postseal reload\n  postseal reload --runtime-directory /run/postseal",
		Args:    usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			// The daemon's own folder answers even when the file is broken just now.
			if dir == "" {
				if cfg, err := loadConfig(path); err == nil {
					dir = cfg.RuntimeDirectory
				} else {
					dir = config.RuntimeDirectory()
				}
			}
			r, err := milter.Control{Dir: dir}.Reload(cmd.Context())
			if err != nil {
				return err
			}
			if asJSON {
				err = printJSON(cmd, r)
			} else {
				out := cmd.OutOrStdout()
				for _, p := range r.Problems {
					fmt.Fprintln(cmd.ErrOrStderr(), p)
				}
				for _, n := range r.Notes {
					fmt.Fprintf(out, "%s changed: that takes a restart\n", n)
				}
				if len(r.Problems) == 0 {
					fmt.Fprintln(out, "reloaded")
				}
			}
			if err == nil && len(r.Problems) > 0 {
				return exitError{exitFailed, errors.New("not reloaded; the old configuration stays in force")}
			}
			return err
		},
	}
	addControl(cmd, &path, &dir)
	addJSON(cmd, &asJSON)
	return cmd
}

func newStatus() *cobra.Command {
	var path, dir string
	var asJSON bool
	cmd := &cobra.Command{
		Use:     "status",
		Short:   "Show what the daemon is doing",
		Long:    "Show the running daemon's sockets, keys and counters, and the keys that cannot sign.",
		Example: "  postseal status\n  postseal status --json | jq .counts.messages",
		Args:    usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := control(path, dir)
			if err != nil {
				return err
			}
			s, err := c.Status(cmd.Context())
			if err != nil {
				return err
			}
			if asJSON {
				return printJSON(cmd, s)
			}
			printStatus(cmd, s)
			return nil
		},
	}
	addControl(cmd, &path, &dir)
	addJSON(cmd, &asJSON)
	return cmd
}

func printStatus(cmd *cobra.Command, s milter.Status) {
	out := cmd.OutOrStdout()
	fmt.Fprintf(out, "postseal %s, process %d, up %s, %d connections\n",
		s.Version, s.PID, time.Since(s.Started).Round(time.Second), s.Connections)
	for _, name := range s.Sockets {
		fmt.Fprintf(out, "socket    %s\n", name)
	}
	const mostKeys = 50
	for i, k := range s.Keys {
		if i == mostKeys {
			fmt.Fprintf(out, "key       and %d more: postseal status --json\n", len(s.Keys)-mostKeys)
			break
		}
		fmt.Fprintf(out, "key       %s\n", keyWords(k))
	}
	for _, p := range s.Disabled {
		fmt.Fprintf(out, "DISABLED  %s\n", p)
	}
	for _, v := range slices.Sorted(maps.Keys(s.Counts.Messages)) {
		fmt.Fprintf(out, "messages  %s: %d\n", v, s.Counts.Messages[v])
	}
	for _, r := range slices.Sorted(maps.Keys(s.Counts.Results)) {
		fmt.Fprintf(out, "results   dkim=%s: %d\n", r, s.Counts.Results[r])
	}
	if r := s.LastReload; !r.Time.IsZero() {
		fmt.Fprintf(out, "reload    %s: ", r.Time.Format(time.RFC3339))
		if len(r.Problems) == 0 {
			fmt.Fprintln(out, "in force")
		} else {
			fmt.Fprintln(out, "FAILED, the old configuration is in force")
			for _, p := range r.Problems {
				fmt.Fprintf(out, "          %s\n", p)
			}
		}
	}
}
