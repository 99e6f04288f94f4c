package check

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/postseal/postseal/milter"
	"github.com/postseal/postseal/milter/finding"
)

// The kinds of findings about the daemon.
const (
	// NotRunning: no daemon answers.
	NotRunning finding.Code = "not-running"
	// NotAsked: this user may not ask the daemon.
	NotAsked finding.Code = "not-asked"
	// NotReloaded: the daemon goes on with an old configuration.
	NotReloaded finding.Code = "not-reloaded"
)

// AskDaemon asks the daemon whose control socket is in the folder dir, and is the
// section about it.
func (c *Checker) AskDaemon(ctx context.Context, dir string) *Section {
	status, err := milter.Control{Dir: dir}.Status(ctx)
	if err == nil {
		c.daemon = &status
	}
	return daemonSection(status, dir, err)
}

// daemonSection is what the daemon said, or why it could not be asked.
func daemonSection(status milter.Status, dir string, err error) *Section {
	s := newSection(SectionDaemon)
	socket := filepath.Join(dir, "control.sock")
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ECONNREFUSED):
		s.Summary = "not running"
		s.add("", finding.Finding{
			Code: NotRunning, Level: finding.Problem,
			Text:   fmt.Sprintf("No daemon is running: nobody answers on %s.", socket),
			Effect: "Postfix does with mail what milter_default_action says: it is deferred, or leaves unsigned.",
			Fix:    "Start it, and see why it stopped:\n  systemctl start postseal\n  journalctl -u postseal -n 50",
		})
	case err != nil:
		s.Summary = "could not be asked"
		s.add("", finding.Finding{
			Code: NotAsked, Level: LevelUnknown,
			Text:   fmt.Sprintf("The daemon could not be asked: %v.", err),
			Effect: "Whether it runs, and with which keys, is not known.",
			Fix:    "Run this as root.",
		})
	default:
		s.Summary = fmt.Sprintf("postseal %s, process %d, keys: %d", status.Version, status.PID, len(status.Keys))
		if r := status.LastReload; len(r.Problems) > 0 {
			more := ""
			if n := len(r.Problems) - 1; n > 0 {
				more = fmt.Sprintf(" (and %d more)", n)
			}
			s.add("", finding.Finding{
				Code: NotReloaded, Level: finding.Problem,
				Text:   fmt.Sprintf("The daemon goes on with an old configuration, because it could not read the new one: %s%s.", r.Problems[0], more),
				Effect: "Changes since then have no effect, and a restart would fail.",
				Fix:    "Mend what these say, in this order:\n  postseal check-config\n  postseal reload",
			})
		}
	}
	return s
}

// Config is the section about the configuration at path: its warnings, and the problems
// that it has with the one as whom they were met.
func Config(path string, warnings, problems []string, hint string) *Section {
	s := newSection(SectionConfig)
	s.Summary = path
	if len(warnings) > 0 {
		more := ""
		if n := len(warnings) - 1; n > 0 {
			more = fmt.Sprintf(" (and %d more)", n)
		}
		s.add("", finding.Finding{
			Code: configWarning, Level: finding.Note,
			Text:   fmt.Sprintf("The configuration is read with a warning: %s%s.", strings.TrimSuffix(warnings[0], "."), more),
			Effect: "Something in it may not mean what it seems to mean.", Fix: "postseal check-config -c " + path,
		})
	}
	const most = 10
	for i, p := range problems {
		if i == most {
			s.add("", finding.Finding{
				Code: badConfig, Level: finding.Problem, Text: fmt.Sprintf("There are %d more problems.", len(problems)-most),
				Effect: "The daemon would not start.", Fix: "To see them all:\n  postseal check-config -c " + path,
			})
			break
		}
		f := finding.Finding{
			Code: badConfig, Level: finding.Problem, Text: p,
			Effect: "The daemon does not start like this, and one that runs goes on as before.",
			Fix:    "Correct it, then:\n  postseal check-config -c " + path,
		}
		if i == 0 && hint != "" {
			f.Fix += "\n" + hint
		}
		s.add("", f)
	}
	return s
}

// The kinds of findings about the configuration.
const (
	// badConfig: it has a problem.
	badConfig finding.Code = "configuration"
	// configWarning: it has warnings.
	configWarning finding.Code = "configuration-warning"
)
