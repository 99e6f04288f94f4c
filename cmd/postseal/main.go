// Command postseal signs and verifies mail with DKIM as a milter of Postfix.
package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/postseal/postseal/cmd/postseal/opendkim"
	"github.com/spf13/cobra"
)

// Exit codes of every command.
const (
	exitOK       = 0
	exitFailed   = 1  // the answer is no: a signature failed, a key differs, a reload was refused
	exitUsage    = 64 // EX_USAGE
	exitNoInput  = 66 // EX_NOINPUT
	exitSoftware = 70 // EX_SOFTWARE: a defect
	exitConfig   = 78 // EX_CONFIG
)

func main() {
	if name := filepath.Base(os.Args[0]); opendkim.Known(name) {
		os.Exit(guard(func() int { return opendkim.Main(name, os.Args[1:]) }))
	}
	os.Exit(guard(func() int { return run(os.Args[1:]) }))
}

// run is main without the exit, for the tests.
func run(args []string) int {
	root := newRoot()
	root.SetArgs(args)
	if len(args) > 0 && args[0] == cobra.ShellCompRequestCmd {
		plainUsage(root)
	}
	cmd, err := root.ExecuteC()
	if err == nil {
		return exitOK
	}
	exit := exitError{code: exitFailed}
	if !errors.As(err, &exit) {
		if _, _, e := root.Find(args); e != nil {
			exit.code, err = exitUsage, unknownCommand(root, args)
		}
	} else if exit.err == nil {
		return exit.code
	}
	for line := range strings.SplitSeq(err.Error(), "\n") {
		fmt.Fprintf(os.Stderr, "postseal: %s\n", line)
	}
	if wantsJSON(args) {
		_ = printJSON(cmd, failure{Error: err.Error(), ExitStatus: exit.code}) // it is on standard error, too
	}
	return exit.code
}

// failure is what a command with --json prints that could not do its work.
type failure struct {
	// Error has a line for each problem.
	Error      string `json:"error"`
	ExitStatus int    `json:"exit_status"`
}

// wantsJSON looks for --json in a command line that may be wrong elsewhere.
func wantsJSON(args []string) bool {
	for _, a := range args {
		switch a {
		case "--json", "--json=true":
			return true
		case "--":
			return false
		}
	}
	return false
}

// unknownCommand is the error for a command line whose first word is no command.
func unknownCommand(root *cobra.Command, args []string) error {
	typed := ""
	if i := slices.IndexFunc(args, func(a string) bool { return !strings.HasPrefix(a, "-") }); i >= 0 {
		typed = args[i]
	}
	hint := ""
	if near := root.SuggestionsFor(typed); len(near) > 0 {
		hint = fmt.Sprintf("did you mean %s? ", strings.Join(near, " or "))
	}
	return fmt.Errorf("unknown command %q; %spostseal --help lists the commands", typed, hint)
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
and verifies the signatures of the mail that arrives.

Every command but completion takes --json. One that cannot do its work then prints
{error, exit_status} on standard output, and the error in words on standard error.

Exit status: 0 done; 1 the answer is no (a signature failed, a key differs, no
daemon answers); 64 a wrong command line; 66 an input cannot be read; 70 a defect
of postseal, which you are asked to report; 78 the configuration has problems.`,
		Example: `  postseal demo                          # see it work, on this machine alone
  postseal setup --dry-run example.com   # what would be done to sign its mail?
  postseal check example.com             # would its mail be signed and trusted?
  postseal explain user@example.com      # which keys would sign, and why`,
		SilenceErrors: true,
		SilenceUsage:  true,
		// How far a mistyped command may be from the one that is suggested.
		SuggestionsMinimumDistance: 2,
	}
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return exitError{exitUsage, fmt.Errorf("%w; see %s --help", err, cmd.CommandPath())}
	})
	root.AddCommand(
		newServe(), newSetup(), newCheck(), newCheckConfig(), newDemo(), newGenkey(), newGenzone(), newRotate(), newTestkey(), newSign(), newVerify(),
		newExplain(), newImport(), newPing(), newReload(), newStatus(), newVersion(), newCompletion(), newMan(),
	)
	arrange(root)
	addCompletions(root)
	return root
}
