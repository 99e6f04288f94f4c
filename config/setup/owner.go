package setup

import (
	"os"
	"os/user"
	"strconv"
	"syscall"
)

// Owner is whom a file or folder is given to, by names that there may not be before
// the changes that come first. The zero Owner is whoever makes it.
type Owner struct {
	User  string `json:"user,omitempty"`
	Group string `json:"group,omitempty"`
}

// String is "USER:GROUP", as chown(1) takes it.
func (o Owner) String() string {
	if o.Group == "" {
		return o.User
	}
	return o.User + ":" + o.Group
}

// has reports whether o is the owner.
func (o Owner) has(path string) bool {
	uid, gid, err := o.numbers()
	if err != nil {
		return false
	}
	info, err := os.Lstat(path)
	if err != nil {
		return false
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	return ok && (uid == -1 || int(st.Uid) == uid) && (gid == -1 || int(st.Gid) == gid)
}

// numbers are those of the user and the group, -1 where nobody is named.
func (o Owner) numbers() (uid, gid int, err error) {
	uid, gid = -1, -1
	if o.User != "" {
		u, err := user.Lookup(o.User)
		if err != nil {
			return -1, -1, err
		}
		if uid, err = strconv.Atoi(u.Uid); err != nil {
			return -1, -1, err
		}
	}
	if o.Group != "" {
		g, err := user.LookupGroup(o.Group)
		if err != nil {
			return -1, -1, err
		}
		if gid, err = strconv.Atoi(g.Gid); err != nil {
			return -1, -1, err
		}
	}
	return uid, gid, nil
}
