package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/postseal/postseal/keys"
	"github.com/spf13/cobra"
)

// checked is what check-config prints with --json.
type checked struct {
	OK bool `json:"ok"`
	// User is whom root became for it.
	User     string   `json:"user,omitempty"`
	Problems []string `json:"problems"`
	Warnings []string `json:"warnings"`
	// Hint says as whom the problems were met, where that may be their cause.
	Hint string `json:"hint,omitempty"`
	// Environment are the variables that settings come from.
	Environment []string       `json:"environment,omitempty"`
	Keys        []keys.KeyInfo `json:"keys"`
}

func newCheckConfig() *cobra.Command {
	var from source
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "check-config",
		Short: "Check the configuration, its tables and keys",
		Long: `Read the configuration and everything that it names with the daemon's own code:
tables, lists, private keys and their permissions. Every key signs a probe that an
independent implementation must verify. All problems are printed at once.

Whether a key can be read and is safe depends on who reads it. Root therefore checks
as the daemon's user: the one of --user, else of user_id (UserID), else of the daemon
that is running, else (for the configuration in /etc/postseal) the user postseal if
there is one. With user_id root reads the tables and that user the keys, as it is when
the daemon starts.

The configuration may be a postseal.toml or an opendkim.conf; the problems and warnings
then speak of OpenDKIM's parameters.

The exit status is 0 if all is in order and 78 if the daemon would not start or a
key could not sign; warnings do not count. With unpublished_keys = "skip" or "tempfail"
DNS is asked for the keys, and those that it does not show are warnings.

Settings of the environment are named: POSTSEAL_KEY_FILE sets key_file, and so on,
over what a postseal.toml says (see postseal serve --help).

With --json: {ok, user, problems: [text], warnings: [text], hint, environment:
[name], keys: [{name, where, domain, selector, file, state, algorithm, bits, error}]}.`,
		Example: `  postseal check-config
  postseal check-config -c /etc/opendkim.conf
  postseal check-config -c ./postseal.toml --json`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			l, err := from.load(cmd, nil)
			if exit := (exitError{}); errors.As(err, &exit) && exit.code != exitConfig {
				return err
			}
			report := l.report(err)
			switch {
			case asJSON:
				if err := printJSON(cmd, report); err != nil {
					return err
				}
				if !report.OK {
					return exitError{code: exitConfig}
				}
				return nil
			case !report.OK:
				l.printWarnings(cmd)
				return exitError{exitConfig, report.words()}
			}
			l.printWarnings(cmd)
			l.praise(cmd, from.path)
			return nil
		},
	}
	from.add(cmd)
	addJSON(cmd, &asJSON)
	return cmd
}

// report sums up what load found; err is its error.
func (l *loaded) report(err error) checked {
	r := checked{User: l.user, Problems: []string{}, Warnings: l.warnings, Keys: []keys.KeyInfo{}}
	if r.Warnings == nil {
		r.Warnings = []string{}
	}
	if l.cfg != nil {
		r.Environment = l.cfg.Variables()
	}
	if err != nil {
		r.Problems = strings.Split(err.Error(), "\n")
		r.Hint = whoAsked(l.user, err)
		return r
	}
	if l.cfg.Mode.Sign && len(l.snapshot.Keys()) == 0 {
		l.warnings = append(l.warnings, l.form.words("no key is named, so no mail is signed; set key_table and signing_table"))
		r.Warnings = l.warnings
	}
	disabled := l.snapshot.Disabled()
	for _, p := range disabled {
		r.Problems = append(r.Problems, l.form.words(p.Error()))
	}
	r.OK = len(disabled) == 0
	ctx, cancel := context.WithTimeout(context.Background(), lookupTimeout)
	defer cancel()
	for _, why := range l.snapshot.Withheld(ctx) {
		l.warnings = append(l.warnings, l.form.words(why.String()))
		r.Warnings = l.warnings
	}
	if !r.OK {
		r.Hint = whoAsked(l.user, disabled...)
	}
	r.Keys = l.snapshot.Keys()
	return r
}

// mostProblems is how many are printed: there may be as many as tables have rows.
const mostProblems = 50

// words are the problems, one a line, and the hint.
func (r *checked) words() error {
	lines := r.Problems
	if more := len(lines) - mostProblems; more > 0 {
		lines = append(slices.Clone(lines[:mostProblems]), fmt.Sprintf("and %d more problems: --json lists them", more))
	}
	if r.Hint != "" {
		lines = append(lines, r.Hint)
	}
	return errors.New(strings.Join(lines, "\n"))
}

// praise says that all is in order.
func (l *loaded) praise(cmd *cobra.Command, path string) {
	out := cmd.OutOrStdout()
	as := ""
	if l.user != "" {
		as = ", read as the user " + l.user
	}
	if len(l.cfg.Sources()) == 0 {
		path = "the configuration in the environment"
	}
	fmt.Fprintf(out, "%s is in order: mode %s, keys: %d%s\n", path, l.cfg.Mode, len(l.snapshot.Keys()), as)
	if variables := l.cfg.Variables(); len(variables) > 0 {
		fmt.Fprintf(out, "from the environment: %s\n", strings.Join(variables, ", "))
	}
	const most = 50
	for i, k := range l.snapshot.Keys() {
		if i == most {
			fmt.Fprintf(out, "key  and %d more: --json lists them\n", len(l.snapshot.Keys())-most)
			break
		}
		fmt.Fprintf(out, "key  %s\n", keyWords(k))
	}
}
