package main

import (
	"errors"
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"

	"github.com/postseal/postseal/config"
	"github.com/postseal/postseal/keys"
	"github.com/spf13/cobra"
)

// packagedUser is the user that the documentation has the daemon run as.
const packagedUser = "postseal"

// addUser adds --user.
func addUser(cmd *cobra.Command, name *string) {
	cmd.Flags().StringVar(name, "user", "", "for root: read and judge keys as this `user` (default: the daemon's)")
}

// become turns root into the user that the daemon runs as, for good: whether a
// key can be read and whether it is safe depends on who reads it. It returns
// the user's name, "" where the process stays who it is.
func become(cmd *cobra.Command, path, name string) (string, error) {
	u := (*user.User)(nil)
	switch me := os.Geteuid(); {
	case name != "":
		var err error
		if u, err = user.Lookup(name); err != nil {
			return "", usage(cmd, "--user %s: there is no such user", name)
		}
		if me != 0 && u.Uid != strconv.Itoa(me) {
			return "", usage(cmd, "--user %s: only root can become another user", name)
		}
	case me == 0:
		u = daemonUser(cmd, path)
	}
	if u == nil || u.Uid == strconv.Itoa(os.Geteuid()) {
		return "", nil
	}
	if err := change(u); err != nil {
		return "", exitError{exitFailed, fmt.Errorf("cannot become the user %s: %w", u.Username, err)}
	}
	return u.Username, nil
}

// daemonUser is whom the daemon runs as: the owner of its control socket or,
// for the configuration in its usual place, the packaged user; nil if neither
// is there.
func daemonUser(cmd *cobra.Command, path string) *user.User {
	dir, err := config.FindRuntimeDirectory(path)
	if err != nil {
		dir = config.RuntimeDirectory()
	}
	if info, err := os.Stat(filepath.Join(dir, "control.sock")); err == nil {
		if st, ok := info.Sys().(*syscall.Stat_t); ok {
			if u, err := user.LookupId(strconv.Itoa(int(st.Uid))); err == nil {
				return u
			}
		}
	}
	if cmd.Flags().Changed("config") {
		return nil
	}
	u, err := user.Lookup(packagedUser)
	if err != nil {
		return nil
	}
	return u
}

// change gives the process the groups and the identity of a user.
func change(u *user.User) error {
	names, err := u.GroupIds()
	if err != nil {
		return err
	}
	groups := make([]int, len(names))
	for i, name := range names {
		if groups[i], err = strconv.Atoi(name); err != nil {
			return err
		}
	}
	uid, err1 := strconv.Atoi(u.Uid)
	gid, err2 := strconv.Atoi(u.Gid)
	if err := errors.Join(err1, err2); err != nil {
		return err
	}
	if err := syscall.Setgroups(groups); err != nil {
		return err
	}
	if err := syscall.Setgid(gid); err != nil {
		return err
	}
	return syscall.Setuid(uid)
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
