package postfix

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"

	"github.com/postseal/postseal/milter/finding"
)

// identity is a user with all of its groups.
type identity struct {
	name     string
	uid, gid int
	groups   []int
}

// account is Postfix's user, as its processes become it.
func (i *inspection) account() (identity, error) {
	u, err := user.Lookup(i.Owner())
	if err != nil {
		return identity{}, err
	}
	who := identity{name: u.Username}
	if who.uid, err = strconv.Atoi(u.Uid); err != nil {
		return identity{}, err
	}
	if who.gid, err = strconv.Atoi(u.Gid); err != nil {
		return identity{}, err
	}
	ids, err := u.GroupIds()
	for _, id := range ids {
		if n, err := strconv.Atoi(id); err == nil {
			who.groups = append(who.groups, n)
		}
	}
	return who, err
}

// errRights says that this process cannot have another user's rights.
var errRights = errors.New("no leave to act as another user")

// byModes judges a socket by what can be seen of it, for who cannot act as Postfix's user:
// the modes, and whether we ourselves get an answer.
func (i *inspection) byModes(ctx context.Context, full string) {
	if who, err := i.account(); err == nil {
		if _, blocked := blocks(full, who); blocked {
			i.denied(full, who)
			return
		}
	}
	ctx, cancel := context.WithTimeout(ctx, greetingTimeout)
	defer cancel()
	var d net.Dialer
	conn, err := d.DialContext(ctx, "unix", full)
	switch {
	case errors.Is(err, fs.ErrPermission):
		// That says nothing of Postfix.
	case err != nil:
		i.absent(full, err)
	default:
		defer conn.Close()
		i.greeted(full, greet(ctx, conn))
	}
}

// blocks finds the folder, or the socket itself, whose mode keeps a user away, the first
// on the way from the root folder.
func blocks(full string, who identity) (path string, blocked bool) {
	full = real(full)
	for at := full; ; at = filepath.Dir(at) {
		if info, err := os.Stat(at); err == nil && !allows(info, who, at == full) {
			path, blocked = at, true
		}
		if at == filepath.Dir(at) {
			return path, blocked
		}
	}
}

// allows reports whether a mode lets a user write to a socket, or pass a folder.
func allows(info fs.FileInfo, who identity, socket bool) bool {
	bit := fs.FileMode(0o1)
	if socket {
		bit = 0o2
	}
	owner, ok := info.Sys().(*syscall.Stat_t)
	switch {
	case !ok:
		return true
	case int(owner.Uid) == who.uid:
		bit <<= 6
	case int(owner.Gid) == who.gid || slices.Contains(who.groups, int(owner.Gid)):
		bit <<= 3
	}
	return info.Mode()&bit != 0
}

// denied tells of a socket that Postfix's user may not use.
func (i *inspection) denied(full string, who identity) {
	text := fmt.Sprintf("Postfix's user %s may not use the socket %s", who.name, full)
	fix := fmt.Sprintf("See what keeps it away:\nnamei -l %s", finding.Word(full))
	if at, blocked := blocks(full, who); blocked {
		if info, err := os.Stat(at); err == nil {
			text += fmt.Sprintf(": %s keeps it away (mode %04o, group %s)", at, info.Mode().Perm(), groupName(info))
			fix = i.admit(at, info, who)
		}
	}
	i.add(SocketDenied, finding.Problem, text+".",
		"Postfix cannot reach postseal: mail is deferred, or does what milter_default_action says.", fix)
}

// admit is what lets a user pass a folder, or write to a socket.
func (i *inspection) admit(at string, info fs.FileInfo, who identity) string {
	socket := info.Mode()&fs.ModeSocket != 0
	group := groupOf(info)
	inGroup := group == who.gid || slices.Contains(who.groups, group)
	switch bits := info.Mode().Perm(); {
	case socket && bits&0o020 == 0:
		return "Let socket_mode in postseal.toml be \"0660\" (SocketMode= in postseal.socket, where systemd holds it), and restart both:\nsystemctl restart postseal.socket postseal.service"
	case !socket && bits&0o010 == 0 && group > 0:
		return "chmod g+x " + finding.Word(at)
	case !inGroup && group > 0:
		return fmt.Sprintf("usermod --append --groups %s %s\n%s", finding.Word(groupName(info)), finding.Word(who.name), i.reload())
	case socket:
		return fmt.Sprintf("Let socket_group in postseal.toml be %q, and restart postseal.", cmp.Or(i.Group, who.name))
	}
	return fmt.Sprintf("Let socket in postseal.toml name a path whose folders the user %s may pass, below %s for instance, and restart postseal.", who.name, i.Queue())
}

// groupOf is the group of a file, -1 if it is not known.
func groupOf(info fs.FileInfo) int {
	if s, ok := info.Sys().(*syscall.Stat_t); ok {
		return int(s.Gid)
	}
	return -1
}

// groupName is the name of a file's group, or its number.
func groupName(info fs.FileInfo) string {
	id := strconv.Itoa(groupOf(info))
	if g, err := user.LookupGroupId(id); err == nil {
		return g.Name
	}
	return id
}
