package folder

import (
	"errors"
	"io/fs"
	"os"
	"syscall"
)

// Lock locks the file f against others who do, also in other processes, and reports
// whether it is still the one at path: where it is replaced by a rename, who waited for
// the old one has to open the new one. It waits, or with wait false returns
// [syscall.EWOULDBLOCK] where somebody else has it. Closing f ends the lock.
func Lock(f *os.File, path string, wait bool) (current bool, err error) {
	how := syscall.LOCK_EX
	if !wait {
		how |= syscall.LOCK_NB
	}
	if err := syscall.Flock(int(f.Fd()), how); err != nil {
		return false, err
	}
	ours, err := f.Stat()
	if err != nil {
		return false, err
	}
	now, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil && os.SameFile(ours, now), err
}
