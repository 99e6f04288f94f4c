package check

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/postseal/postseal/config"
	"github.com/postseal/postseal/config/postfix"
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

// answerTimeout bounds how long a daemon may take to answer where mail goes in; systemd
// may only now start it.
const answerTimeout = 10 * time.Second

// AskDaemon asks the daemon of a configuration, and is the section about it.
func (c *Checker) AskDaemon(ctx context.Context, cfg *config.Config) *Section {
	control := milter.Control{Dir: cfg.RuntimeDirectory}
	status, err := control.Status(ctx)
	answers := false
	if isAway(err) {
		within, cancel := context.WithTimeout(ctx, answerTimeout)
		expected, _ := expect(cfg, nil)
		answers = slices.ContainsFunc(expected.Sockets, func(s postfix.Socket) bool { return s.Answers(within) })
		cancel()
	}
	if answers { // by now it may run: systemd starts it for the first that asks
		status, err = control.Status(ctx)
	}
	if err == nil {
		c.daemon = &status
	}
	return daemonSection(status, cfg.RuntimeDirectory, answers, err)
}

// isAway reports whether an error says that nobody listens at the control socket.
func isAway(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ECONNREFUSED)
}

// daemonSection is what the daemon said, or why it could not be asked. answers says that
// a milter is where Postfix asks for it.
func daemonSection(status milter.Status, dir string, answers bool, err error) *Section {
	s := newSection(SectionDaemon)
	socket := filepath.Join(dir, "control.sock")
	switch {
	case isAway(err) && answers:
		s.Summary = "could not be asked"
		s.add("", finding.Finding{
			Code: NotAsked, Level: LevelUnknown,
			Text:   fmt.Sprintf("A milter answers where postseal is to listen, but nobody answers on %s: either the daemon runs in a container, or it does not run and another milter has its socket.", socket),
			Effect: "Whether mail is signed is not known.",
			Fix:    "To see whether it signs:\n  postseal ping\nIf it does, let runtime_directory name the folder of its control socket as it is seen from here, or leave this out with --only.",
		})
	case isAway(err):
		s.Summary = "not running"
		s.add("", finding.Finding{
			Code: NotRunning, Level: finding.Problem,
			Text:   fmt.Sprintf("No daemon is running: nobody answers on %s.", socket),
			Effect: "Postfix does with mail what milter_default_action says: it is deferred, or leaves unsigned.",
			Fix:    "Start it, and see why it stopped:\n  systemctl start postseal\n  journalctl -u postseal -n 50",
		})
	case errors.Is(err, fs.ErrPermission):
		err = fmt.Errorf("this user may not use %s", socket)
		fallthrough
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
				Effect: "Changes since then have no effect.",
				// Were the configuration bad still, its own section would say so in place of this.
				Fix: "If it has been corrected since:\n  postseal reload\nIf that says the same again:\n  systemctl restart postseal",
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
