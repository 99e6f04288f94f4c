// Command postseal signs and verifies mail with DKIM as a milter of Postfix.
package main

import (
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"
)

// Exit codes of every command.
const (
	exitOK      = 0
	exitFailed  = 1  // the answer is no: a signature failed, a key differs, a reload was refused
	exitUsage   = 64 // EX_USAGE
	exitNoInput = 66 // EX_NOINPUT
	exitConfig  = 78 // EX_CONFIG
)

func main() { os.Exit(run(os.Args[1:])) }

// run is main without the exit, for the tests.
func run(args []string) int {
	root := newRoot()
	root.SetArgs(args)
	err := root.Execute()
	var code exitError
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &code):
		if code.err != nil {
			fmt.Fprintf(os.Stderr, "postseal: %v\n", code.err)
		}
		return code.code
	}
	fmt.Fprintf(os.Stderr, "postseal: %v\n", err)
	return exitFailed
}

// exitError ends the program with a code; err may be nil where the command has
// said everything already.
type exitError struct {
	code int
	err  error
}

func (e exitError) Error() string {
	if e.err == nil {
		return fmt.Sprintf("exit status %d", e.code)
	}
	return e.err.Error()
}

func (e exitError) Unwrap() error { return e.err }

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:   "postseal",
		Short: "Sign and verify mail with DKIM as a milter of Postfix",
		Long: `postseal is a milter daemon for Postfix: it signs the mail that leaves with DKIM
and verifies the signatures of the mail that arrives.`,
		Example: `  postseal demo                       see it work, on this machine alone
  postseal check-config               is /etc/postseal/postseal.toml in order?
  postseal serve                      run the daemon
  postseal explain user@example.com   which keys would sign, and why`,
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return exitError{exitUsage, fmt.Errorf("%w; see %s --help", err, cmd.CommandPath())}
	})
	root.AddCommand(
		newServe(), newCheckConfig(), newDemo(), newGenkey(), newTestkey(), newSign(), newVerify(),
		newExplain(), newReload(), newStatus(), newVersion(),
	)
	return root
}
