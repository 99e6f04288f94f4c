package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"time"

	"github.com/postseal/postseal/config"
	"github.com/postseal/postseal/milter/load"
	"github.com/spf13/cobra"
)

// pinged is what ping prints with --json.
type pinged struct {
	OK      bool           `json:"ok"`
	Sockets []pingedSocket `json:"sockets"`
	Keys    []pingedKey    `json:"keys"`
	// Problems are why OK is false.
	Problems []string `json:"problems"`
	// Notes are what was not looked at, and why.
	Notes []string `json:"notes"`
}

type pingedSocket struct {
	Socket string `json:"socket"`
	// Messages is how many were answered.
	Messages int     `json:"messages"`
	Seconds  float64 `json:"seconds"`
}

type pingedKey struct {
	Name     string `json:"name"`
	Domain   string `json:"domain"`
	Selector string `json:"selector"`
	// Sender is the author whose mail it was asked by.
	Sender string `json:"sender"`
	Signs  bool   `json:"signs"`
	// Verified says by what: "public key", or "names" where the private key cannot
	// be read here; empty if it does not sign.
	Verified string `json:"verified,omitempty"`
	// Withheld says why it does not sign where unpublished_keys has it so.
	Withheld string `json:"withheld,omitempty"`
}

// Bounds of ping.
const (
	pingKeys    = 20
	pingTimeout = 10 * time.Second
)

func newPing() *cobra.Command {
	from := source{unread: true}
	var socket string
	var timeout time.Duration
	var most int
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "ping",
		Short: "Ask the running daemon, as Postfix would: do the keys sign?",
		Long: `Take whole messages through the running daemon, as Postfix would, on each of its
sockets, and see whether each key signs. For a key, the sender is an address that
signing_table has it for, the client one whose mail is ours. The signature has to come
back with the right d= and s=, and to verify with the public half of the key file,
where that can be read. A socket that only verifies has to answer.

Nothing is delivered: a milter only says what is to be done with a message, and nobody
does it. The daemon logs and counts the messages as others; their queue ids begin with
PING-.

The exit status is 1 if a key that was asked does not sign, if the file of one is gone
or has no key any more, though the daemon may sign on with the key from before, if the
running daemon has keys or rows that cannot sign, or if it does not answer in time.
What was not asked, and why, is told and counts for nothing, and so is a key that
unpublished_keys withholds because DNS does not show it. It is 78 if the configuration
cannot be read, and 64 for a wrong command line.

Of many keys the first ones are asked, and those that the daemon has trouble with.
Root asks as the daemon's user does, as check-config.

With --socket the daemon may be elsewhere, or be another milter: it is asked for the
keys of the configuration here, if there is one, and else for an answer.

With --json: {ok, sockets: [{socket, messages, seconds}], keys: [{name, domain,
selector, sender, signs, verified, withheld}], problems: [text], notes: [text]}; verified
is "public key", or "names" where the private key cannot be read here.`,
		Example: `  postseal ping
  postseal ping -c /etc/opendkim.conf --keys 100
  postseal ping --socket inet:8891@mail.example.com
  HEALTHCHECK CMD ["/postseal", "ping"]                # in a Dockerfile`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			switch {
			case timeout <= 0:
				return usage(cmd, "--timeout %s leaves no time at all", timeout)
			case most < 0:
				return usage(cmd, "--keys %d is negative", most)
			}
			ctx, cancel := context.WithTimeoutCause(cmd.Context(), timeout, fmt.Errorf("no answer within %s", timeout))
			defer cancel()
			p, err := newPinger(cmd, &from, socket)
			if err != nil {
				return err
			}
			p.run(ctx, most)
			r := p.report()
			switch {
			case asJSON:
				err = printJSON(cmd, r)
			default:
				r.print(cmd)
			}
			if err != nil || r.OK {
				return err
			}
			if asJSON {
				return exitError{code: exitFailed}
			}
			return exitError{exitFailed, (&checked{Problems: r.Problems}).words()}
		},
	}
	from.add(cmd)
	addJSON(cmd, &asJSON)
	fl := cmd.Flags()
	fl.StringVar(&socket, "socket", "", "ask the milter at this `address` only: inet:PORT@HOST, inet:HOST:PORT or unix:/PATH")
	fl.IntVar(&most, "keys", pingKeys, "ask at most so many keys, a `number`")
	fl.DurationVar(&timeout, "timeout", pingTimeout, "give up after this `time`")
	return cmd
}

// target is a socket to ask.
type target struct {
	name             string // as configured
	network, address string
	mode             config.Mode
}

// newPinger reads the configuration and finds the sockets.
func newPinger(cmd *cobra.Command, from *source, socket string) (*pinger, error) {
	p := &pinger{elsewhere: socket != "", form: formOf(from.path)}
	l, err := from.load(cmd, noDNS{})
	switch {
	case socket != "" && !cmd.Flags().Changed("config") && errors.Is(err, fs.ErrNotExist) && !exists(configPath):
		p.note("there is no configuration here: whether keys sign was not asked")
	case err != nil:
		return nil, l.failed(err)
	default:
		p.cfg, p.snapshot = l.cfg, l.snapshot
	}
	if socket != "" {
		t := target{name: socket, mode: config.Mode{Sign: true, Verify: true}}
		if p.cfg != nil {
			t.mode = p.cfg.Mode
		}
		if t.network, t.address, err = load.Address(socket); err != nil {
			return nil, usage(cmd, "--socket: %w", err)
		}
		p.targets = []target{t}
		return p, nil
	}
	// The daemon reads its keys before it has another root folder, or after.
	p.elsewhere = p.cfg.ChangeRootDirectory != ""
	return p, p.findTargets()
}

// findTargets are the sockets of the configuration, from here.
func (p *pinger) findTargets() error {
	sockets := make([]config.Listener, 0, len(p.cfg.Socket)+len(p.cfg.Listener))
	for _, socket := range p.cfg.Socket {
		sockets = append(sockets, config.Listener{Socket: socket, Mode: p.cfg.Mode})
	}
	for _, l := range append(sockets, p.cfg.Listener...) {
		t := target{name: l.Socket, mode: l.Mode}
		if t.mode == (config.Mode{}) {
			t.mode = p.cfg.Mode
		}
		var err error
		if t.network, t.address, err = config.ParseSocket(l.Socket); err != nil {
			return exitError{exitConfig, err}
		}
		switch {
		case t.network == "unix":
			t.address = strings.TrimSuffix(p.cfg.ChangeRootDirectory, "/") + t.address
		case strings.HasPrefix(t.address, ":"): // all interfaces
			t.address = map[string]string{"tcp4": "127.0.0.1", "tcp6": "[::1]"}[t.network] + t.address
		}
		p.targets = append(p.targets, t)
	}
	return nil
}

// print writes what went well, and what was not asked.
func (r *pinged) print(cmd *cobra.Command) {
	out := cmd.OutOrStdout()
	for _, s := range r.Sockets {
		if s.Messages == 0 {
			continue
		}
		took := time.Duration(s.Seconds * float64(time.Second)).Round(time.Microsecond)
		fmt.Fprintf(out, "%s: messages answered: %d, in %s\n", s.Socket, s.Messages, took)
	}
	for _, k := range r.Keys {
		if !k.Signs {
			continue
		}
		by := "verified with its public half"
		if k.Verified == verifiedNames {
			by = "by d= and s= alone"
		}
		fmt.Fprintf(out, "key %q: d=%s s=%s signs mail of %s, %s\n", k.Name, k.Domain, k.Selector, k.Sender, by)
	}
	for _, n := range r.Notes {
		fmt.Fprintf(out, "note: %s\n", n)
	}
}
