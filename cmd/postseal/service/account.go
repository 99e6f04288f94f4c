package service

import (
	"errors"
	"fmt"
	"os"
	"os/user"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/postseal/postseal/config/opendkim"
)

// account is whom the daemon runs as.
type account struct {
	uid, gid int
	groups   []int
}

// findAccount looks up "user" or "user:group", each a name or a number; "" is
// who we are.
func findAccount(userID string) (account, error) {
	if userID == "" {
		return account{uid: os.Geteuid(), gid: os.Getegid()}, nil
	}
	name, group, hasGroup := strings.Cut(userID, ":")
	u, err := lookUpUser(name)
	if err != nil {
		return account{}, err
	}
	var a account
	var err1, err2 error
	a.uid, err1 = strconv.Atoi(u.Uid)
	a.gid, err2 = strconv.Atoi(u.Gid)
	if err := errors.Join(err1, err2); err != nil {
		return account{}, fmt.Errorf("user %s: %w", name, err)
	}
	own := a.gid
	if hasGroup {
		if a.gid, err = lookUpGroup(group); err != nil {
			return account{}, err
		}
	}
	ids, err := u.GroupIds()
	if err != nil {
		return account{}, fmt.Errorf("the groups of user %s: %w", name, err)
	}
	a.groups = []int{a.gid}
	for _, id := range ids {
		// initgroups(3) with another group leaves the one of passwd out.
		if n, err := strconv.Atoi(id); err == nil && n != own && n != a.gid {
			a.groups = append(a.groups, n)
		}
	}
	return a, nil
}

// FindUser is the number of the user in UserID; without one, of who we are.
func FindUser(userID string) (uid int, err error) {
	a, err := findAccount(userID)
	return a.uid, err
}

// Become gives this process the user and the groups of UserID for good, as the
// start of a daemon does. The error is an *Error.
func Become(userID string) error {
	a, err := findAccount(userID)
	if err != nil {
		return err
	}
	return a.become()
}

func lookUpUser(name string) (*user.User, error) {
	u, err := user.Lookup(name)
	if err != nil {
		if _, e := strconv.Atoi(name); e == nil {
			u, err = user.LookupId(name)
		}
	}
	if err != nil {
		return nil, &Error{ExitNoUser, fmt.Errorf("no such user '%s'", name)}
	}
	return u, nil
}

func lookUpGroup(name string) (int, error) {
	g, err := user.LookupGroup(name)
	if err != nil {
		if _, e := strconv.Atoi(name); e == nil {
			g, err = user.LookupGroupId(name)
		}
	}
	if err != nil {
		return 0, &Error{ExitNoUser, fmt.Errorf("no such group '%s'", name)}
	}
	return strconv.Atoi(g.Gid)
}

// differs reports whether the process is somebody else yet.
func (a account) differs() bool { return a.uid != os.Geteuid() }

// become gives the process, every thread of it, the account's user and groups.
// It makes sure that there is no way back.
func (a account) become() error {
	if !a.differs() {
		return nil
	}
	for _, step := range []struct {
		name string
		err  func() error
	}{
		{"initgroups", func() error { return syscall.Setgroups(a.groups) }},
		{"setgid", func() error { return syscall.Setresgid(a.gid, a.gid, a.gid) }},
		{"setuid", func() error { return syscall.Setresuid(a.uid, a.uid, a.uid) }},
	} {
		if err := step.err(); err != nil {
			text := step.name + "(): " + opendkim.SystemText(err)
			if os.Geteuid() != 0 {
				text += " (only root can become another user)"
			}
			return &Error{ExitNoPerm, errors.New(text)}
		}
	}
	return a.verify()
}

// verify checks that the process is the account's, and cannot be root again.
func (a account) verify() error {
	r, e, s := unix.Getresuid()
	rg, eg, sg := unix.Getresgid()
	groups, err := syscall.Getgroups()
	slices.Sort(groups)
	want := slices.Sorted(slices.Values(a.groups))
	switch {
	case r != a.uid || e != a.uid || s != a.uid, rg != a.gid || eg != a.gid || sg != a.gid,
		err != nil || !slices.Equal(groups, want):
		return &Error{ExitNoPerm, errors.New("privileges are not given up: the user or groups are not as set")}
	case syscall.Setresuid(-1, 0, -1) == nil:
		return &Error{ExitNoPerm, errors.New("privileges are not given up: root can come back")}
	}
	return nil
}
