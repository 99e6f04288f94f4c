package setup

import (
	"path/filepath"

	"github.com/postseal/postseal/deploy"
)

// Names of the units that rotate keys; nobody but a person enables them.
const (
	rotateService = "postseal-rotate.service"
	rotateTimer   = "postseal-rotate.timer"
)

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
