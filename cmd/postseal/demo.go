package main

import (
	"bytes"
	"context"
	"crypto"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/postseal/postseal/cmd/postseal/service"
	"github.com/postseal/postseal/config"
	"github.com/postseal/postseal/keys"
	"github.com/postseal/postseal/milter"
	"github.com/postseal/postseal/milter/resolver"
	"github.com/spf13/cobra"
)

const (
	demoDomain   = "example.com"
	demoSelector = "demo"
)

func newDemo() *cobra.Command {
	var postfix, asJSON bool
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Sign a message and verify it, on this machine alone",
		Long: `Show postseal at work without touching the machine's mail: make a key, start the
daemon from a configuration file on a loopback port, with a small name server of
its own, hand it a message as Postfix would, hand the signed message back as a
stranger would, and then a copy that was changed on the way.

With --postfix the mail goes through a private Postfix instance, which the command
starts and stops (as root, with Postfix installed).

With --json: {signature, results: [{message, dkim, field}], log: [object]}; message is
"as signed" or "changed", and log are the daemon's lines about the three messages.`,
		Example: "  postseal demo\n  postseal demo --postfix\n  postseal demo --json | jq .results",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			d, err := startDemo(cmd, asJSON)
			if err != nil {
				return err
			}
			if postfix {
				err = d.throughPostfix(cmd.Context())
			} else {
				err = d.asPostfix()
			}
			if err = d.end(err); err != nil || !asJSON {
				return err
			}
			return printJSON(cmd, d.shown)
		},
	}
	addJSON(cmd, &asJSON)
	cmd.Flags().BoolVar(&postfix, "postfix", false, "send the mail through a private Postfix instance")
	return cmd
}

// demonstrated is what demo prints with --json.
type demonstrated struct {
	// Signature is the DKIM-Signature field of the message that was signed.
	Signature string              `json:"signature"`
	Results   []demonstratedCheck `json:"results"`
	// Log are the daemon's lines about the messages.
	Log []json.RawMessage `json:"log"`
}

// demonstratedCheck is how one copy of the message fared when it came in.
type demonstratedCheck struct {
	// Message is which copy: "as signed" or "changed".
	Message string `json:"message"`
	DKIM    string `json:"dkim"`
	// Field is the Authentication-Results field.
	Field string `json:"field"`
}

// demonstration is a running daemon with its folder, its key and its DNS.
type demonstration struct {
	out     io.Writer // where the story is told
	errors  io.Writer // where it is told of a failure that JSON leaves out
	asJSON  bool
	shown   demonstrated
	log     *lockedBuffer
	dir     string
	address string
	dns     *resolver.Server
	queued  int // messages so far
	stop    func() error
}

// startDemo makes a key, a configuration and a name server, and starts the
// daemon as serve does.
func startDemo(cmd *cobra.Command, asJSON bool) (d *demonstration, err error) {
	d = &demonstration{
		out: cmd.OutOrStdout(), errors: cmd.ErrOrStderr(), asJSON: asJSON,
		log: new(lockedBuffer), stop: func() error { return nil },
	}
	if asJSON {
		d.out = io.Discard
	}
	if d.dir, err = os.MkdirTemp("", "postseal-demo-"); err != nil {
		return nil, err
	}
	started := d // the returns below give none
	defer func() {
		if err != nil {
			err = started.end(err)
		}
	}()
	d.say("1. A key for %s, selector %s", demoDomain, demoSelector)
	key, err := keys.Generate("rsa", 2048)
	if err != nil {
		return nil, err
	}
	if err = keys.WritePrivate(filepath.Join(d.dir, "demo.private"), key); err != nil {
		return nil, err
	}
	record, err := d.publish(key.Public())
	if err != nil {
		return nil, err
	}
	d.show("DNS record "+demoSelector+"._domainkey."+demoDomain, record)
	path, err := d.configure()
	if err != nil {
		return nil, err
	}
	cmd.SetErr(d.log)
	daemon, err := newDaemon(cmd, path, asJSON)
	if err != nil {
		return nil, err
	}
	d.stop = background(context.Background(), daemon)
	return d, nil
}

// newDaemon makes the daemon of a configuration file, in this process.
func newDaemon(cmd *cobra.Command, path string, asJSON bool) (*milter.Daemon, error) {
	load := func() (*config.Config, error) {
		cfg, err := config.Load(path) // nothing of the environment
		if err == nil && asJSON {
			cfg.LogFormat = "json"
		}
		return cfg, err
	}
	cfg, err := load()
	if err != nil {
		return nil, err
	}
	log, level, err := milter.NewLogger(cfg, cmd.ErrOrStderr())
	if err != nil {
		return nil, exitError{exitConfig, err}
	}
	hostname, err := os.Hostname()
	if err != nil {
		return nil, err
	}
	d, err := milter.NewDaemon(milter.DaemonOptions{Load: load, Log: log, Level: level, Hostname: hostname, Version: service.Version()})
	if err != nil {
		return nil, exitError{exitConfig, err}
	}
	return d, nil
}

// background runs a daemon until stop is called; stop returns its end.
func background(ctx context.Context, d *milter.Daemon) (stop func() error) {
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- d.Run(ctx, nil) }()
	return func() error {
		cancel()
		return <-ended
	}
}

// publish starts the name server with the key's record.
func (d *demonstration) publish(pub crypto.PublicKey) (record string, err error) {
	record = keys.RecordText(pub)
	zone := resolver.NewRecords(map[string][]string{demoSelector + "._domainkey." + demoDomain: {record}})
	d.dns, err = resolver.Serve("127.0.0.1:0", zone.Answer)
	return record, err
}

// configure writes the tables and the configuration.
func (d *demonstration) configure() (path string, err error) {
	port, err := freePort()
	if err != nil {
		return "", err
	}
	d.address = fmt.Sprintf("127.0.0.1:%d", port)
	files := map[string]string{
		"signing.table": "*@" + demoDomain + " demo\n",
		"key.table":     "demo " + demoDomain + ":" + demoSelector + ":" + filepath.Join(d.dir, "demo.private") + "\n",
		"postseal.toml": fmt.Sprintf(`socket            = "inet:%d@127.0.0.1"
runtime_directory = %q
key_table         = "file:key.table"
signing_table     = "refile:signing.table"
internal_hosts    = ["127.0.0.1", "::1"]
authserv_id       = "mx.%s"
nameservers       = [%q]
require_safe_keys = false   # the demonstration's key lies below a folder that all may write to
`, port, filepath.Join(d.dir, "run"), demoDomain, d.dns.Addr()),
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(d.dir, name), []byte(text), 0o600); err != nil {
			return "", err
		}
	}
	path = filepath.Join(d.dir, "postseal.toml")
	d.say("2. The daemon, from %s", path)
	d.show("", files["postseal.toml"])
	return path, nil
}

// freePort finds a TCP port that nobody listens on.
func freePort() (int, error) {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}

// end stops everything, shows the daemon's lines about the messages and removes
// the folder. It returns err, or the first error of its own.
func (d *demonstration) end(err error) error {
	if e := d.stop(); err == nil {
		err = e
	}
	if d.dns != nil {
		if e := d.dns.Close(); err == nil {
			err = e
		}
	}
	var lines []string
	for line := range strings.Lines(d.log.String()) {
		if strings.Contains(line, "msg=message ") || strings.Contains(line, `"msg":"message"`) || err != nil {
			lines = append(lines, line)
			d.shown.Log = append(d.shown.Log, json.RawMessage(line))
		}
	}
	if err != nil && d.asJSON {
		d.out = d.errors
	}
	if len(lines) > 0 {
		d.say("What the daemon logged")
		d.show("", strings.Join(lines, "\n"))
	}
	if e := os.RemoveAll(d.dir); err == nil {
		err = e
	}
	return err
}

// signed keeps and shows the signature of the message.
func (d *demonstration) signed(field string) {
	d.shown.Signature = strings.TrimSpace(field)
	d.show("", field)
}

// arrived keeps and shows the results field of a copy of the message.
func (d *demonstration) arrived(message, want, field string) {
	d.shown.Results = append(d.shown.Results, demonstratedCheck{
		Message: message, DKIM: strings.TrimPrefix(want, "dkim="), Field: strings.TrimSpace(field),
	})
	d.show("", field)
}

func (d *demonstration) say(format string, args ...any) {
	fmt.Fprintf(d.out, "\n"+format+"\n", args...)
}

// show prints text indented, below a title if there is one.
func (d *demonstration) show(title, text string) {
	if title != "" {
		fmt.Fprintf(d.out, "   %s\n", title)
	}
	for line := range strings.Lines(strings.TrimSpace(strings.ReplaceAll(text, "\r\n", "\n"))) {
		if strings.TrimSpace(line) != "" {
			fmt.Fprintf(d.out, "   | %s\n", strings.TrimRight(line, "\r\n"))
		}
	}
}

// lockedBuffer takes the daemon's log from many goroutines.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}
