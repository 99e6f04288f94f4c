//go:build !386 && !arm

package postfix

import (
	"net"
	"os"
	"runtime"
	"syscall"
	"time"
	"unsafe"
)

// dialAs connects to a unix socket as a process of Postfix would: with root as its root
// folder, as who. It takes root. A thread of its own becomes that process, and ends with
// the call.
func dialAs(root, path string, who identity) (net.Conn, error) {
	type answer struct {
		conn net.Conn
		err  error
	}
	done := make(chan answer)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		file, err := connectAs(root, path, who)
		if err != nil {
			done <- answer{nil, err}
			return
		}
		conn, err := net.FileConn(file)
		file.Close()
		done <- answer{conn, err}
	}()
	a := <-done
	return a.conn, a.err
}

// connectAs changes the calling thread alone, by the bare system calls: those of package
// syscall change all threads.
func connectAs(root, path string, who identity) (*os.File, error) {
	fd, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, os.NewSyscallError("socket", err)
	}
	file := os.NewFile(uintptr(fd), path)
	// A listener whose queue is full has connect wait.
	wait := syscall.NsecToTimeval(int64(greetingTimeout / time.Nanosecond))
	if err = syscall.SetsockoptTimeval(fd, syscall.SOL_SOCKET, syscall.SO_SNDTIMEO, &wait); err != nil {
		file.Close()
		return nil, os.NewSyscallError("setsockopt", err)
	}
	if err := become(root, who); err != nil {
		file.Close()
		return nil, err
	}
	if err := syscall.Connect(fd, &syscall.SockaddrUnix{Name: path}); err != nil {
		file.Close()
		return nil, os.NewSyscallError("connect", err)
	}
	return file, nil
}

// become gives the calling thread a root folder, groups and a user.
func become(root string, who identity) error {
	if err := syscall.Unshare(syscall.CLONE_FS); err != nil {
		return os.NewSyscallError("unshare", err)
	}
	if err := syscall.Chroot(root); err != nil {
		return os.NewSyscallError("chroot", err)
	}
	if err := syscall.Chdir("/"); err != nil {
		return os.NewSyscallError("chdir", err)
	}
	groups := make([]uint32, 0, len(who.groups)+1)
	for _, g := range who.groups {
		groups = append(groups, uint32(g))
	}
	groups = append(groups, uint32(who.gid))
	if _, _, e := syscall.RawSyscall(syscall.SYS_SETGROUPS, uintptr(len(groups)), uintptr(unsafe.Pointer(&groups[0])), 0); e != 0 {
		return os.NewSyscallError("setgroups", e)
	}
	gid, uid := uintptr(who.gid), uintptr(who.uid)
	if _, _, e := syscall.RawSyscall(syscall.SYS_SETRESGID, gid, gid, gid); e != 0 {
		return os.NewSyscallError("setresgid", e)
	}
	if _, _, e := syscall.RawSyscall(syscall.SYS_SETRESUID, uid, uid, uid); e != 0 {
		return os.NewSyscallError("setresuid", e)
	}
	return nil
}
