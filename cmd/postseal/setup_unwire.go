package main

import (
	"errors"
	"fmt"

	"github.com/postseal/postseal/config"
	"github.com/postseal/postseal/config/setup"
)

// printUnwire prints the commands that take postseal out of Postfix's lists of milters, for
// a machine that it leaves: packages show them. A configuration that cannot be read is no
// hindrance; the sockets of our packages are looked for.
func (s *setUp) printUnwire() error {
	mta, err := setup.FindMTA(s.cmd.Context(), s.system, s.postfix)
	switch {
	case err != nil:
		return exitError{exitFailed, err}
	case mta == nil:
		return exitError{exitFailed, errors.New("there is no Postfix on this machine")}
	}
	site := &setup.Site{Path: s.config, Config: config.Default()}
	if cfg, err := loadConfig(s.cmd, s.config); err == nil {
		site.Config = cfg
	}
	commands, err := mta.UnwireCommands(site)
	if err != nil {
		return exitError{exitFailed, err}
	}
	for _, line := range commands {
		fmt.Fprintln(s.cmd.OutOrStdout(), line)
	}
	return nil
}
