package watch

import (
	"errors"
	"maps"
	"os"
	"path"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// state is what files are like, by the paths that Set named.
type state map[string]trail

func (s state) equal(other state) bool {
	return maps.EqualFunc(s, other, func(a, b trail) bool { return slices.Equal(a, b) })
}

// trail is the way to a file as the system goes it: each folder, each link, and
// in the end the file, or the first thing that is missing.
type trail []step

// step is one name on the way, in the folder that it really stands in.
type step struct {
	path string
	id   identity
}

// identity differs whenever a file or link does; that of a folder when its
// rights do.
type identity struct {
	err          syscall.Errno
	mode         uint32
	uid, gid     uint32
	dev, ino     uint64
	size         int64
	mtime, ctime unix.Timespec
	linkedTo     string
	isFolder     bool
}

// tickOfClock is by how much the times of files may lag, with a wide margin.
const tickOfClock = 50 * time.Millisecond

// young reports whether something on the way changed so lately that it can
// change again without its times showing it.
func (t trail) young(now time.Time) bool {
	return slices.ContainsFunc(t, func(s step) bool {
		return !s.id.isFolder && s.id.err == 0 && now.Sub(time.Unix(s.id.ctime.Unix())).Abs() < tickOfClock
	})
}

// scan is one look at files. What several of them have in common is looked at
// once.
type scan struct {
	seen    map[string]identity
	folders map[string]inode // whatever was looked into, without links
	// holders are those of folders that a file or a link stands in, or would.
	holders map[string]bool
}

// inode tells one folder from another of the same path.
type inode struct{ dev, ino uint64 }

func newScan() *scan {
	return &scan{seen: map[string]identity{}, folders: map[string]inode{}, holders: map[string]bool{}}
}

// maxLinks is how many links the system follows on one way (path_resolution(7)).
const maxLinks = 40

// follow goes the way to a file.
func (s *scan) follow(file string) (t trail) {
	folder, rest, links := "/", absolute(file), 0
	s.enter(folder)
	for rest != "" {
		var name string
		name, rest, _ = strings.Cut(strings.TrimLeft(rest, "/"), "/")
		switch name {
		case "", ".":
			continue
		case "..":
			folder = path.Dir(folder)
			continue
		}
		here := path.Join(folder, name)
		id := s.look(here)
		t = append(t, step{here, id})
		if id.isFolder {
			folder = here
			s.enter(folder)
			continue
		}
		s.holders[folder] = true
		if id.mode&unix.S_IFMT != unix.S_IFLNK || id.err != 0 {
			return t // and if rest is not empty, the file is missing
		}
		if links++; links > maxLinks {
			return t
		}
		if strings.HasPrefix(id.linkedTo, "/") {
			folder = "/"
		}
		rest = id.linkedTo + "/" + rest
	}
	return t
}

// look returns the identity of what stands at a path that has no links before
// its last name.
func (s *scan) look(p string) identity {
	if id, ok := s.seen[p]; ok {
		return id
	}
	id := lstat(p)
	s.seen[p] = id
	return id
}

func (s *scan) enter(folder string) {
	if _, ok := s.folders[folder]; ok {
		return
	}
	var st unix.Stat_t
	_ = unix.Lstat(folder, &st) // one that is gone is found out by the next look
	s.folders[folder] = inode{uint64(st.Dev), st.Ino}
}

func lstat(p string) identity {
	var st unix.Stat_t
	if err := unix.Lstat(p, &st); err != nil {
		return identity{err: errno(err)}
	}
	mode := uint32(st.Mode)
	if mode&unix.S_IFMT == unix.S_IFDIR {
		return identity{isFolder: true, mode: mode, uid: st.Uid, gid: st.Gid}
	}
	id := identity{
		mode: mode, uid: st.Uid, gid: st.Gid, dev: uint64(st.Dev), ino: st.Ino, size: st.Size, mtime: st.Mtim, ctime: st.Ctim,
	}
	if mode&unix.S_IFMT == unix.S_IFLNK {
		to, err := os.Readlink(p)
		if err != nil {
			id.err = errno(err)
		}
		id.linkedTo = to
	}
	return id
}

func errno(err error) syscall.Errno {
	var number syscall.Errno
	if !errors.As(err, &number) {
		return unix.EIO
	}
	return number
}
