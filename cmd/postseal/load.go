package main

import (
	"cmp"
	"context"
	"crypto"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"
	"sync"

	"github.com/postseal/postseal/cmd/postseal/service"
	"github.com/postseal/postseal/config"
	"github.com/postseal/postseal/keys"
	"github.com/postseal/postseal/milter"
	"github.com/postseal/postseal/milter/dkim"
	"github.com/postseal/postseal/milter/proof"
	"github.com/spf13/cobra"
)

// source is the configuration that a command reads, and as whom.
type source struct {
	path, user string
	// unread leaves keys until one is asked for, and does not prove them: the daemon
	// has done that.
	unread bool
}

func (s *source) add(cmd *cobra.Command) {
	addConfig(cmd, &s.path)
	addUser(cmd, &s.user)
}

// loaded is a configuration with all that it names.
type loaded struct {
	cfg      *config.Config
	snapshot *milter.Snapshot
	// user is whom root became to read it, "" for nobody.
	user string
	// warnings are what the daemon would log as such.
	warnings []string
	// form is how the configuration is written.
	form form
}

// load reads a configuration and all that it names with the daemon's own code,
// and where it can as the daemon does. The warnings are there also beside an
// error.
func (s *source) load(cmd *cobra.Command, r dkim.Resolver) (*loaded, error) {
	l := &loaded{form: formOf(s.path)}
	signer, err := l.read(cmd, s)
	if err != nil {
		return l, err
	}
	n := new(notices)
	log := slog.New(n)
	const most = 10_000
	prove := proof.Prove
	if s.unread {
		prove = func(string, string, crypto.Signer) error { return nil }
	}
	env := milter.Environment{Keys: keys.NewCache(most, prove, log), Log: log, Resolver: r}
	if s.unread {
		uid := os.Geteuid()
		env.Signer = &uid
	}
	if signer != "" {
		uid, err := service.FindUser(signer)
		if err != nil {
			return l, exitError{exitConfig, errorIn{fmt.Errorf("user_id: %w", err), l.form}}
		}
		env.Signer = &uid
	}
	snapshot, err := milter.Load(l.cfg, env)
	l.warn(n)
	if err != nil {
		return l, exitError{exitConfig, errorIn{err, l.form}}
	}
	if signer != "" {
		if l.user, err = become(signer); err != nil {
			return l, err
		}
		if !s.unread {
			snapshot.ReadKeys()
		}
		l.warn(n)
	}
	l.snapshot = snapshot
	return l, nil
}

// read reads the configuration alone. Root becomes the daemon's user for it,
// except where user_id names one (or --user another beside it): then, as when the
// daemon starts, root reads the tables too, and keys of key_table are for signer.
func (l *loaded) read(cmd *cobra.Command, s *source) (signer string, err error) {
	if err := checkUser(cmd, s.user); err != nil {
		return "", err
	}
	l.cfg, err = loadConfig(cmd, s.path)
	switch {
	case err != nil || os.Geteuid() != 0:
		return "", err
	case l.cfg.UserID != "":
		return cmp.Or(s.user, l.cfg.UserID), nil
	}
	who := cmp.Or(s.user, daemonUser(cmd, l.cfg.RuntimeDirectory))
	if who == "" {
		return "", nil
	}
	if l.user, err = become(who); err != nil {
		return "", err
	}
	l.cfg, err = loadConfig(cmd, s.path)
	return "", err
}

// warn keeps what was noticed so far.
func (l *loaded) warn(n *notices) {
	l.warnings = nil
	for _, line := range n.lines {
		l.warnings = append(l.warnings, l.form.words(line))
	}
}

// failed is an error of load as a command returns it: with the one as whom it
// was met.
func (l *loaded) failed(err error) error {
	hint := whoAsked(l.user, err)
	if exit := (exitError{}); hint != "" && errors.As(err, &exit) && exit.err != nil {
		return exitError{exit.code, fmt.Errorf("%w\n%s", exit.err, hint)}
	}
	return err
}

// printWarnings prints the warnings.
func (l *loaded) printWarnings(cmd *cobra.Command) {
	for _, w := range l.warnings {
		fmt.Fprintf(cmd.ErrOrStderr(), "postseal: warning: %s\n", w)
	}
}

// notices is a log for somebody at a terminal: one sentence for each warning.
type notices struct {
	mu    sync.Mutex
	lines []string
}

// Enabled is true for warnings and errors.
func (n *notices) Enabled(_ context.Context, l slog.Level) bool { return l >= slog.LevelWarn }

// Handle keeps a record. A sentence among its attributes stands for itself, and
// an error that begins as the message does takes its place.
func (n *notices) Handle(_ context.Context, r slog.Record) error {
	line, list := r.Message, ""
	r.Attrs(func(a slog.Attr) bool {
		switch text := a.Value.String(); a.Key {
		case "list":
			list = text + ": "
		case "warning", "note":
			line = text
		case "err":
			if start, rest, ok := strings.Cut(line, "; "); ok && strings.HasPrefix(text, start) {
				line = text + "; " + rest
				break
			}
			line += ": " + text
		}
		return true
	})
	n.mu.Lock()
	defer n.mu.Unlock()
	if line = list + line; !slices.Contains(n.lines, line) {
		n.lines = append(n.lines, line)
	}
	return nil
}

// WithAttrs leaves the attributes out.
func (n *notices) WithAttrs([]slog.Attr) slog.Handler { return n }

// WithGroup leaves the group out.
func (n *notices) WithGroup(string) slog.Handler { return n }

// noDNS is for commands that ask nobody.
type noDNS struct{ dkim.Resolver }
