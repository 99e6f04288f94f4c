package setup

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/postseal/postseal/config"
)

// Service is how the daemon is started on a machine.
type Service struct {
	// Program is our own path, by which a unit starts it.
	Program string
	// Named: the configuration is not in its usual place, and has to be named.
	Named bool
	// Running: a daemon with this configuration answers.
	Running bool
	// Systemd: process 1 is systemd.
	Systemd bool
}

// arguments are what a command of ours gets to find the configuration.
func (v *Service) arguments(s *Site) []string {
	if v.Named {
		return []string{"-c", s.Path}
	}
	return nil
}

// command is a line of a unit that runs one of our commands.
func (v *Service) command(words string, s *Site) string {
	return strings.Join(append([]string{v.Program, words}, v.arguments(s)...), " ")
}

// Before plans what an undo does last: a daemon that goes on has to be told of files
// that are as they were.
func (v *Service) Before(plan *Plan, s *Site) {
	if v.Running {
		plan.Add(&Command{Undo: v.reload(s)})
	}
}

func (v *Service) reload(s *Site) []string {
	return append([]string{v.Program, "reload"}, v.arguments(s)...)
}

// Plan adds to plan what has the daemon run with the configuration: a reload where it
// does, else its unit, which is made where there is none. advice says what is left for a
// person to do.
func (v *Service) Plan(ctx context.Context, m System, plan *Plan, s *Site) (advice string, err error) {
	switch {
	case v.Running && plan.touches(s):
		plan.Add(&Command{Argv: v.reload(s)})
		return "", nil
	case v.Running:
		return "", nil
	case !v.Systemd:
		return "start the daemon: " + strings.Join(v.byHand(s), " && "), nil
	}
	units, made, err := v.units(ctx, m, plan, s)
	if err != nil {
		return "", err
	}
	if units == nil {
		return fmt.Sprintf("%s starts with another configuration; start the daemon with this one: %s", serviceUnit, strings.Join(v.byHand(s), " && ")), nil
	}
	_, enabled := m.Run(ctx, append([]string{"systemctl", "--quiet", "is-enabled"}, units...)...)
	_, active := m.Run(ctx, append([]string{"systemctl", "--quiet", "is-active"}, units...)...)
	if made || enabled != nil || active != nil {
		up := append([]string{"systemctl", "enable", "--now"}, units...)
		down := append([]string{"systemctl", "disable", "--now"}, units...)
		plan.Add(&Command{Argv: up, Undo: down, Root: true})
	}
	return "", nil
}

// touches reports whether the plan changes what the daemon reads.
func (p *Plan) touches(s *Site) bool {
	return p.has(func(c Change) bool {
		switch c := c.(type) {
		case *Rows:
			return true
		case *File:
			return c.Path == s.Path
		}
		return false
	})
}

// byHand is what starts the daemon without a service manager.
func (v *Service) byHand(s *Site) []string {
	serve := strings.Join(append([]string{v.Program, "serve"}, v.arguments(s)...), " ")
	if s.Owner.User == "" || s.Config.UserID != "" {
		return []string{serve}
	}
	u := s.Owner.User
	return []string{
		fmt.Sprintf("install -d -o %s %s", u, s.Config.RuntimeDirectory),
		fmt.Sprintf("setpriv --reuid %s --regid %s --init-groups %s", u, u, serve),
	}
}

// units are those that start the daemon, the first to be started first; made: the plan
// makes them. nil: there is a unit for another configuration.
func (v *Service) units(ctx context.Context, m System, plan *Plan, s *Site) (units []string, made bool, err error) {
	if _, err := m.Run(ctx, "systemctl", "cat", serviceUnit); err == nil {
		start, err := m.Run(ctx, "systemctl", "show", "--property=ExecStart", "--value", serviceUnit)
		if err != nil {
			return nil, false, err
		}
		if !v.starts(start, s) {
			return nil, false, nil
		}
		units = []string{serviceUnit}
		listens, err := m.Run(ctx, "systemctl", "show", "--property=Listen", "--value", socketUnit)
		if err == nil && v.listens(s, strings.TrimSuffix(strings.TrimSpace(listens), " (Stream)")) {
			units = []string{socketUnit, serviceUnit}
		}
		return units, false, nil
	}
	if err := runnable(v.Program); err != nil {
		return nil, false, err
	}
	texts, err := v.unitTexts(s)
	if err != nil {
		return nil, false, err
	}
	plan.Add(&Command{Undo: []string{"systemctl", "daemon-reload"}, Root: true})
	units = addUnits(plan, texts, socketUnit, serviceUnit)
	reload := &Command{Argv: []string{"systemctl", "daemon-reload"}, Root: true}
	if addUnits(plan, v.rotateTexts(s), rotateService, rotateTimer) != nil { // a person may enable it
		reload.Undo = []string{"systemctl", "disable", "--now", rotateTimer}
	}
	plan.Add(reload)
	return units, true, nil
}

// configArgument is -c in what systemctl tells of ExecStart.
var configArgument = regexp.MustCompile(` (?:-c|--config)[ =]([^ ;]+)`)

// starts reports whether the ExecStart of a unit starts the daemon with the configuration.
func (v *Service) starts(execStart string, s *Site) bool {
	if found := configArgument.FindStringSubmatch(execStart); found != nil {
		return found[1] == s.Path
	}
	return !v.Named
}

// listens reports whether the configuration names a unix socket.
func (v *Service) listens(s *Site, path string) bool {
	return slices.ContainsFunc(s.Config.Socket, func(spec string) bool {
		network, address, err := config.ParseSocket(spec)
		return err == nil && network == "unix" && address == path
	})
}
