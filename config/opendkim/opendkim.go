// Package opendkim reads opendkim.conf, OpenDKIM's configuration file, into
// postseal's own: every parameter that OpenDKIM has or had is known, and what
// it means here is one entry of a table. The words of errors are OpenDKIM's.
package opendkim

import (
	"errors"
	"time"

	"github.com/postseal/postseal/config"
)

// DefaultsFile is where Debian keeps the environment of OpenDKIM's init script.
const DefaultsFile = "/etc/default/opendkim"

// Options say what else counts beside the file.
type Options struct {
	// Overrides are parameters that count as if they stood at the end of the
	// file: the flags of a command line.
	Overrides []Setting
	// Defaults is a file in the manner of /etc/default/opendkim. Its SOCKET= is
	// used where neither the file nor an override names a Socket. Empty: not
	// looked at.
	Defaults string
	// CheckOnly asks for no more than `opendkim -n` and the tools do: without a
	// Socket Config.Socket is empty, and an AutoRestartRate that is none passes.
	// Notices tell of both.
	CheckOnly bool
	// Umask tells the process's file creation mask, which counts where the file
	// has no UMask. nil reads it from the system.
	Umask func() int
}

// Setting is a parameter with its value, in OpenDKIM's spelling.
type Setting struct{ Name, Value string }

// File is an opendkim.conf that was read.
type File struct {
	// Config is what it means. Its Notices say what means less here than in
	// OpenDKIM.
	Config *config.Config
	// Process is what a daemon does with itself.
	Process Process
}

// Process are the settings that Config has no place for.
type Process struct {
	// Background goes to the background once started. OpenDKIM's default is true.
	Background bool
	// AutoRestart starts the daemon again when it dies; at most AutoRestartCount
	// times (0: no limit) and no more often than AutoRestartRate.
	AutoRestart      bool
	AutoRestartCount int
	AutoRestartRate  Rate
}

// Rate is so many in a length of time. The zero Rate is no limit.
type Rate struct {
	Count int
	Per   time.Duration
}

// Exit codes of a configuration that cannot be used, from sysexits.h.
const (
	ExitSoftware = 70 // EX_SOFTWARE: OpenDKIM's library refuses the options
	ExitConfig   = 78 // EX_CONFIG
)

// Error is why an opendkim.conf cannot be used. errors.As finds it, and the
// config.Problems in it too.
type Error struct {
	config.Problems
	// Exit is the code that OpenDKIM ends with.
	Exit int
}

// Unwrap gives the Problems.
func (e *Error) Unwrap() error { return e.Problems }

// Load reads an opendkim.conf. The error is an *Error with everything that is
// wrong, each line in OpenDKIM's words ("FILE: configuration error at line 3:
// unrecognized parameter") and followed by what to do.
func Load(path string, o Options) (*File, error) {
	return nil, errors.New("not yet")
}

// Get is the value of a parameter as `opendkim -e NAME` prints it; set is false
// where it has none, known where OpenDKIM has no such name.
func (f *File) Get(name string) (value string, set, known bool) {
	return "", false, false
}

// Is reports whether data is written as an opendkim.conf rather than as TOML, by
// its first line that is more than a comment.
func Is(data []byte) bool { return false }

// LoadConfig reads a configuration file in whichever form it is written: an
// opendkim.conf with [DefaultsFile], TOML through [config.Load].
func LoadConfig(path string) (*config.Config, error) { return config.Load(path) }

// FindRuntimeDirectory does for both forms what [config.FindRuntimeDirectory]
// does for TOML.
func FindRuntimeDirectory(path string) (string, error) { return config.FindRuntimeDirectory(path) }
