package milter

import (
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
			return nil, fmt.Errorf("%s: %w", socket, err)
		}
		return tcpListener{l.(*net.TCPListener)}, nil
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

// listenUnix opens a unix socket that nobody else can connect to before its
// mode and group are set.
func listenUnix(path string, mode fs.FileMode, gid int) (net.Listener, error) {
	old := syscall.Umask(0o177)
	l, err := net.Listen("unix", path)
	syscall.Umask(old)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w; make the folder %s, which the daemon and the MTA can enter", err, filepath.Dir(path))
	}
	if err != nil {
		return nil, err
	}
	if gid >= 0 {
		err = os.Chown(path, -1, gid)
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
