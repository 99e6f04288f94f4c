package main

import (
	"io"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

func newCompletion() *cobra.Command {
	shells := []string{"bash", "zsh", "fish"}
	return &cobra.Command{
		Use:   "completion SHELL",
		Short: "Print what completes commands in bash, zsh or fish",
		Long: `Print the script with which a shell completes commands, their flags, and the flags'
values: bash, zsh or fish. postseal's packages bring it along; the examples put it
where the shell finds it. bash needs the package bash-completion.

Domains and selectors are those of the configuration, if you may read it.`,
		Example: `  postseal completion bash > /usr/local/share/bash-completion/completions/postseal
  postseal completion zsh > /usr/local/share/zsh/site-functions/_postseal
  postseal completion fish > /etc/fish/completions/postseal.fish
  source <(postseal completion bash)   # in this shell alone`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) != 1 {
				return usage(cmd, "completion needs the name of one shell: %s", strings.Join(shells, ", "))
			}
			return nil
		},
		ValidArgsFunction: cobra.FixedCompletions(shells, cobra.ShellCompDirectiveNoFileComp),
		RunE: func(cmd *cobra.Command, args []string) error {
			return printCompletion(cmd, cmd.OutOrStdout(), args[0])
		},
	}
}

func printCompletion(cmd *cobra.Command, out io.Writer, shell string) error {
	switch root := cmd.Root(); shell {
	case "bash":
		return root.GenBashCompletionV2(out, true)
	case "zsh":
		return root.GenZshCompletion(out)
	case "fish":
		return root.GenFishCompletion(out, true)
	}
	return usage(cmd, "completion knows bash, zsh and fish, not %q", shell)
}

// addCompletions says how the arguments and the flags' values of every command
// are completed: with files only where one is meant.
func addCompletions(root *cobra.Command) {
	for _, c := range root.Commands() {
		if c.ValidArgsFunction == nil && !strings.Contains(c.Use, "FILE") && !strings.Contains(c.Use, "DIR") {
			c.ValidArgsFunction = cobra.NoFileCompletions
		}
		c.Flags().VisitAll(func(f *pflag.Flag) {
			if f.Value.Type() != "bool" {
				_ = c.RegisterFlagCompletionFunc(f.Name, flagCompletion(c.Name(), f)) // it fails for flags that are not there
			}
		})
	}
}

// plainUsage takes the marks off the help of flags, which a shell would show.
func plainUsage(root *cobra.Command) {
	for _, c := range root.Commands() {
		c.Flags().VisitAll(func(f *pflag.Flag) { _, f.Usage = pflag.UnquoteUsage(f) })
	}
}

// flagCompletion says how the value of a flag is completed, by its name and by
// what its help calls the value.
func flagCompletion(command string, f *pflag.Flag) cobra.CompletionFunc {
	switch f.Name {
	case "log-lines":
		return fixed("structured\tone line a message", "opendkim\tthe lines that OpenDKIM writes", "both")
	case "type":
		return fixed("rsa\teverybody verifies it", "ed25519\tfor use beside an RSA key")
	case "bits":
		return fixed("2048\trecommended", "3072", "4096")
	case "canonicalization":
		return fixed("relaxed/relaxed", "relaxed/simple", "simple/relaxed", "simple/simple")
	case "only":
		return fixed(sections...)
	case "domain":
		return completeDomain
	case "selector":
		if command != "genkey" { // there it is a new one
			return completeSelector
		}
	}
	switch value, _ := pflag.UnquoteUsage(f); value {
	case "file":
		return func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			return nil, cobra.ShellCompDirectiveDefault
		}
	case "folder":
		return func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			return nil, cobra.ShellCompDirectiveFilterDirs
		}
	}
	return cobra.NoFileCompletions
}

// fixed completes with these words, each with its description behind a tab.
func fixed(words ...string) cobra.CompletionFunc {
	return cobra.FixedCompletions(words, cobra.ShellCompDirectiveNoFileComp|cobra.ShellCompDirectiveKeepOrder)
}
