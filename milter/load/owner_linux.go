package load

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

// Owner is the process that listens on a milter's socket: by the credentials of
// the unix socket, or by /proc for one of TCP on this machine, where it must be
// of the same user or the caller root.
func Owner(socket string) (pid int, err error) {
	network, address, err := Address(socket)
	if err != nil {
		return 0, err
	}
	if network == "unix" {
		return unixOwner(address)
	}
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		return 0, err
	}
	n, err := strconv.Atoi(port)
	if err != nil {
		return 0, err
	}
	return tcpOwner("/proc", n)
}

// unixOwner is the process that called listen(2).
func unixOwner(path string) (pid int, err error) {
	c, err := net.Dial("unix", path)
	if err != nil {
		return 0, err
	}
	defer c.Close()
	raw, err := c.(*net.UnixConn).SyscallConn()
	if err != nil {
		return 0, err
	}
	var ucred *syscall.Ucred
	var got error
	err = raw.Control(func(fd uintptr) {
		ucred, got = syscall.GetsockoptUcred(int(fd), syscall.SOL_SOCKET, syscall.SO_PEERCRED)
	})
	switch {
	case err != nil || got != nil:
		return 0, errors.Join(err, got)
	case ucred.Pid <= 1:
		return 0, fmt.Errorf("%s was opened by process %d and handed on", path, ucred.Pid)
	}
	return int(ucred.Pid), nil
}

// tcpOwner is the process that has the listening socket of a port. Of several
// that share it, it is the one that the others descend from.
func tcpOwner(proc string, port int) (pid int, err error) {
	var inodes []string
	for _, table := range []string{"tcp", "tcp6"} {
		text, err := os.ReadFile(filepath.Join(proc, "net", table))
		if err != nil && !errors.Is(err, fs.ErrNotExist) { // a machine need not have IPv6
			return 0, err
		}
		inodes = append(inodes, listening(string(text), port)...)
	}
	if len(inodes) == 0 {
		return 0, fmt.Errorf("nobody listens on port %d here", port)
	}
	descriptors, err := filepath.Glob(filepath.Join(proc, "[0-9]*", "fd", "*"))
	if err != nil {
		return 0, err
	}
	var holders []int
	for _, fd := range descriptors {
		link, err := os.Readlink(fd)
		if err != nil || !slices.Contains(inodes, link) {
			continue // closed meanwhile, or not ours to look at
		}
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(filepath.Dir(fd))))
		if err == nil && !slices.Contains(holders, pid) {
			holders = append(holders, pid)
		}
	}
	p := Process{proc: proc}
	for _, pid := range holders {
		if s, err := p.stat(pid); err == nil && !slices.Contains(holders, s.parent) {
			return pid, nil
		}
	}
	return 0, fmt.Errorf("the process that listens on port %d is of another user", port)
}

// listening are the sockets of proc_net_tcp(5) that listen on a port, as links
// in /proc/PID/fd name them.
func listening(table string, port int) (links []string) {
	const listen, state, inode = "0A", 3, 9
	suffix := fmt.Sprintf(":%04X", port)
	for line := range strings.Lines(table) {
		f := strings.Fields(line)
		if len(f) > inode && f[state] == listen && strings.HasSuffix(f[1], suffix) {
			links = append(links, "socket:["+f[inode]+"]")
		}
	}
	return links
}
