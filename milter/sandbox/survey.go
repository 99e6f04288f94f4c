package sandbox

import (
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// maxLinks is how many links the system follows on one way (path_resolution(7)).
const maxLinks = 40

// inode tells a file or folder from all others.
type inode struct{ dev, ino uint64 }

// entry is what stands at a path that has no links before its last name.
type entry struct {
	inode
	there, folder bool
	link          string // where it leads
}

// survey looks at files, at each once.
type survey struct {
	seen  map[string]entry
	plain string // a folder without links on its way
}

func newSurvey() *survey { return &survey{seen: map[string]entry{}} }

func (s *survey) look(path string) entry {
	e, ok := s.seen[path]
	if ok {
		return e
	}
	var st unix.Stat_t
	if unix.Lstat(path, &st) == nil {
		e = entry{inode: inode{uint64(st.Dev), st.Ino}, there: true}
		switch uint32(st.Mode) & unix.S_IFMT {
		case unix.S_IFDIR:
			e.folder = true
		case unix.S_IFLNK:
			e.link, _ = os.Readlink(path) // one that is gone meanwhile leads nowhere
		}
	}
	s.seen[path] = e
	return e
}

// follow goes the way to path. real is the last thing
// on it that is there, without links; whole says that it is path itself. switches
// are the folders of links on the way that lead to what is below the same folder:
// who makes such a link lead elsewhere, as Kubernetes does, stays in it.
func (s *survey) follow(path string) (real string, whole bool, switches []string) {
	if !filepath.IsAbs(path) {
		if folder, err := os.Getwd(); err == nil {
			path = folder + "/" + path
		}
	}
	real, rest, links := "/", path, 0
	for rest != "" {
		var name string
		name, rest, _ = strings.Cut(strings.TrimLeft(rest, "/"), "/")
		switch name {
		case "", ".":
			continue
		case "..":
			real = parent(real)
			continue
		}
		here := filepath.Join(real, name)
		switch e := s.look(here); {
		case !e.there:
			return real, false, switches
		case e.link != "":
			if links++; links > maxLinks {
				return real, false, switches
			}
			if filepath.IsLocal(e.link) {
				switches = append(switches, real)
			} else if strings.HasPrefix(e.link, "/") {
				real = "/"
			}
			rest = e.link + "/" + rest
		case e.folder:
			real = here
		default:
			return here, strings.Trim(rest, "/") == "", switches
		}
	}
	return real, true, switches
}

// parent is the folder of a path, "/" of itself.
func parent(path string) string { return filepath.Dir(path) }

// covered reports whether a file is in a folder, or in a folder of such a folder,
// that has no links on its way and of which granted is true, and is no link itself;
// or would be there. It is a short cut for a hundred thousand files, and remembers
// none of them.
func (s *survey) covered(path string, granted func(folder string) bool) bool {
	folder := parent(path)
	above := parent(folder)
	switch {
	case s.isPlain(above) && granted(above):
		there, ok := isA(unix.S_IFDIR, folder)
		if there && ok {
			_, ok = isA(unix.S_IFREG, path)
		}
		return ok
	case s.isPlain(folder) && granted(folder):
		_, ok := isA(unix.S_IFREG, path)
		return ok
	}
	return false
}

// isPlain reports whether a path leads to a folder without links. Of folders that
// do, the last is remembered: files mostly come as they lie.
func (s *survey) isPlain(folder string) bool {
	if folder == s.plain {
		return true
	}
	real, whole, _ := s.follow(folder)
	if !whole || real != folder || !s.look(real).folder {
		return false
	}
	s.plain = folder
	return true
}

// isA reports whether something stands at a path; ok that it is of the kind, or
// may become so.
func isA(kind uint32, path string) (there, ok bool) {
	var st unix.Stat_t
	if err := unix.Lstat(path, &st); err != nil {
		return false, err == unix.ENOENT
	}
	return true, uint32(st.Mode)&unix.S_IFMT == kind
}
