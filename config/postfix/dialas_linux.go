//go:build !386 && !arm

package postfix

import (
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
// folder, as who. It takes root. The path has no symbolic links.
//
// One thread has Postfix's rights to files for that moment, and its own again when the
// call ends: a thread that were left with others, be it on its way out, would end the
// process when this becomes another user (setxid(7) wants all threads to agree).
func dialAs(root, path string, who identity) (net.Conn, error) {
	folder, err := os.OpenFile(root, unix.O_PATH|unix.O_DIRECTORY, 0)
	if err != nil {
		return nil, err
	}
	defer folder.Close()
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
	// What lies above the root folder does not matter to whom it is the root.
	inside := fmt.Sprintf("/proc/self/fd/%d%s", folder.Fd(), path)
	if err := withRightsOf(who, func() error {
		return os.NewSyscallError("connect", syscall.Connect(fd, &syscall.SockaddrUnix{Name: inside}))
	}); err != nil {
		return nil, err
	}
	return net.FileConn(file)
}

// withRightsOf calls do with the rights to files that who has, which are those of the
// calling thread alone, by the bare system calls: those of package syscall change all
// threads.
func withRightsOf(who identity, do func() error) (err error) {
	runtime.LockOSThread()
	own, err := syscall.Getgroups()
	if err != nil {
		runtime.UnlockOSThread()
		return os.NewSyscallError("getgroups", err)
	}
	defer func() {
		setFileUser(syscall.SYS_SETFSUID, os.Geteuid())
		setFileUser(syscall.SYS_SETFSGID, os.Getegid())
		if e := setGroups(own); e != nil {
			err = e // the thread stays ours, and is used for nothing else
			return
		}
		runtime.UnlockOSThread()
	}()
	if err := setGroups(who.groups); err != nil {
		return err
	}
	setFileUser(syscall.SYS_SETFSGID, who.gid)
	setFileUser(syscall.SYS_SETFSUID, who.uid) // and with it no capability over files
	return do()
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

// setFileUser is setfsuid or setfsgid, which never fail for root.
func setFileUser(call uintptr, id int) { _, _, _ = syscall.RawSyscall(call, uintptr(id), 0, 0) }
