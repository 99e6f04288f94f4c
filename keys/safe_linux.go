package keys

import "golang.org/x/sys/unix"

// readOnly reports whether the mount that path lies on is read-only for us. One
// that cannot be asked is not.
func readOnly(path string) bool {
	var fs unix.Statfs_t
	return unix.Statfs(path, &fs) == nil && fs.Flags&unix.ST_RDONLY != 0
}
