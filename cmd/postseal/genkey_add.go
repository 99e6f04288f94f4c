package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/postseal/postseal/cmd/postseal/service"
	"github.com/postseal/postseal/config"
	"github.com/postseal/postseal/config/folder"
	"github.com/postseal/postseal/config/setup"
	"github.com/postseal/postseal/config/table"
	"github.com/postseal/postseal/keys"
	"github.com/spf13/cobra"
)

// tableFiles are the tables of a configuration, for genkey --add.
type tableFiles struct {
	cfg          *config.Config
	form         form
	key, signing *table.File
	// user is the daemon's, where root gives it the key; else "" and -1.
	user string
	uid  int
}

// openTables opens the tables of the configuration at path, and finds the user of
// its daemon, if user does not name one. Other runs wait until they are closed.
func openTables(cmd *cobra.Command, path, user string) (*tableFiles, error) {
	if err := checkUser(cmd, user); err != nil {
		return nil, err
	}
	cfg, err := loadConfig(cmd, path)
	if err != nil {
		return nil, err
	}
	t := &tableFiles{cfg: cfg, form: formOf(path)}
	if t.user, t.uid, err = keyOwner(cmd, cfg, user); err != nil {
		return nil, err
	}
	if t.key, err = table.Open("key_table", cfg.KeyTable, cfg.BaseDirectory); err == nil {
		t.signing, err = table.Open("signing_table", cfg.SigningTable, cfg.BaseDirectory)
	}
	if err != nil {
		t.close()
		hint := "without --add the rows are printed"
		if errors.Is(err, fs.ErrPermission) {
			hint = "run this as root; " + hint
		}
		return nil, exitError{exitConfig, errorIn{fmt.Errorf("%w\n%s", err, hint), t.form}}
	}
	return t, nil
}

// keyOwner is whom root gives new keys to: user if it is not empty, else the daemon's,
// by name and number; "" and -1 for nobody.
func keyOwner(cmd *cobra.Command, cfg *config.Config, user string) (name string, uid int, err error) {
	if os.Geteuid() != 0 {
		return "", -1, nil
	}
	for _, u := range []string{user, cfg.UserID} {
		if name == "" {
			name, _, _ = strings.Cut(u, ":")
		}
	}
	if name == "" {
		name = daemonUser(cmd, cfg.RuntimeDirectory)
	}
	if name == "" {
		return "", -1, nil
	}
	if uid, err = service.FindUser(name); err != nil {
		return "", -1, exitError{exitFailed, err}
	}
	return name, uid, nil
}

func (t *tableFiles) close() {
	t.key.Close()
	t.signing.Close()
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
	g.File = keys.Folder(t.key.Path(), g.Domain) + "/"
	return folder.Private(filepath.Dir(g.File), t.uid)
}

// add adds the rows, that of the key first.
func (t *tableFiles) add(cmd *cobra.Command, g *generated) error {
	g.owner, g.reload = t.user, !t.cfg.WatchFiles
	signs, sender := setup.Sender(t.signing.Patterns(), g.Domain), g.Domain
	if t.signing.Patterns() {
		sender = "postseal-genkey@" + g.Domain
	}
	g.SigningTable = signs + " " + g.Name
	if err := t.key.Add(g.Name, strings.TrimPrefix(g.KeyTable, g.Name+" ")); err != nil {
		return err
	}
	if err := t.signing.Add(signs, g.Name); err != nil {
		return err
	}
	g.Added = []string{t.key.Path(), t.signing.Path()}
	if other, ok := t.signing.First(sender); ok && other != g.Name && !t.cfg.MultipleSignatures {
		fmt.Fprintln(cmd.ErrOrStderr(), "postseal: warning:", t.form.words(fmt.Sprintf(
			"an earlier row of %s has mail of %s signed with %s, and not with the new key; take that row out once DNS shows the new key, or switch multiple_signatures on to sign with both",
			t.signing.Path(), g.Domain, other)))
	}
	return nil
}
