package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/postseal/postseal/cmd/postseal/service"
	"github.com/postseal/postseal/config"
	"github.com/postseal/postseal/config/setup"
	"github.com/spf13/cobra"
)

// tableFiles are the tables of a configuration, for genkey --add.
type tableFiles struct {
	cfg          *config.Config
	key, signing *setup.Table
	// uid owns the key; -1: who runs the command.
	uid int
}

// openTables reads the tables of the configuration at path, and finds the user of
// its daemon, if user does not name one.
func openTables(cmd *cobra.Command, path, user string) (*tableFiles, error) {
	if err := checkUser(cmd, user); err != nil {
		return nil, err
	}
	cfg, err := loadConfig(cmd, path)
	if err != nil {
		return nil, err
	}
	t := &tableFiles{cfg: cfg, uid: -1}
	var err1, err2 error
	t.key, err1 = setup.OpenTable("key_table", cfg.KeyTable, cfg.BaseDirectory)
	t.signing, err2 = setup.OpenTable("signing_table", cfg.SigningTable, cfg.BaseDirectory)
	if err := errors.Join(err1, err2); err != nil {
		return nil, exitError{exitConfig, fmt.Errorf("%w\nwithout --add the rows are printed", err)}
	}
	if user == "" {
		user = cfg.UserID
	}
	if user == "" {
		user = daemonUser(cmd, cfg.RuntimeDirectory)
	}
	if os.Geteuid() == 0 && user != "" {
		if t.uid, err = service.FindUser(user); err != nil {
			return nil, exitError{exitFailed, err}
		}
	}
	return t, nil
}

// prepare looks whether the rows of g can be added, and makes the folder of its
// key where -o does not name one.
func (t *tableFiles) prepare(g *generated) error {
	if value, ok := t.key.First(g.Name); ok {
		return fmt.Errorf("%s has a key %s already (%s); choose a new selector (-s)", t.key.Path(), g.Name, value)
	}
	if g.File != "" {
		return nil
	}
	dir := filepath.Join(t.cfg.BaseDirectory, "keys", g.Domain)
	g.File = dir + "/"
	return t.makeFolder(dir)
}

// makeFolder makes a folder that only the daemon's user can read, and those above
// it that are not there.
func (t *tableFiles) makeFolder(dir string) error {
	if _, err := os.Stat(dir); err == nil {
		return nil
	}
	if err := t.makeFolder(filepath.Dir(dir)); err != nil {
		return err
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		return err
	}
	return os.Chown(dir, t.uid, -1)
}

// add gives the key to the daemon's user and adds the rows, that of the key first.
func (t *tableFiles) add(cmd *cobra.Command, g *generated) error {
	if err := os.Chown(g.File, t.uid, -1); err != nil {
		return err
	}
	if !t.signing.Patterns() {
		g.SigningTable = fmt.Sprintf("%s %s", g.Domain, g.Name)
	}
	for _, row := range []struct {
		table *setup.Table
		text  string
	}{{t.key, g.KeyTable}, {t.signing, g.SigningTable}} {
		key, value, _ := strings.Cut(row.text, " ")
		if err := row.table.Add(key, value); err != nil {
			return err
		}
		g.Added = append(g.Added, row.table.Path())
	}
	if t.cfg.MultipleSignatures {
		return nil
	}
	sender := "postmaster@" + g.Domain
	if !t.signing.Patterns() {
		sender = g.Domain
	}
	if other, ok := t.signing.First(sender); ok { // as the table was
		fmt.Fprintf(cmd.ErrOrStderr(), "postseal: warning: an earlier row of %s has mail of %s signed with %s; take that row out, or set multiple_signatures = true to sign with both\n",
			t.signing.Path(), g.Domain, other)
	}
	return nil
}
