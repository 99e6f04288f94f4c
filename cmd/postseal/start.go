package main

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"path/filepath"
	"strings"
	"syscall"
)

// startError says of each problem that kept a daemon from starting what to do,
// one a line, in place of the system's words for sockets.
func startError(err error) error {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		parts := joined.Unwrap()
		if errors.Join(parts...).Error() != err.Error() {
			return err // a sentence around two errors
		}
		lines := make([]error, len(parts))
		for i, e := range parts {
			lines[i] = startError(e)
		}
		return errors.Join(lines...)
	}
	var op *net.OpError
	if errors.As(err, &op) && op.Op == "listen" {
		return inWords(err, op, listenWords(op))
	}
	var path *fs.PathError
	if errors.As(err, &path) && path.Op == "chown" && errors.Is(path.Err, syscall.EPERM) {
		return inWords(err, path, "the daemon's user is not in this group and may not give the socket to it; add the user to the group (adduser USER GROUP) and start the daemon with it")
	}
	return err
}

// inWords replaces the text of one of the errors that err is made of.
func inWords(err, part error, words string) error {
	return errors.New(strings.Replace(err.Error(), part.Error(), words, 1))
}

func listenWords(op *net.OpError) string {
	unix, ok := op.Addr.(*net.UnixAddr)
	var dns *net.DNSError
	switch {
	case errors.As(op.Err, &dns):
		return fmt.Sprintf("the host %q is not found; write its address", dns.Name)
	case errors.Is(op.Err, syscall.EADDRINUSE):
		return "another process listens there; stop it or choose another port (ss -lntp lists them)"
	case errors.Is(op.Err, syscall.EADDRNOTAVAIL):
		return "this machine does not have that address; ip address lists those that it has"
	case ok && errors.Is(op.Err, fs.ErrNotExist):
		return fmt.Sprintf("the folder %[1]s does not exist; make it for the daemon's user: install -d -o USER %[1]s", filepath.Dir(unix.Name))
	case ok && errors.Is(op.Err, fs.ErrPermission):
		return fmt.Sprintf("the daemon's user may not make a socket in %[1]s; give it a folder of its own: install -d -o USER FOLDER", filepath.Dir(unix.Name))
	case errors.Is(op.Err, fs.ErrPermission):
		return "ports below 1024 are root's; choose a higher one, such as 8891"
	}
	return op.Err.Error()
}
