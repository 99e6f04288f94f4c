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

	"github.com/postseal/postseal/keys"
	"github.com/spf13/cobra"
)

// packagedUser is the user that the documentation has the daemon run as.
const packagedUser = "postseal"

// addUser adds --user.
func addUser(cmd *cobra.Command, name *string) {
	cmd.Flags().StringVar(name, "user", "", "for root: read and judge keys as this `user` (default: the daemon's)")
}

// identity is a user with what a process of theirs has.
type identity struct {
	name     string
	uid, gid int
	groups   []int
}

// lookUpUser finds who is meant by "user" or "user:group", each a name or a
// number.
func lookUpUser(id string) (*identity, error) {
	name, groupName, hasGroup := strings.Cut(id, ":")
	u, err := user.Lookup(name)
	if err != nil {
		if u, err = user.LookupId(name); err != nil {
			return nil, fmt.Errorf("there is no such user: %q", name)
		}
	}
	i := &identity{name: u.Username}
	if i.uid, err = strconv.Atoi(u.Uid); err != nil {
		return nil, err
	}
	if i.gid, err = strconv.Atoi(u.Gid); err != nil {
		return nil, err
	}
	if hasGroup {
		g, err := user.LookupGroup(groupName)
		if err != nil {
			if g, err = user.LookupGroupId(groupName); err != nil {
				return nil, fmt.Errorf("there is no such group: %q", groupName)
			}
		}
		if i.gid, err = strconv.Atoi(g.Gid); err != nil {
			return nil, err
		}
	}
	names, err := u.GroupIds()
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		gid, err := strconv.Atoi(name)
		if err != nil {
			return nil, err
		}
		i.groups = append(i.groups, gid)
	}
	return i, nil
}

// mine reports whether the process runs as the user already.
func (i *identity) mine() bool { return i.uid == os.Geteuid() }

// become gives the process the groups and the identity of the user, for good.
func (i *identity) become() error {
	if i.mine() {
		return nil
	}
	if err := errors.Join(syscall.Setgroups(i.groups), syscall.Setgid(i.gid), syscall.Setuid(i.uid)); err != nil {
		return exitError{exitFailed, fmt.Errorf("cannot become the user %s: %w", i.name, err)}
	}
	return nil
}

// namedUser is the user of --user, nil without it.
func namedUser(cmd *cobra.Command, name string) (*identity, error) {
	if name == "" {
		return nil, nil
	}
	i, err := lookUpUser(name)
	switch {
	case err != nil:
		return nil, usage(cmd, "--user %s: %w", name, err)
	case os.Geteuid() != 0 && !i.mine():
		return nil, usage(cmd, "--user %s: only root can become another user", name)
	}
	return i, nil
}

// daemonUser is whom a daemon runs as whose configuration does not say so: the
// owner of its control socket or, for the configuration in its usual place, the
// packaged user; nil if neither is there.
func daemonUser(cmd *cobra.Command, runtimeDirectory string) *identity {
	if info, err := os.Stat(filepath.Join(runtimeDirectory, "control.sock")); err == nil {
		if st, ok := info.Sys().(*syscall.Stat_t); ok {
			if i, err := lookUpUser(strconv.Itoa(int(st.Uid))); err == nil {
				return i
			}
		}
	}
	if cmd.Flags().Changed("config") {
		return nil
	}
	i, err := lookUpUser(packagedUser)
	if err != nil {
		return nil
	}
	return i
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
