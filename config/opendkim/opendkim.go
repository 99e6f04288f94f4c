// Package opendkim reads opendkim.conf, OpenDKIM's configuration file, into
// postseal's own: every parameter that OpenDKIM has or had is known, and what
// it means here is one entry of a table. The words of errors are OpenDKIM's.
package opendkim

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/postseal/postseal/config"
	"github.com/postseal/postseal/config/dataset"
)

// DefaultsFile is where Debian keeps the environment of OpenDKIM's init script.
const DefaultsFile = "/etc/default/opendkim"

// SandboxVariable in the environment, where it is 1 or true, switches the sandbox on
// for the command opendkim, whose flags are OpenDKIM's.
const SandboxVariable = "POSTSEAL_SANDBOX"

// Options say what else counts beside the file.
type Options struct {
	// Overrides are parameters that count as if they stood at the end of the
	// file: the flags of a command line.
	Overrides []Setting
	// Defaults is a file in the manner of /etc/default/opendkim. Its SOCKET= is
	// used where neither the file nor an override names a Socket. Empty: not
	// looked at.
	Defaults string
	// CheckOnly asks for no more than `opendkim -n` and the tools do. What OpenDKIM
	// finds only when it really starts is a notice then: no Socket or a wrong one,
	// an AutoRestartRate or Nameservers that are none, a list of header fields
	// that its library refuses. Without a Socket Config.Socket is empty.
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

	values map[string][]string // what the file says, by names in small letters, in its order
	last   map[string]setting  // what counts, by names in small letters
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
	ExitUnavailable = 69 // EX_UNAVAILABLE: a socket that is none
	ExitSoftware    = 70 // EX_SOFTWARE: OpenDKIM's library refuses the options
	ExitConfig      = 78 // EX_CONFIG
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
	r := newReading(path, o)
	r.read(path, "", 0)
	return r.file()
}

// Get is the value of a parameter as `opendkim -e NAME` prints it: what the file
// says, without overrides and defaults; of several lines the last one comes
// first, each on a line of its own. set is false where the file does not say it,
// known where OpenDKIM has no such name.
func (f *File) Get(name string) (value string, set, known bool) {
	values, set := f.values[strings.ToLower(name)]
	_, known = newNames()[strings.ToLower(name)]
	for i := len(values) - 1; i >= 0; i-- {
		value += values[i]
		if i > 0 {
			value += "\n"
		}
	}
	return value, set, known
}

// Is reports whether data is written as an opendkim.conf rather than as TOML, by
// its first line that is more than a comment: "NAME VALUE", or a parameter's
// name alone.
func Is(data []byte) bool {
	for line := range strings.Lines(strings.TrimPrefix(string(data), byteOrderMark)) {
		name, value, ok := splitLine(line)
		if !ok {
			continue
		}
		if value == "" {
			_, known := newNames()[strings.ToLower(name)]
			return known
		}
		return isName(name) && value[0] != '=' && value[0] != '.'
	}
	return false
}

// isName reports whether a word is made as the names of parameters are.
func isName(word string) bool {
	for _, c := range []byte(word) {
		if (c|0x20 < 'a' || c|0x20 > 'z') && (c < '0' || c > '9') && c != '-' {
			return false
		}
	}
	return true
}

// LoadConfig reads a configuration file in whichever form it is written: an
// opendkim.conf with [DefaultsFile], TOML with the settings of the environment
// over it. These do not count under an opendkim.conf; that is a notice.
func LoadConfig(path string, env config.Environment) (*config.Config, error) {
	data, err := dataset.ReadFile(path, config.MaxFile)
	if err != nil {
		return nil, fmt.Errorf("configuration: %w", err)
	}
	if !Is(data) {
		return env.Load(path)
	}
	f, err := Load(path, Options{Defaults: DefaultsFile})
	if err != nil {
		return nil, err
	}
	for _, variable := range env.Settings() {
		if variable != SandboxVariable {
			f.Config.Notices = append(f.Config.Notices, config.Problem{Where: variable, Text: "the variable has no effect under an opendkim.conf; it is for a postseal.toml"})
		}
	}
	return f.Config, nil
}

// FindRuntimeDirectory does for both forms what [config.FindRuntimeDirectory]
// does for TOML.
func FindRuntimeDirectory(path string, env config.Environment) (string, error) {
	data, err := dataset.ReadFile(path, config.MaxFile)
	if err != nil {
		return "", fmt.Errorf("configuration: %w", err)
	}
	if !Is(data) {
		return env.FindRuntimeDirectory(path)
	}
	r := newReading(path, Options{})
	r.read(path, "", 0)
	c := config.Config{PidFile: r.last["pidfile"].value}
	if s, ok := r.setting("BaseDirectory"); ok {
		c.BaseDirectory = s.value
	}
	return runtimeDirectory(&c), nil
}

// runtimeDirectory is the folder of the pid file, which OpenDKIM can write to,
// unless it is one that all daemons share.
func runtimeDirectory(c *config.Config) string {
	if c.PidFile != "" {
		dir, err := filepath.Abs(filepath.Dir(c.Path(c.PidFile)))
		if err == nil && !slices.Contains([]string{"/", "/run", "/var/run", "/tmp"}, dir) {
			return dir
		}
	}
	if dir := config.RuntimeDirectory(); dir != config.DefaultRuntimeDirectory {
		return dir
	}
	return "/run/opendkim"
}

// errorCode is the exit code of the problem that OpenDKIM would have met first.
func errorCode(codes []int) int {
	for _, code := range []int{ExitConfig, ExitSoftware} {
		for _, c := range codes {
			if c == code {
				return code
			}
		}
	}
	return ExitUnavailable
}

// asError makes an error of problems; nil where there are none.
func asError(problems config.Problems, codes []int) error {
	if len(problems) == 0 {
		return nil
	}
	return &Error{Problems: problems, Exit: errorCode(codes)}
}
