//go:build !386 && !arm

package postfix

import (
	"cmp"
	"fmt"
	"net"
	"os"
	"runtime"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// dialAs connects to a unix socket as a process of Postfix would: with root as its root
// folder, as who. It takes root. The path has no symbolic links. The error is
// [errRights] where this process may not do so.
//
// One thread has Postfix's rights to files for that moment, and its own again when the
// call ends: a thread that were left with others, be it on its way out, would end the
// process when this becomes another user (setxid(7) wants all threads to agree).
func dialAs(root, path string, who identity) (net.Conn, error) {
	if root != "/" {
		folder, err := os.OpenFile(root, unix.O_PATH|unix.O_DIRECTORY, 0)
		if err != nil {
			return nil, err
		}
		defer folder.Close()
		// What lies above the root folder does not matter to whom it is the root.
		inside := fmt.Sprintf("/proc/self/fd/%d", folder.Fd())
		if _, err := os.Stat(inside); err != nil {
			return nil, fmt.Errorf("%w: %w", errRights, err)
		}
		path = inside + path
	}
	fd, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, os.NewSyscallError("socket", err)
	}
	file := os.NewFile(uintptr(fd), path)
	defer file.Close()
	// A listener whose queue is full has connect wait.
	wait := syscall.NsecToTimeval(int64(greetingTimeout / time.Nanosecond))
	if err = syscall.SetsockoptTimeval(fd, syscall.SOL_SOCKET, syscall.SO_SNDTIMEO, &wait); err != nil {
		return nil, os.NewSyscallError("setsockopt", err)
	}
	var refused error
	if err := withRightsOf(who, func() {
		refused = os.NewSyscallError("connect", syscall.Connect(fd, &syscall.SockaddrUnix{Name: path}))
	}); err != nil {
		return nil, fmt.Errorf("%w: %w", errRights, err)
	}
	if refused != nil {
		return nil, refused
	}
	return net.FileConn(file)
}

// withRightsOf calls do with the rights to files that who has, which are those of the
// calling thread alone, by the bare system calls: those of package syscall change all
// threads. The error says that it could not get them, or its own back.
func withRightsOf(who identity, do func()) (err error) {
	runtime.LockOSThread()
	own, err := syscall.Getgroups()
	if err != nil {
		runtime.UnlockOSThread()
		return os.NewSyscallError("getgroups", err)
	}
	defer func() {
		back := cmp.Or(setFileUser(syscall.SYS_SETFSUID, os.Geteuid()), setFileUser(syscall.SYS_SETFSGID, os.Getegid()), setGroups(own))
		if back != nil {
			err = back // the thread stays ours, and is used for nothing else
			return
		}
		runtime.UnlockOSThread()
	}()
	if err := setGroups(who.groups); err != nil {
		return err
	}
	if err := setFileUser(syscall.SYS_SETFSGID, who.gid); err != nil {
		return err
	}
	if err := setFileUser(syscall.SYS_SETFSUID, who.uid); err != nil { // and with it no capability over files
		return err
	}
	do()
	return nil
}

func setGroups(groups []int) error {
	list := make([]uint32, len(groups)+1) // one more, so that there is a first
	for i, g := range groups {
		list[i] = uint32(g)
	}
	if _, _, e := syscall.RawSyscall(syscall.SYS_SETGROUPS, uintptr(len(groups)), uintptr(unsafe.Pointer(&list[0])), 0); e != 0 {
		return os.NewSyscallError("setgroups", e)
	}
	return nil
}

// setFileUser is setfsuid or setfsgid. They tell of no error: a user namespace may not
// have the id, a sandbox not the call.
func setFileUser(call uintptr, id int) error {
	const query = ^uintptr(0) // changes nothing
	_, _, _ = syscall.RawSyscall(call, uintptr(id), 0, 0)
	if now, _, _ := syscall.RawSyscall(call, query, 0, 0); int(now) != id {
		return fmt.Errorf("becoming user or group %d: %w", id, syscall.EPERM)
	}
	return nil
}
