package keys

import (
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// UnsafeError says why a private key is not safe from other users.
type UnsafeError struct {
	// Path is the file or folder at fault; the key itself or one above it.
	Path string
	// Mode are its permission bits, UID and GID its owner.
	Mode     fs.FileMode
	UID, GID int
	// Reason is the fault in OpenDKIM's words.
	Reason string
	// Fix mends it: a command, or what else to do.
	Fix string

	owner, group string
}

func (e *UnsafeError) Error() string {
	return fmt.Sprintf("%s (%s has mode %04o, owner %s:%s); to mend it: %s",
		e.Brief(), e.Path, uint32(e.Mode), e.owner, e.group, e.Fix)
}

// Brief is the reason without the remedy.
func (e *UnsafeError) Brief() string { return "key data is not secure: " + e.Reason }

// CheckSafe reports, as *UnsafeError, whether users besides root and uid could
// read or replace a private key. From the root down to the file, as the path is
// without symbolic links, no folder may be writable for others (sticky or not),
// for a group that has other users, or for an owner who is neither root nor uid.
// The file must belong to root or uid and be open neither to others nor to a
// group that has other users.
//
// That is OpenDKIM's rule, less strict where nobody else can get to the key: a
// folder that only its owner can enter ends the walk, a group that is in no
// file of accounts, such as fsGroup of a container, has no other users, and what
// lies on a read-only mount is writable for nobody, whatever its mode: the folder
// of a Kubernetes secret is open to all. Who may read still counts there.
func CheckSafe(path string, uid int) error {
	_, _, err := systemWalk(uid).check(path)
	return err
}

// walk is one application of the rule, with what it asks of the system.
type walk struct {
	accounts
	uid     int
	resolve func(path string) (string, error)
	stat    func(path string, st *unix.Stat_t) error
	// readOnly reports whether path lies on a read-only mount.
	readOnly func(path string) bool
}

func systemWalk(uid int) walk {
	return walk{systemAccounts(), uid, realPath, stat, readOnly}
}

// realPath is path from the root, without symbolic links.
func realPath(path string) (string, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	return filepath.EvalSymlinks(path)
}

func stat(path string, st *unix.Stat_t) error {
	if err := unix.Stat(path, st); err != nil {
		return &fs.PathError{Op: "stat", Path: path, Err: err}
	}
	return nil
}

// check is CheckSafe; it also returns the identity of the file that it judged,
// be it safe or not.
func (w walk) check(path string) (dev, ino uint64, err error) {
	if path, err = w.resolve(path); err != nil {
		return 0, 0, err
	}
	var file unix.Stat_t
	if err := w.stat(path, &file); err != nil {
		return 0, 0, err
	}
	dev, ino = uint64(file.Dev), file.Ino
	for i := 0; i < len(path); i++ {
		if path[i] != '/' {
			continue
		}
		var st unix.Stat_t
		folder := path[:max(i, 1)]
		if err := w.stat(folder, &st); err != nil {
			return dev, ino, err
		}
		if err := w.dir(folder, &st); err != nil {
			return dev, ino, err
		}
		if st.Mode&(unix.S_IXGRP|unix.S_IXOTH) == 0 {
			return dev, ino, nil // nobody else gets past here
		}
	}
	return dev, ino, w.file(path, &file)
}

// rights is the mode of st as far as the mount lets it have effect.
func (w walk) rights(path string, st *unix.Stat_t) uint32 {
	const write = unix.S_IWUSR | unix.S_IWGRP | unix.S_IWOTH
	mode, owner := uint32(st.Mode), int(st.Uid)
	harmless := mode&(write&^unix.S_IWUSR) == 0 && (owner == 0 || owner == w.uid)
	if !harmless && w.readOnly(path) {
		mode &^= write
	}
	return mode
}

func (w walk) dir(path string, st *unix.Stat_t) error {
	q := Quote(path)
	mode := w.rights(path, st)
	switch owner := int(st.Uid); {
	case mode&unix.S_IWOTH != 0:
		fix := "chmod o-w " + q
		if st.Mode&unix.S_ISVTX != 0 {
			fix = "move the key out of " + path + ", into a folder such as /etc/dkimkeys"
		}
		return w.unsafe(path, st, path+" can be read or written by other users", fix)
	case mode&unix.S_IWGRP != 0:
		if err := w.groupOf(path, st, "chmod g-w "+q); err != nil {
			return err
		}
		fallthrough
	default:
		if mode&unix.S_IWUSR != 0 && owner != 0 && owner != w.uid {
			return w.unsafe(path, st, fmt.Sprintf("%s is writeable and owned by uid %d which is not the executing uid (%d) or the superuser", path, owner, w.uid),
				"chown root "+q)
		}
	}
	return nil
}

func (w walk) file(path string, st *unix.Stat_t) error {
	// A mode of 0600 helps only if the owner is who reads it.
	q := Quote(path)
	private, owner := "chmod 0600 "+q, int(st.Uid)
	mode := w.rights(path, st)
	if owner != w.uid {
		private = "chown " + w.userName(w.uid) + " " + q + " && " + private
	}
	if w.readOnly(path) {
		private = "set mode 0400 where the read-only mount comes from; for a secret of Kubernetes: defaultMode: 0400"
	}
	switch {
	case owner != 0 && owner != w.uid:
		return w.unsafe(path, st, fmt.Sprintf("%s is not owned by the executing uid (%d) or the superuser", path, w.uid), private)
	case mode&(unix.S_IROTH|unix.S_IWOTH) != 0:
		return w.unsafe(path, st, path+" can be read or written by other users", private)
	case mode&(unix.S_IRGRP|unix.S_IWGRP) != 0:
		return w.groupOf(path, st, private)
	}
	return nil
}

// groupOf refuses what a group may read or write if it has other users.
func (w walk) groupOf(path string, st *unix.Stat_t, fix string) error {
	group, user, member, err := w.others(int(st.Gid), w.uid)
	if err != nil {
		return fmt.Errorf("%s: who is in its group cannot be found out: %w", path, err)
	}
	if user == "" {
		return nil
	}
	if member {
		fix += ", or: gpasswd -d " + Quote(user) + " " + Quote(group)
	}
	return w.unsafe(path, st, fmt.Sprintf("%s is in group %s which has multiple users (e.g., %q)", path, group, user), fix)
}

func (w walk) unsafe(path string, st *unix.Stat_t, reason, fix string) error {
	return &UnsafeError{
		Path: path, Mode: fs.FileMode(st.Mode & 0o7777), UID: int(st.Uid), GID: int(st.Gid), Reason: reason, Fix: fix,
		owner: w.userName(int(st.Uid)), group: w.groupName(int(st.Gid)),
	}
}

// Quote makes a word safe to paste into a shell.
func Quote(s string) string {
	plain := func(r rune) bool {
		return 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || strings.ContainsRune("/._-+:@%,=", r)
	}
	if strings.IndexFunc(s, func(r rune) bool { return !plain(r) }) < 0 {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
