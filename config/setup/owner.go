package setup

import (
	"os"
	"os/user"
	"strconv"
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

// give makes o the owner. A link is given itself: who owns the folder may have put
// it there.
func (o Owner) give(path string) error {
	uid, gid := -1, -1
	if o.User != "" {
		u, err := user.Lookup(o.User)
		if err != nil {
			return err
		}
		if uid, err = strconv.Atoi(u.Uid); err != nil {
			return err
		}
	}
	if o.Group != "" {
		g, err := user.LookupGroup(o.Group)
		if err != nil {
			return err
		}
		if gid, err = strconv.Atoi(g.Gid); err != nil {
			return err
		}
	}
	if uid == -1 && gid == -1 {
		return nil
	}
	return os.Lchown(path, uid, gid)
}
