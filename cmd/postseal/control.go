package main

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/postseal/postseal/config"
	"github.com/postseal/postseal/config/opendkim"
	"github.com/postseal/postseal/keys"
	"github.com/postseal/postseal/milter"
	"github.com/spf13/cobra"
)

// addControl adds the flags that find a running daemon.
func addControl(cmd *cobra.Command, path, dir *string) {
	addConfig(cmd, path)
	cmd.Flags().StringVar(dir, "runtime-directory", "", "the daemon's runtime_directory, in place of the configuration's `folder`")
}

// control finds the running daemon, which answers also while the configuration
// has problems.
func control(cmd *cobra.Command, path, dir string) (milter.Control, error) {
	if dir != "" {
		return milter.Control{Dir: dir}, nil
	}
	dir, err := opendkim.FindRuntimeDirectory(path, environment())
	switch {
	case err == nil:
	case cmd.Flags().Changed("config"):
		return milter.Control{}, exitError{exitConfig, fmt.Errorf("%w\nthe running daemon can also be found with --runtime-directory %s", err, config.DefaultRuntimeDirectory)}
	default:
		dir = environment().RuntimeDirectory()
	}
	return milter.Control{Dir: dir}, nil
}

// unreachable says why nobody could be asked, and what to do.
func unreachable(c milter.Control, err error) error {
	socket := filepath.Join(c.Dir, "control.sock")
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("no daemon is running: there is no %s; start it (postseal serve), or say where its runtime_directory is (--runtime-directory)", socket)
	case errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Errorf("no daemon is running: nobody answers on %s any more; start it (postseal serve)", socket)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("%s is for root and the daemon's user; run this as one of them", socket)
	}
	return err
}

func newReload() *cobra.Command {
	var path, dir string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "reload",
		Short: "Have the daemon read its configuration anew, and wait for it",
		Long: `Have the running daemon read its configuration, tables and keys anew.

The command waits until the new configuration is in force. If it has problems,
they are printed, the exit status is 1 and the daemon goes on with the old one.

With --json: {time, problems: [text], notes: [name]}; problems are left out after
success, and notes are settings that changed and take a restart.`,
		Example: "  postseal reload\n  postseal reload --runtime-directory /run/postseal",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := control(cmd, path, dir)
			if err != nil {
				return err
			}
			r, err := c.Reload(cmd.Context())
			if err != nil {
				return unreachable(c, err)
			}
			if asJSON {
				if err := printJSON(cmd, r); err != nil || len(r.Problems) == 0 {
					return err
				}
				return exitError{code: exitFailed}
			}
			if len(r.Problems) > 0 {
				return exitError{exitFailed, errors.New(strings.Join(r.Problems, "\n") + "\nnot reloaded; the old configuration stays in force")}
			}
			out := cmd.OutOrStdout()
			for _, n := range r.Notes {
				fmt.Fprintf(out, "%s changed: that takes a restart\n", n)
			}
			fmt.Fprintln(out, "reloaded")
			return nil
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
		Use:   "status",
		Short: "Show what the daemon is doing",
		Long: `Show the running daemon's sockets, keys and counters, and the keys that cannot sign.

With --json: {version, pid, started, sockets: [text], connections, monitor, sandbox, goroutines,
counts: {messages, reasons, actions, results, signatures: each {name: number}, outcomes: {name:
{name: number}}, connections: {accepted, evicted, refused}}, keys: [{name, where, domain, selector,
file, algorithm, bits, state, error, unused, rotation, published, finding}], disabled: [text],
withheld: [{name, record, why}], last_reload: {time, problems, notes}, reloads: {success, failure}}.`,
		Example: "  postseal status\n  postseal status --json | jq .counts.messages",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := control(cmd, path, dir)
			if err != nil {
				return err
			}
			s, err := c.Status(cmd.Context())
			if err != nil {
				return unreachable(c, err)
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

// rotationWords say where a key is in its life, where rotation knows.
func rotationWords(k keys.KeyInfo) string {
	switch {
	case k.Rotation != "":
		return "; rotation: " + k.Rotation
	case k.Unused:
		return "; not in use"
	}
	return ""
}

// publishedWords say what DNS has of a key, where the daemon has asked.
func publishedWords(k keys.KeyInfo) string {
	switch {
	case k.Published == "":
		return ""
	case k.Finding == "":
		return "; DNS: " + k.Published
	}
	return "; DNS: " + k.Published + ": " + k.Finding
}

// mostDisabled is how many keys and rows that cannot sign are printed: where a folder
// cannot be read there may be as many as there are domains.
const mostDisabled = 20

func printStatus(cmd *cobra.Command, s milter.Status) {
	out := cmd.OutOrStdout()
	fmt.Fprintf(out, "postseal %s, process %d, up %s, %d connections\n",
		s.Version, s.PID, time.Since(s.Started).Round(time.Second), s.Connections)
	for _, name := range s.Sockets {
		fmt.Fprintf(out, "socket    %s\n", name)
	}
	if s.Monitor != "" {
		fmt.Fprintf(out, "monitor   %s\n", s.Monitor)
	}
	fmt.Fprintf(out, "sandbox   %s\n", s.Sandbox)
	const mostKeys = 50
	for i, k := range s.Keys {
		if i == mostKeys {
			fmt.Fprintf(out, "key       and %d more: postseal status --json\n", len(s.Keys)-mostKeys)
			break
		}
		withheld := ""
		if i := slices.IndexFunc(s.Withheld, func(w milter.WithheldKey) bool { return w.Name == k.Name }); i >= 0 {
			withheld = "; WITHHELD (unpublished_keys): " + printable(s.Withheld[i].Why)
		}
		fmt.Fprintf(out, "key       %s%s%s%s\n", keyWords(k), rotationWords(k), publishedWords(k), withheld)
	}
	for i, p := range s.Disabled {
		if i == mostDisabled {
			fmt.Fprintf(out, "DISABLED  and %d more: postseal status --json\n", len(s.Disabled)-i)
			break
		}
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
