package setup

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/postseal/postseal/config"
	"github.com/postseal/postseal/deploy"
)

// Names and place of the units. Nobody but a person enables those that rotate keys.
const (
	serviceUnit   = "postseal.service"
	socketUnit    = "postseal.socket"
	rotateService = "postseal-rotate.service"
	rotateTimer   = "postseal-rotate.timer"
	unitFolder    = "/etc/systemd/system"
)

// addUnits adds to plan the files of units, as far as there are texts for them and a run
// that was cut off has not made them. It returns their names.
func addUnits(plan *Plan, texts map[string]string, names ...string) (units []string) {
	for _, u := range names {
		text, ok := texts[u]
		if !ok {
			continue
		}
		units = append(units, u)
		if path := filepath.Join(unitFolder, u); !exists(path) {
			plan.Add(&File{Path: path, New: true, Mode: 0o644, After: []byte(text)})
		}
	}
	return units
}

// plain are the paths that a unit can have without quoting.
var plain = regexp.MustCompile(`^[A-Za-z0-9/._@+-]+$`)

// unitTexts are the units for the configuration: the package's, with the program and the
// configuration of this machine. The socket's is among them if the set-up chooses the
// socket.
func (v *Service) unitTexts(s *Site) (map[string]string, error) {
	if !plain.MatchString(v.Program) || !plain.MatchString(s.Path) {
		return nil, fmt.Errorf("a unit of systemd cannot name %q and %q; move them to places with plain names", v.Program, s.Path)
	}
	service := set(deploy.Service, "ExecStart", v.command("serve", s))
	service = set(service, "ExecReload", v.command("reload", s))
	service = set(service, "User", s.Owner.User)
	service = set(service, "Group", s.Owner.Group)
	if dir, ok := strings.CutPrefix(s.Config.RuntimeDirectory, "/run/"); ok && !strings.Contains(dir, "/") && dir != "postseal" {
		service = set(service, "RuntimeDirectory", "postseal "+dir)
	}
	texts := map[string]string{}
	var write []string
	for _, spec := range s.Config.Socket {
		network, address, err := config.ParseSocket(spec)
		if err != nil || network != "unix" || !plain.MatchString(address) {
			continue
		}
		if s.New {
			socket := set(deploy.Socket, "ListenStream", address)
			socket = set(socket, "SocketUser", s.Owner.User)
			texts[socketUnit] = set(socket, "SocketGroup", s.Owner.Group)
		}
		write = append(write, "-"+filepath.Dir(address))
	}
	if write != nil {
		service = set(service, "ReadWritePaths", strings.Join(write, " "))
	}
	if texts[socketUnit] == "" {
		service = strings.ReplaceAll(service, "Also="+socketUnit+"\n", "")
	}
	texts[serviceUnit] = service
	return texts, nil
}

// set gives the first line NAME=... of a unit another value.
func set(unit, name, value string) string {
	at := regexp.MustCompile(`(?m)^` + name + `=.*$`).FindStringIndex(unit)
	if at == nil {
		return unit
	}
	return unit[:at[0]] + name + "=" + value + unit[at[1]:]
}

// runnable wants a program that the service's user can run, in its sandbox.
func runnable(program string) error {
	advice := fmt.Errorf("the service's user cannot run %s where it is; first: install -m 755 %s /usr/local/bin/postseal, and run that", program, program)
	for _, dir := range []string{"/home/", "/root/", "/tmp/", "/var/tmp/", "/run/user/", "/dev/"} {
		if strings.HasPrefix(program, dir) {
			return advice
		}
	}
	for path := program; path != "/"; path = filepath.Dir(path) {
		info, err := os.Stat(path)
		if errors.Is(err, fs.ErrNotExist) {
			return advice
		}
		if err != nil {
			return err
		}
		if info.Mode().Perm()&0o001 == 0 {
			return advice
		}
	}
	return nil
}

// rotateTexts are the units that rotate the keys of the configuration: the package's,
// with the program and the tables' folder of this machine; nil where tables are no files.
func (v *Service) rotateTexts(s *Site) map[string]string {
	table := s.Config.KeyTable.File(s.Config.BaseDirectory)
	if table == "" || !plain.MatchString(table) {
		return nil
	}
	service := set(deploy.RotateService, "ExecStart", v.command("rotate --auto 90d", s))
	service = set(service, "ReadWritePaths", filepath.Dir(table))
	return map[string]string{rotateService: service, rotateTimer: deploy.RotateTimer}
}
