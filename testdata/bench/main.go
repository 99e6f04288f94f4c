// Command bench measures postseal beside OpenDKIM, and rspamd where it is
// installed, on the same messages in the same run, and prints one table of ratios
// of medians with the targets that postseal has set itself. "make bench" runs it.
//
// What is compared on a noisy machine is the CPU time a message of the filter's
// own process, from /proc. Rates are there too; they need a quiet machine.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"regexp"
	"syscall"
)

const help = `bench measures postseal beside OpenDKIM, and rspamd where it is installed, on the
same messages in the same run, each filter in turn, and prints the medians and
which targets they meet. It takes some minutes. Run it in the folder of go.mod, on
a machine that does nothing else; what goes through Postfix needs root.

All filters sign with the same keys, tables, algorithms and canonicalizations, on
4 connections of 10 messages each. OpenDKIM's log is off and rspamd's has errors
alone; postseal writes its own, a line a message. SigningTable is a refile for
both, of patterns, which OpenDKIM reads from the top for each message. CPU time is
counted in steps of 10 ms: with a -scale below 1 it tells little. "openssl tag" is
postseal built with -tags openssl; it needs a C compiler and libssl-dev.

bench [flags]
`

func main() {
	if len(os.Args) == 3 && os.Args[1] == adderCommand {
		fmt.Fprintln(os.Stderr, "bench:", serveAdder(os.Args[2]))
		os.Exit(1)
	}
	rounds := flag.Int("rounds", 5, "how many `times` each work is measured, the filters in turn; the median counts")
	only := flag.String("only", "", "run the works that match this `pattern` alone")
	scale := flag.Float64("scale", 1, "`factor` to the number of messages of a measurement")
	flag.Usage = func() {
		fmt.Fprint(flag.CommandLine.Output(), help)
		flag.PrintDefaults()
	}
	flag.Parse()
	if flag.NArg() > 0 || *rounds < 1 || *scale <= 0 {
		fmt.Fprintln(os.Stderr, "bench: -rounds and -scale are more than nothing, and nothing follows the flags; see -h")
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGPIPE)
	defer stop()
	if err := run(ctx, *rounds, *only, *scale); err != nil {
		if ctx.Err() != nil {
			err = errors.New("interrupted")
		}
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, rounds int, only string, scale float64) (err error) {
	pattern, err := regexp.Compile(only)
	if err != nil {
		return fmt.Errorf("-only: %w", err)
	}
	dir, err := os.MkdirTemp("", "postseal-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if err := os.Chmod(dir, 0o755); err != nil { // Postfix's users pass
		return err
	}
	b := &bench{ctx: ctx, dir: dir, rounds: rounds, scale: scale, only: pattern, results: newResults()}
	defer func() { err = errors.Join(err, b.stop()) }()
	if err := b.prepare(); err != nil {
		return err
	}
	fmt.Println(b.machine())
	for _, part := range []func() error{b.engine, b.idle, b.tables, b.postfix} {
		if err := part(); err != nil {
			return err
		}
	}
	b.print(os.Stdout)
	if rounds < 5 || scale < 1 || only != "" {
		note("of -rounds, -scale or -only: this was less than the targets are meant for, and CPU time is counted in steps of 10 ms")
	}
	return nil
}

// bench is one run.
type bench struct {
	ctx    context.Context
	dir    string
	rounds int
	scale  float64
	only   *regexp.Regexp

	programs []program // the filters that there are, postseal first
	daemons  map[setup]*daemon
	results
}

// prepare builds postseal, finds the peers, and makes keys.
func (b *bench) prepare() error {
	b.daemons = map[setup]*daemon{}
	note("building postseal")
	b.programs = []program{{postseal, b.at("postseal")}}
	if out, err := exec.CommandContext(b.ctx, "go", "build", "-o", b.at("postseal"), "./cmd/postseal").CombinedOutput(); err != nil {
		return fmt.Errorf("go build ./cmd/postseal: %w\n%s", err, out)
	}
	tagged := exec.CommandContext(b.ctx, "go", "build", "-tags", "openssl", "-o", b.at("postseal-openssl"), "./cmd/postseal")
	tagged.Env = append(os.Environ(), "CGO_ENABLED=1")
	if out, err := tagged.CombinedOutput(); err != nil {
		note("without the openssl tag: %v: %.200s", err, out)
	} else {
		b.programs = append(b.programs, program{withTag, b.at("postseal-openssl")})
	}
	for name, command := range map[string]string{opendkim: "opendkim", rspamd: "rspamd"} {
		if path, err := findProgram(command); err != nil {
			note("%s is not installed", name)
		} else {
			b.programs = append(b.programs, program{name, path})
		}
	}
	return b.makeKeys()
}

// note says something on standard error: the table alone goes to standard output.
func note(format string, args ...any) { fmt.Fprintf(os.Stderr, "bench: "+format+"\n", args...) }

// findProgram looks in PATH, and where a user's PATH does not look.
func findProgram(name string) (string, error) {
	if path, err := exec.LookPath(name); err == nil {
		return path, nil
	}
	return exec.LookPath("/usr/sbin/" + name)
}
