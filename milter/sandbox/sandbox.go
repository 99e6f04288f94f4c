// Package sandbox keeps a process, from a moment on, to the files that it needs,
// where the kernel has Landlock (landlock(7)).
//
// A rule of Landlock is about a file or a folder with all that is below it, as it
// is at that moment: what takes its place later is another. So folders are granted
// rather than files, and who replaces a file in its folder, or a folder in the one
// above it where that is granted too, notices nothing.
//
// What many programs share, such as /etc or /var/lib, is not granted as a whole
// because a file of ours lies in it; the file alone is.
package sandbox

import (
	"errors"
	"fmt"

	"github.com/landlock-lsm/go-landlock/landlock"
	"github.com/landlock-lsm/go-landlock/landlock/syscall"
)

// ErrUnsupported is the error of a kernel that has no Landlock or has it switched
// off, and of a process that may not use it.
var ErrUnsupported = errors.New("the kernel has no Landlock, it is not switched on (lsm= of the kernel's command line), " +
	"or a filter of system calls, such as a container's, forbids it")

const (
	readFile   landlock.AccessFSSet = syscall.AccessFSReadFile
	readFolder landlock.AccessFSSet = syscall.AccessFSReadDir
	removeFile landlock.AccessFSSet = syscall.AccessFSRemoveFile

	// everything are the rights of file systems up to ABI 5. Later ones are left
	// out: the right to connect to unix sockets (ABI 9) would keep us from a log
	// daemon that was started again.
	everything landlock.AccessFSSet = 1<<16 - 1
)

// Box is what a process is kept to.
type Box struct {
	abi     int
	granted map[inode]bool // for reading
}

// Enter keeps every thread of this process, for good, to n: it reads no other
// file, writes none, runs none, and removes none but those of n.Remove and their
// neighbours. It opens no TCP port, and signals no process outside; what is open
// already stays so, and connecting is free. No program that it starts gains rights
// (PR_SET_NO_NEW_PRIVS). A program that was built with C finds its threads in /proc
// and needs it for this, one without does not. An older kernel restricts what it
// can. ErrUnsupported and any other error mean that nothing is restricted.
func Enter(n Needs) (*Box, error) {
	abi, err := syscall.LandlockGetABIVersion()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnsupported, err)
	}
	p := newPlan(n)
	box := &Box{abi: abi, granted: map[inode]bool{}}
	var rules []landlock.Rule
	for path, access := range p.grants {
		rules = append(rules, landlock.PathAccess(access, path).IgnoreIfMissing())
		if access&readFile != 0 {
			box.granted[p.look(path).inode] = true
		}
	}
	config := landlock.MustConfig(everything, landlock.AccessNetSet(syscall.AccessNetBindTCP),
		landlock.ScopedSet(syscall.ScopeAbstractUnixSocket|syscall.ScopeSignal))
	if err := config.BestEffort().Restrict(rules...); err != nil {
		return nil, fmt.Errorf("landlock: %w", err)
	}
	return box, nil
}

// String tells what keeps the process.
func (b *Box) String() string { return fmt.Sprintf("landlock, ABI %d", b.abi) }

// Outside returns those of paths that the process can not read since Enter,
// whoever it is: because of where they are, be it that links lead there, or because
// what was granted there is gone. Of a path that is not there counts where it
// would be.
func (b *Box) Outside(paths ...string) (outside []string) {
	s := newSurvey()
	inside := map[string]bool{}
	granted := func(folder string) bool { return b.allows(s, inside, folder) }
	for _, path := range paths {
		if s.covered(path, granted) {
			continue
		}
		real, _, _ := s.follow(path)
		if !b.allows(s, inside, real) {
			outside = append(outside, path)
		}
	}
	return outside
}

// allows climbs from a path without links to the root, as the kernel does. known
// are the answers for folders.
func (b *Box) allows(s *survey, known map[string]bool, real string) bool {
	if b.granted[s.look(real).inode] {
		return true
	}
	folder := parent(real)
	if folder == real {
		return false
	}
	yes, ok := known[folder]
	if !ok {
		yes = b.allows(s, known, folder)
		known[folder] = yes
	}
	return yes
}
