package milter

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"

	"github.com/postseal/postseal/config"
)

// Listen opens a socket in the configuration's notation (inet:PORT@HOST,
// local:PATH, …). A unix socket gets mode and group; one that an earlier daemon
// left behind is replaced, unless somebody still answers on it.
func Listen(socket string, mode fs.FileMode, group string) (net.Listener, error) {
	network, addr, err := config.ParseSocket(socket)
	if err != nil {
		return nil, err
	}
	if network != "unix" {
		l, err := net.Listen(network, addr)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", socket, listenError(err))
		}
		return prompted(l), nil
	}
	if err := removeStale(addr); err != nil {
		return nil, fmt.Errorf("%s: %w", socket, err)
	}
	gid := -1
	if group != "" {
		if gid, err = groupID(group); err != nil {
			return nil, fmt.Errorf("%s: socket_group: %w", socket, err)
		}
	}
	l, err := listenUnix(addr, mode, gid)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", socket, err)
	}
	return l, nil
}

// private makes unix sockets that only their owner can connect to: bind(2) gives
// the file the mode that the socket has by then. The umask would do it for all
// that this process, and each that it starts, makes at the time.
var private = net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
	var chmod error
	err := c.Control(func(fd uintptr) { chmod = syscall.Fchmod(int(fd), 0o600) })
	return errors.Join(err, chmod)
}}

// listenUnix opens a unix socket that nobody else can connect to before its
// mode and group are set.
func listenUnix(path string, mode fs.FileMode, gid int) (net.Listener, error) {
	l, err := private.Listen(context.Background(), "unix", path)
	if err != nil {
		return nil, listenError(err)
	}
	if gid >= 0 {
		if err = os.Chown(path, -1, gid); errors.Is(err, fs.ErrPermission) {
			err = errors.New("the daemon's user is not in this group and may not give the socket to it; add the user to the group (adduser USER GROUP) and start the daemon with it")
		}
	}
	if err == nil {
		err = os.Chmod(path, mode)
	}
	if err != nil {
		l.Close()
		return nil, err
	}
	return l, nil
}

// listenError says what to do about a socket that cannot be opened, in place of
// the system's words where these are known.
func listenError(err error) error {
	var op *net.OpError
	if !errors.As(err, &op) {
		return err
	}
	var dns *net.DNSError
	unix, isUnix := op.Addr.(*net.UnixAddr)
	switch {
	case errors.As(err, &dns):
		return fmt.Errorf("the host %q is not found; write its address", dns.Name)
	case errors.Is(err, syscall.EADDRINUSE):
		return errors.New("another process listens there; stop it or choose another port (ss -lntp lists them)")
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return errors.New("this machine does not have that address; ip address lists those that it has")
	case isUnix && errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("the folder %[1]s does not exist; make it for the daemon's user: install -d -o USER %[1]s", filepath.Dir(unix.Name))
	case isUnix && errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("the daemon's user may not make a socket in %s; give it a folder of its own: install -d -o USER FOLDER", filepath.Dir(unix.Name))
	case errors.Is(err, fs.ErrPermission):
		return errors.New("ports below 1024 are root's; choose a higher one, such as 8891")
	}
	return err
}

// removeStale removes a unix socket that nobody answers on.
func removeStale(path string) error {
	fi, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if fi.Mode().Type() != fs.ModeSocket {
		return fmt.Errorf("%s is there and no socket; move it away or choose another path", path)
	}
	c, err := net.Dial("unix", path)
	if err == nil {
		c.Close()
		return fmt.Errorf("another process answers on %s; stop it or choose another path: %w", path, syscall.EADDRINUSE)
	}
	if !errors.Is(err, syscall.ECONNREFUSED) {
		return fmt.Errorf("cannot tell whether somebody answers on %s: %w", path, err)
	}
	return os.Remove(path)
}

func groupID(group string) (int, error) {
	if n, err := strconv.Atoi(group); err == nil && n >= 0 {
		return n, nil
	}
	g, err := user.LookupGroup(group)
	if err != nil {
		return 0, fmt.Errorf("%w; make it with: groupadd --system %s", err, group)
	}
	return strconv.Atoi(g.Gid)
}

// prompted has connections answer at once that come by TCP.
func prompted(l net.Listener) net.Listener {
	if tcp, ok := l.(*net.TCPListener); ok {
		return tcpListener{tcp}
	}
	return l
}

// tcpListener accepts connections that answer at once.
type tcpListener struct{ *net.TCPListener }

func (l tcpListener) Accept() (net.Conn, error) {
	c, err := l.AcceptTCP()
	if err != nil {
		return nil, err
	}
	return newPromptConn(c), nil
}

// promptConn acknowledges what it reads without delay. Postfix writes a command
// in small pieces with Nagle's algorithm on: where a reply is left out, its
// second piece waits until the first is acknowledged, 40 ms if we delay that.
// The kernel falls back to delayed acknowledgement by itself, so the option is
// set again before each read.
type promptConn struct {
	*net.TCPConn
	raw syscall.RawConn
}

func newPromptConn(c *net.TCPConn) net.Conn {
	_ = c.SetNoDelay(true)
	raw, err := c.SyscallConn()
	if err != nil {
		return c
	}
	return &promptConn{c, raw}
}

func (c *promptConn) Read(p []byte) (int, error) {
	_ = c.raw.Control(acknowledgeNow)
	return c.TCPConn.Read(p)
}
