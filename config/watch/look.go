package watch

import (
	"slices"
	"syscall"
)

// Look is what files were like at a moment.
type Look struct{ files state }

// LookAt looks at files without watching them. A path need not exist.
func LookAt(paths []string) Look {
	s, files := newScan(), make(state, len(paths))
	for _, p := range paths {
		files[p] = s.follow(p)
	}
	return Look{files}
}

// Same reports whether the files are as they were: they themselves, and each link
// and the rights of each folder on the way to them. A file that this process cannot
// get to any more, since it gave up rights, has not changed.
func (l Look) Same() bool {
	s := newScan()
	for p, then := range l.files {
		now := s.follow(p)
		if hidden := len(now) > 0 && now[len(now)-1].id.err == syscall.EACCES; !hidden && !slices.Equal(then, now) {
			return false
		}
	}
	return true
}
