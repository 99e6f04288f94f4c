// Command milterload plays Postfix to a milter with many messages and says how
// many it takes a second, how long each takes, and what that costs.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/postseal/postseal/milter/load"
	"github.com/spf13/cobra"
)

// Exit codes.
const (
	exitFailed  = 1  // not all messages came back as wanted
	exitUsage   = 64 // EX_USAGE
	exitNoInput = 66 // EX_NOINPUT
)

func main() {
	err := newCommand().Execute()
	if err == nil {
		return
	}
	exit := exitError{code: exitUsage} // of cobra's own: the flags
	errors.As(err, &exit)
	if exit.code == exitUsage {
		err = fmt.Errorf("%w; see milterload --help", err)
	}
	fmt.Fprintf(os.Stderr, "milterload: %v\n", err)
	os.Exit(exit.code)
}

// exitError ends the program with a code.
type exitError struct {
	code int
	error
}

func (e exitError) Unwrap() error { return e.error }

// flags are the command line.
type flags struct {
	connections, perConnection, messages int
	duration, timeout                    time.Duration
	size, from                           string
	rcpt                                 []string
	client                               load.Client
	want                                 string
	protocol, pid                        int
	allowRemote, json                    bool
}

func newCommand() *cobra.Command {
	var f flags
	cmd := &cobra.Command{
		Use:   "milterload [flags] SOCKET [MESSAGE...]",
		Short: "Measure a milter under load",
		Long: `milterload plays Postfix 3.7 to a milter: it opens connections, negotiates, and
sends messages as fast as the milter answers them. It prints how many it takes a
second, how long one takes, from MAIL to the last reply, and from /proc what the
milter's process and its children use: CPU time a message and peak memory.

SOCKET is the milter's, as Postfix or OpenDKIM name it: unix:/path, local:/path,
inet:port@host or inet:host:port. Only sockets of this machine are taken, unless
--allow-remote is given: a load test is no guest on somebody else's mail server.
The milter does its work, with its log and statistics; no mail is sent.

Each MESSAGE is the file of an RFC 5322 message, - for standard input; they are
sent in turn, from the address in their From unless --from names another envelope
sender. Without one, a message of --size is made up, from user@example.com or
--from.

The milter's process is found by its socket; where that does not work (it is
another user's, or systemd opened the socket) name it with --pid. The CPU time is
counted in steps of 10 ms: let a run take some seconds.

The exit status is 0 if all messages came back as wanted, 1 if not or if the run
was interrupted, 64 for a wrong command line and 66 for a message that cannot be
read. An interrupt (Ctrl-C) ends the run, with the figures so far.

With --json it prints {messages, failed, first_error, interrupted, connections, seconds,
messages_per_second, latency_ms: {p50, p90, p99, max}, and, where the process is
known, pid, cpu_ms_per_message, peak_rss_bytes}.`,
		Example: `  milterload inet:8891@localhost
  milterload -n 10000 -c 8 --want DKIM-Signature unix:/run/postseal/postseal.sock
  milterload --duration 1m --size 10m --from user@example.org local:/run/opendkim.sock
  milterload --client 192.0.2.7 --want 'Authentication-Results: dkim=pass' inet:8891@localhost signed.eml`,
		SilenceErrors: true,
		SilenceUsage:  true,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return errors.New("the milter's socket is missing, as in: milterload inet:8891@localhost")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			return f.run(cmd, args[0], args[1:])
		},
	}
	fl := cmd.Flags()
	fl.SortFlags = false
	fl.IntVarP(&f.connections, "connections", "c", 4, "how `many` connections are open at once")
	fl.IntVarP(&f.perConnection, "per-connection", "p", 10, "how `many` messages a connection carries before it is opened anew")
	fl.IntVarP(&f.messages, "messages", "n", 1000, "how `many` messages are sent in all")
	fl.DurationVarP(&f.duration, "duration", "t", 0, "send for this `time`, as in 30s, in place of --messages")
	fl.StringVarP(&f.want, "want", "w", "", "the header `field` that the milter must add to each message; \"Name: text\" wants the text in it")
	fl.StringVarP(&f.size, "size", "s", "2k", "the `size` of the message that is made up: octets, or 2k, 10m")
	fl.StringVarP(&f.from, "from", "f", "", "the envelope sender's `address`")
	fl.StringSliceVarP(&f.rcpt, "rcpt", "r", nil, "the envelope recipients' `addresses` (default recipient@example.net)")
	fl.StringVar(&f.client.Addr, "client", "", "the IP `address` that mail comes from (default 127.0.0.1)")
	fl.StringVar(&f.client.Host, "client-name", "", "the client's host `name` (default localhost, with --client unknown)")
	fl.StringVar(&f.client.Login, "login", "", "the `name` that the client has logged in with")
	fl.IntVar(&f.protocol, "protocol", 6, "the `version` of Postfix's milter_protocol: 2, 3, 4 or 6")
	fl.DurationVar(&f.timeout, "timeout", time.Minute, "how `long` the milter may take for a reply")
	fl.IntVar(&f.pid, "pid", 0, "the milter's `process`; its children count, too")
	fl.BoolVar(&f.allowRemote, "allow-remote", false, "load a milter of another machine")
	fl.BoolVar(&f.json, "json", false, "print the result as JSON")
	return cmd
}

// usage is an error of the command line.
func usage(format string, args ...any) error {
	return exitError{exitUsage, fmt.Errorf(format, args...)}
}

func (f *flags) run(cmd *cobra.Command, socket string, files []string) error {
	o, err := f.options(cmd, socket)
	if err != nil {
		return err
	}
	if o.Message, err = f.read(cmd, files); err != nil {
		return err
	}
	m, err := f.meter(socket)
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second one ends the program
	o.Progress = progress(cmd.ErrOrStderr(), o.Messages)

	m.start()
	report, err := load.Run(ctx, o)
	clearProgress(cmd.ErrOrStderr())
	if err != nil && report.Messages == 0 {
		return exitError{exitFailed, fmt.Errorf("%w; is it running, and is this its socket?", err)}
	}
	r := newResult(report, o)
	r.Interrupted = ctx.Err() != nil
	if err := m.stop(&r); err != nil {
		fmt.Fprintf(cmd.ErrOrStderr(), "milterload: the milter's CPU time and memory are not known: %v; name its process with --pid\n", err)
	}
	if e := r.print(cmd.OutOrStdout(), f.json); e != nil {
		return exitError{exitFailed, e}
	}
	switch {
	case err != nil:
		return exitError{exitFailed, err}
	case r.Failed > 0:
		return exitError{exitFailed, fmt.Errorf("%d of %d messages did not come back as wanted; the first: %w", r.Failed, r.Messages, report.FirstError)}
	case r.Interrupted:
		return exitError{exitFailed, fmt.Errorf("interrupted after %d messages", r.Messages)}
	case r.Messages == 0:
		return exitError{exitFailed, errors.New("no message was sent in the time")}
	}
	return nil
}

// options are the flags as the library takes them, without the messages.
func (f *flags) options(cmd *cobra.Command, socket string) (load.Options, error) {
	o := load.Options{
		Socket: socket, Version: f.protocol, Connections: f.connections, PerConnection: f.perConnection,
		Messages: f.messages, Duration: f.duration, Want: f.want, Timeout: f.timeout,
	}
	changed := cmd.Flags().Changed
	switch {
	case f.connections < 1 || f.perConnection < 1 || f.messages < 1 || f.timeout <= 0 || f.duration < 0:
		return o, usage("--connections, --per-connection, --messages, --duration and --timeout are more than nothing")
	case f.protocol < 2 || f.protocol > 6 || f.protocol == 5:
		return o, usage("--protocol %d: Postfix speaks 2, 3, 4 and 6", f.protocol)
	case strings.HasPrefix(strings.TrimSpace(f.want), ":"):
		return o, usage("--want %q has no name of a header field", f.want)
	case changed("duration") && changed("messages"):
		return o, usage("--duration and --messages exclude each other")
	case f.duration > 0:
		o.Messages = 0
	}
	network, address, err := load.Address(socket)
	if err != nil {
		return o, usage("%w", err)
	}
	if network != "unix" && !f.allowRemote {
		if err := local(address); err != nil {
			return o, err
		}
	}
	return o, nil
}
