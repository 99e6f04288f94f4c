package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"github.com/postseal/postseal/config"
	"github.com/postseal/postseal/config/dataset"
	"github.com/postseal/postseal/config/opendkim"
	"github.com/spf13/cobra"
)

// imported is what import prints with --json.
type imported struct {
	// File is the opendkim.conf.
	File string `json:"file"`
	// Written is the file of -o.
	Written string `json:"written,omitempty"`
	TOML    string `json:"toml"`
	// NotCarriedOver is what the TOML does not say, or not as OpenDKIM meant it.
	NotCarriedOver []leftOut `json:"not_carried_over"`
}

// leftOut is a setting that could not be carried over, and why.
type leftOut struct {
	// Where is FILE:LINE where one is known.
	Where string `json:"where,omitempty"`
	Text  string `json:"text"`
}

func (l leftOut) String() string {
	if l.Where == "" {
		return l.Text
	}
	return l.Where + ": " + l.Text
}

func newImport() *cobra.Command {
	var out string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "import [FILE]",
		Short: "Make a postseal.toml of an opendkim.conf",
		Long: `Read an opendkim.conf (without FILE: /etc/opendkim.conf) and print a postseal.toml
with the same meaning: the same mail is signed by the same keys in the same way, and
judged in the same way. Above each setting stands the line that it comes from.

Tables, lists and private keys are not touched: the new file names them where they are.
What could not be carried over, or needs a decision, is listed at the top and on
standard error.

It is not necessary to import: every command takes an opendkim.conf with -c, too.

With --json: {file, written, toml, not_carried_over: [{where, text}]}; written is the
file of -o.`,
		Example: `  postseal import /etc/opendkim.conf
  postseal import /etc/opendkim.conf -o /etc/postseal/postseal.toml`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 1 {
				return usage(cmd, "import takes one opendkim.conf, and %d files are given", len(args))
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			i := imported{File: openDKIMPath, NotCarriedOver: []leftOut{}}
			if len(args) > 0 {
				i.File = args[0]
			}
			if err := i.read(); err != nil {
				return err
			}
			if out != "" {
				if err := i.write(out); err != nil {
					return err
				}
			}
			if len(i.NotCarriedOver) > 0 {
				fmt.Fprintf(cmd.ErrOrStderr(), "postseal: %s\n", leftTitle)
			}
			for _, l := range i.NotCarriedOver {
				fmt.Fprintf(cmd.ErrOrStderr(), "postseal: - %s\n", printable(l.String()))
			}
			switch {
			case asJSON:
				return printJSON(cmd, i)
			case out != "":
				fmt.Fprintf(cmd.OutOrStdout(), "%s is written; look at it, and then: postseal check-config -c %s\n", out, out)
				return nil
			}
			_, err := fmt.Fprint(cmd.OutOrStdout(), i.TOML)
			return err
		},
	}
	cmd.Flags().StringVarP(&out, "out", "o", "", "write to this `file`, which must not exist (default: standard output)")
	addJSON(cmd, &asJSON)
	return cmd
}

// read reads the file and makes the TOML of it.
func (i *imported) read() error {
	data, err := dataset.ReadFile(i.File, config.MaxFile)
	if err != nil {
		return exitError{exitNoInput, err}
	}
	if !opendkim.Is(data) && hasSetting(data) {
		return exitError{exitConfig, fmt.Errorf("%s is a postseal.toml already, not an opendkim.conf; there is nothing to import", i.File)}
	}
	file, err := opendkim.Load(i.File, opendkim.Options{Defaults: opendkim.DefaultsFile, CheckOnly: true})
	if err != nil {
		return exitError{exitConfig, err}
	}
	conf := translation{file: file, config: *file.Config, path: i.File}
	conf.translate()
	i.NotCarriedOver = append(i.NotCarriedOver, conf.left...)
	text, err := conf.config.TOML(config.WriteOptions{Head: conf.head(), Comment: conf.comment})
	if err != nil {
		return exitError{exitConfig, fmt.Errorf("%s cannot be written as TOML: %w", i.File, err)}
	}
	if _, err := config.Parse(text, "postseal.toml"); err != nil {
		return exitError{exitConfig, fmt.Errorf("what %s says would not be taken from a postseal.toml:\n%w", i.File, err)}
	}
	i.TOML = string(text)
	return nil
}

// hasSetting reports whether a line is more than a comment.
func hasSetting(data []byte) bool {
	for line := range strings.Lines(string(data)) {
		line, _, _ = strings.Cut(line, "#")
		if strings.TrimSpace(line) != "" {
			return true
		}
	}
	return false
}

// write makes the file of -o.
func (i *imported) write(path string) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	switch {
	case errors.Is(err, fs.ErrExist):
		return exitError{exitFailed, fmt.Errorf("%s is there already and is not overwritten; choose another file (-o), or move it away", path)}
	case err != nil:
		return exitError{exitFailed, fmt.Errorf("it cannot be written: %w", err)}
	}
	_, err = f.WriteString(i.TOML)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return exitError{exitFailed, fmt.Errorf("it cannot be written: %w", errors.Join(err, os.Remove(path)))}
	}
	i.Written = path
	return nil
}
