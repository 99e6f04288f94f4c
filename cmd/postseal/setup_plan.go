package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/postseal/postseal/config"
	"github.com/postseal/postseal/config/setup"
	"github.com/postseal/postseal/milter"
	"golang.org/x/sys/unix"
)

// noPostfix is --postfix for a machine, or a run, without one.
const noPostfix = "none"

// makePlan plans everything; nothing is changed. begun are the changes of a run of the
// same that came to no end.
func (s *setUp) makePlan(begun []setup.Change) error {
	ctx := s.cmd.Context()
	s.plan.Begun = begun
	var err error
	if s.postfix != noPostfix {
		if s.mta, err = setup.FindMTA(ctx, s.system, s.postfix); err != nil {
			return exitError{exitFailed, err}
		}
	}
	if s.unwire {
		return s.planUnwire(ctx)
	}
	if err := s.findSite(); err != nil {
		return err
	}
	if err := s.findService(ctx); err != nil {
		return err
	}
	s.planAccount()
	if s.site.New {
		if err := s.plan.AddFiles(s.site); err != nil {
			return exitError{exitFailed, err}
		}
	}
	s.service.Before(&s.plan, s.site)
	if err := s.planDomains(begun); err != nil {
		return err
	}
	return s.planMachine(ctx)
}

// planDomains plans keys and rows.
func (s *setUp) planDomains(begun []setup.Change) error {
	s.records = newRecordBook(s)
	if len(s.names) == 0 {
		return nil
	}
	s.request = &setup.Request{Site: s.site, Domains: s.names, Selector: s.selector, Taken: s.records.taken, Begun: begun, SignLater: s.wait && !s.dryRun}
	if s.many() && s.records.down == nil {
		s.request.Taken = s.takenMany()
	}
	domains, err := s.request.Plan(&s.plan)
	if err != nil {
		return exitError{exitConfig, errorIn{fmt.Errorf("%w\n%s", err, s.byHand()), s.form()}}
	}
	s.domains = domains
	return nil
}

// byHand says how the domains get rows that setup cannot add.
func (s *setUp) byHand() string {
	var b strings.Builder
	fmt.Fprint(&b, "by hand, with tables that the configuration names:")
	for i, d := range s.names {
		if i == mostShown {
			fmt.Fprintf(&b, "\nand so on for %d more domains", len(s.names)-i)
			break
		}
		file := filepath.Join(filepath.Dir(s.config), "keys", d, s.selector+"r.private")
		name := s.selector + "r._domainkey." + d
		fmt.Fprintf(&b, "\nmkdir -p -m 700 %s && postseal genkey -d %s -s %sr -o %s\nrow of key_table: %s %s:%sr:%s\nrow of signing_table: *@%s %s",
			filepath.Dir(file), d, s.selector, file, name, d, s.selector, file, d, name)
	}
	return b.String()
}

// planMachine plans the socket, the service and Postfix.
func (s *setUp) planMachine(ctx context.Context) error {
	if s.mta != nil {
		if err := s.mta.Reach(ctx, s.system, &s.plan, s.site); err != nil {
			return exitError{exitFailed, err}
		}
	}
	advice := func(text string, err error) error {
		if text != "" {
			s.shown.Advice = append(s.shown.Advice, text)
		}
		if err != nil {
			return exitError{exitFailed, errorIn{err, s.form()}}
		}
		return nil
	}
	if !s.noService {
		if err := advice(s.service.Plan(ctx, s.system, &s.plan, s.site)); err != nil {
			return err
		}
	}
	if s.mta != nil {
		return advice(s.mta.Wire(ctx, &s.plan, s.site))
	}
	if s.postfix != noPostfix {
		return advice("there is no Postfix on this machine; once there is, run this again", nil)
	}
	return nil
}

// planUnwire plans to take the milter out of Postfix.
func (s *setUp) planUnwire(ctx context.Context) error {
	if s.mta == nil {
		return exitError{exitFailed, errors.New("there is no Postfix on this machine")}
	}
	s.site = &setup.Site{Path: s.config, Config: config.Default()}
	if exists(s.config) {
		cfg, err := loadConfig(s.cmd, s.config)
		if err != nil {
			return err
		}
		s.site.Config, s.site.OpenDKIM = cfg, formOf(s.config).opendkim
	}
	text, err := s.mta.Unwire(ctx, &s.plan, s.site)
	if err != nil {
		return exitError{exitFailed, errorIn{err, s.form()}}
	}
	if text != "" {
		s.shown.Advice = append(s.shown.Advice, text)
	}
	return nil
}

// findSite finds the configuration, or what is to be made.
func (s *setUp) findSite() error {
	if !exists(s.config) {
		if !s.cmd.Flags().Changed("config") && s.openDKIMSigns() {
			return exitError{exitConfig, fmt.Errorf("OpenDKIM's configuration is there, and its domains would not be signed any more\npostseal import %s -o %s   makes a postseal.toml of it: then run this again\n-c %s   adds the domain to it as it is\n-c %s   begins anew",
				openDKIMPath, configPath, openDKIMPath, configPath)}
		}
		site, err := setup.NewSite(s.config, setup.SocketFor(s.mta), setup.Owner{})
		if err != nil {
			return exitError{exitFailed, err}
		}
		s.site = site
		for _, a := range interfaceAddresses() {
			if s.mta != nil && a.IsGlobalUnicast() && s.mta.Relays(a) {
				site.Hosts = append(site.Hosts, a)
			}
		}
	} else {
		cfg, err := loadConfig(s.cmd, s.config)
		if err != nil {
			return err
		}
		s.site = &setup.Site{Path: s.config, Config: cfg, OpenDKIM: formOf(s.config).opendkim}
	}
	if s.site.Config.RuntimeDirectory == "" {
		s.site.Config.RuntimeDirectory = config.RuntimeDirectory()
	}
	return s.findOwner()
}

// openDKIMSigns reports whether OpenDKIM's configuration is there and has mail signed, or
// may have.
func (s *setUp) openDKIMSigns() bool {
	if !exists(openDKIMPath) {
		return false
	}
	cfg, err := loadConfig(s.cmd, openDKIMPath)
	return err != nil || cfg.SigningTable.IsSet() || cfg.Domain.IsSet()
}

// form is how the configuration is written.
func (s *setUp) form() form { return form{opendkim: s.site != nil && s.site.OpenDKIM} }

// forOneself reports whether somebody who is not root works in a folder of their own: they
// run the daemon, too.
func (s *setUp) forOneself() bool {
	return os.Geteuid() != 0 && unix.Access(filepath.Dir(s.config), unix.W_OK) == nil
}

// findOwner finds whom the daemon runs as.
func (s *setUp) findOwner() error {
	if s.forOneself() {
		return nil
	}
	name, group, _ := strings.Cut(s.site.Config.UserID, ":")
	if s.user != "" {
		name, group = s.user, ""
	}
	if name == "" {
		name = daemonUser(s.cmd, s.site.Config.RuntimeDirectory)
	}
	if name == "" {
		name = packagedUser
	}
	s.site.Owner = setup.Owner{User: name, Group: group}
	u, err := user.Lookup(name)
	switch {
	case err != nil && name != packagedUser:
		return exitError{exitConfig, errorIn{fmt.Errorf("the user %s of user_id is not there; make it: useradd --system %s", name, name), s.form()}}
	case err != nil && group == "":
		s.site.Owner.Group = name
	case err == nil && group == "":
		g, err := user.LookupGroupId(u.Gid)
		if err != nil {
			return exitError{exitFailed, err}
		}
		s.site.Owner.Group = g.Name
	}
	return nil
}

// packagedAccount is what a package of ours has its user by: one that comes later goes on
// with the user that is there.
const packagedAccount = "/usr/lib/sysusers.d/postseal.conf"

// planAccount plans the daemon's user, where it is missing.
func (s *setUp) planAccount() {
	name := s.site.Owner.User
	if name == "" {
		return
	}
	if _, err := user.Lookup(name); err == nil {
		return
	}
	_, err := user.LookupGroup(name)
	a := &setup.Account{Name: name, NewGroup: err != nil, Folders: []string{filepath.Join(filepath.Dir(s.config), "keys"), packagedAccount}}
	if s.mta != nil {
		a.Folders = append(a.Folders, filepath.Join(s.mta.Queue(), "postseal"))
	}
	s.plan.Add(a)
}

// findService finds out how the daemon runs.
func (s *setUp) findService(ctx context.Context) error {
	program, err := os.Executable()
	if err != nil {
		return exitError{exitFailed, err}
	}
	s.service = &setup.Service{Program: program, Named: s.config != configPath}
	if s.noService {
		return nil
	}
	_, err = os.Stat("/run/systemd/system") // as sd_booted(3) has it
	s.service.Systemd = err == nil && !s.forOneself()
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	_, err = milter.Control{Dir: s.site.Config.RuntimeDirectory}.Status(ctx)
	s.service.Running = err == nil
	if s.service.Running || s.site.New {
		return nil
	}
	return s.strangers(ctx)
}

// strangers refuses to go on where another program answers at the daemon's sockets. A
// socket that systemd holds is ours, and is not asked: that would start the daemon.
func (s *setUp) strangers(ctx context.Context) error {
	if s.service.Systemd {
		if _, err := s.system.Run(ctx, "systemctl", "--quiet", "is-active", "postseal.socket"); err == nil {
			return nil
		}
	}
	for _, spec := range s.site.Config.Socket {
		network, address, err := config.ParseSocket(spec)
		if err != nil {
			continue
		}
		var d net.Dialer
		c, err := d.DialContext(ctx, network, address)
		if err != nil {
			continue
		}
		_ = c.Close()
		return exitError{exitFailed, fmt.Errorf("another program answers at %s, OpenDKIM perhaps; nothing was changed\nstop it first, for instance: systemctl disable --now opendkim\nor run this with --no-service", spec)}
	}
	return nil
}

// programFolders are where programs for administrators are that a user's PATH lacks.
var programFolders = []string{"/usr/sbin", "/sbin"}

// runProgram runs a program apart from the keyboard's signals, and returns its output.
func runProgram(ctx context.Context, argv ...string) (string, error) {
	name := argv[0]
	path, err := exec.LookPath(name)
	for _, dir := range programFolders {
		if err == nil {
			break
		}
		path, err = exec.LookPath(filepath.Join(dir, name))
	}
	if err != nil {
		return "", fmt.Errorf("%s: %w", name, setup.ErrNoProgram)
	}
	cmd := exec.CommandContext(ctx, path, argv[1:]...)
	cmd.Env = append(os.Environ(), "LC_ALL=C")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	out, err := cmd.CombinedOutput()
	text := strings.TrimSpace(string(out))
	if err != nil {
		if text != "" {
			err = errors.New(lastWords(text))
		}
		return text, fmt.Errorf("%s failed: %w", strings.Join(argv, " "), err)
	}
	return text, nil
}

// lastWords are the last lines that a program has printed.
func lastWords(text string) string {
	lines := strings.Split(text, "\n")
	lines = lines[max(0, len(lines)-3):]
	for i := range lines {
		lines[i] = printable(strings.TrimSpace(lines[i]))
	}
	return strings.Join(lines, "; ")
}
