// Package opendkim is the commands under OpenDKIM's names: the program called
// as opendkim, opendkim-genkey, opendkim-testkey, opendkim-testmsg or
// opendkim-genzone takes that command's flags, prints its formats and ends with
// its exit codes.
package opendkim

import (
	"io"
	"maps"
	"os"
	"slices"
	"strings"
)

// Exit codes of sysexits.h that OpenDKIM's commands use.
const (
	exitOK          = 0
	exitUsage       = 64 // EX_USAGE
	exitDataErr     = 65 // EX_DATAERR
	exitUnavailable = 69 // EX_UNAVAILABLE
	exitSoftware    = 70 // EX_SOFTWARE
	exitOSErr       = 71 // EX_OSERR
	exitNoPerm      = 77 // EX_NOPERM
	exitConfig      = 78 // EX_CONFIG
)

// call is one run of a command.
type call struct {
	// name is what the command was called as, without its folder.
	name string
	// args are the words after the name.
	args     []string
	in       io.Reader
	out, err io.Writer
}

// commands are the names and what runs under them.
func commands() map[string]func(call) (exit int) {
	return map[string]func(call) int{
		"opendkim":         daemon,
		"opendkim-genkey":  genkey,
		"opendkim-genzone": genzone,
		"opendkim-testkey": testkey,
		"opendkim-testmsg": testmsg,
	}
}

// Known reports whether a program called name, without its folder, is one of
// OpenDKIM's.
func Known(name string) bool { return commands()[name] != nil }

// Names are the commands' names, in their order.
func Names() []string { return slices.Sorted(maps.Keys(commands())) }

// Usage is what a [Known] command prints of its flags: how it is called, and a
// line for each.
func Usage(name string) (synopsis, flags string) {
	var b strings.Builder
	commands()[name](call{name: name, args: []string{"--help"}, in: strings.NewReader(""), out: &b, err: &b})
	_, text, _ := strings.Cut(b.String(), ": usage: ")
	synopsis, flags, _ = strings.Cut(text, "\n")
	return synopsis, flags
}

// Main runs the command of a [Known] name with the words that follow it on the
// command line, and returns its exit code.
func Main(name string, args []string) (exit int) {
	return commands()[name](call{name: name, args: args, in: os.Stdin, out: os.Stdout, err: os.Stderr})
}
