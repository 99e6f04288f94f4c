package main

import (
	"errors"
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"github.com/postseal/postseal/cmd/postseal/service"
	"github.com/postseal/postseal/keys"
	"github.com/spf13/cobra"
)

// packagedUser is the user that the documentation has the daemon run as.
const packagedUser = "postseal"

// addUser adds --user.
func addUser(cmd *cobra.Command, name *string) {
	cmd.Flags().StringVar(name, "user", "", "for root: read and judge keys as this `user` (default: the daemon's)")
}

// checkUser says what is wrong with --user; "" is nothing.
func checkUser(cmd *cobra.Command, name string) error {
	if name == "" {
		return nil
	}
	uid, err := service.FindUser(name)
	switch {
	case err != nil:
		return usage(cmd, "--user %s: %w", name, err)
	case os.Geteuid() != 0 && uid != os.Geteuid():
		return usage(cmd, "--user %s: only root can become another user", name)
	}
	return nil
}

// become gives the process the identity of "user" or "user:group" for good, and
// returns the user's name; "" if the process was theirs already.
func become(userID string) (name string, err error) {
	was := os.Geteuid()
	name, _, _ = strings.Cut(userID, ":")
	if err := service.Become(userID); err != nil {
		return "", exitError{exitFailed, fmt.Errorf("cannot become the user %s: %w", name, err)}
	}
	if os.Geteuid() == was {
		return "", nil
	}
	return name, nil
}

// daemonUser is whom a daemon runs as whose configuration does not say so: the
// owner of its control socket or, for the configuration in its usual place, the
// packaged user; "" if neither is there.
func daemonUser(cmd *cobra.Command, runtimeDirectory string) string {
	if info, err := os.Stat(filepath.Join(runtimeDirectory, "control.sock")); err == nil {
		if st, ok := info.Sys().(*syscall.Stat_t); ok {
			if u, err := user.LookupId(strconv.Itoa(int(st.Uid))); err == nil {
				return u.Username
			}
		}
	}
	if cmd.Flags().Changed("config") {
		return ""
	}
	if _, err := user.Lookup(packagedUser); err != nil {
		return ""
	}
	return packagedUser
}

// whoAsked says, beside problems, as whom the keys were judged where that may
// be their cause; "" if it cannot be.
func whoAsked(became string, problems ...error) string {
	if became != "" {
		return fmt.Sprintf("this was checked as the user %s, as whom the daemon runs; --user checks as another", became)
	}
	if os.Geteuid() != 0 {
		return ""
	}
	for _, err := range problems {
		var unsafe *keys.UnsafeError
		if !errors.As(err, &unsafe) || unsafe.UID == 0 {
			continue
		}
		if owner, err := user.LookupId(strconv.Itoa(unsafe.UID)); err == nil {
			return fmt.Sprintf("this was checked as root; if the daemon runs as %s, ask with --user %s", owner.Username, owner.Username)
		}
	}
	return ""
}
