package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/postseal/postseal/cmd/postseal/roff"
	"github.com/postseal/postseal/cmd/postseal/service"
	"github.com/postseal/postseal/deploy"
	"github.com/spf13/cobra"
)

// newMan makes the command that packages are built with.
func newMan() *cobra.Command {
	var compatible bool
	cmd := &cobra.Command{
		Use:    "man DIR",
		Hidden: true,
		Short:  "Write the manual pages",
		Long: `Write the manual pages of all commands to DIR/man1 and the one of postseal.toml to
DIR/man5. They are made of what --help prints and of the example configuration.
With --opendkim, those of the commands under OpenDKIM's names to DIR/man8, and no
other.

The environment variable SOURCE_DATE_EPOCH, in seconds since 1970, is the date of the
pages; without it they have none.`,
		Example: `  postseal man /usr/local/share/man`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) != 1 {
				return usage(cmd, "man needs one folder")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			date, err := sourceDate(os.Getenv("SOURCE_DATE_EPOCH"))
			if err != nil {
				return usage(cmd, "%w", err)
			}
			m := manual{date: date, version: service.Version()}
			pages := m.pages(cmd.Root())
			if compatible {
				pages = m.openDKIM()
			}
			if err := writePages(args[0], pages); err != nil {
				return exitError{exitFailed, err}
			}
			return nil
		},
	}
	cmd.Flags().BoolVar(&compatible, "opendkim", false, "write those of OpenDKIM's names")
	return cmd
}

// sourceDate reads SOURCE_DATE_EPOCH; empty is the zero time.
func sourceDate(s string) (time.Time, error) {
	if s == "" {
		return time.Time{}, nil
	}
	seconds, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		return time.Time{}, fmt.Errorf("SOURCE_DATE_EPOCH=%s: want seconds since 1970", s)
	}
	return time.Unix(seconds, 0), nil
}

// manual is what all pages have in common.
type manual struct {
	date    time.Time
	version string
}

func (m manual) head(name string, section int) roff.Head {
	return roff.Head{Name: name, Section: section, Date: m.date, Source: "postseal " + m.version, Manual: "postseal"}
}

// pages are those of the program and its configuration, by their path in a folder.
func (m manual) pages(root *cobra.Command) map[string]string {
	pages := map[string]string{"man5/postseal.toml.5": m.settings(deploy.Example, environmentWords(root))}
	for _, c := range documented(root) {
		pages["man1/"+pageName(c)+".1"] = m.command(c)
	}
	return pages
}

func writePages(dir string, pages map[string]string) error {
	for name, text := range pages {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// documented are the commands that have a page: those that --help lists, and
// the program itself, which comes first.
func documented(root *cobra.Command) []*cobra.Command {
	list := []*cobra.Command{root}
	for _, c := range root.Commands() {
		if c.IsAvailableCommand() {
			list = append(list, c)
		}
	}
	return list
}

// pageName is "postseal-serve" for "postseal serve".
func pageName(c *cobra.Command) string { return strings.ReplaceAll(c.CommandPath(), " ", "-") }
