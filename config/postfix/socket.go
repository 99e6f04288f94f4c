package postfix

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
)

// Socket is one of our daemon's listeners, as config.ParseSocket returns it: "unix"
// and a path, or "tcp4" or "tcp6" and HOST:PORT, where no HOST means all addresses.
type Socket struct {
	Network, Address string
	// VerifyOnly: what comes in here is never signed.
	VerifyOnly bool
}

// UnreachableError says that smtpd(8) or cleanup(8) would not find a socket.
type UnreachableError struct {
	// Socket is the one that was to be wired.
	Socket Socket
	// Service is the entry of master.cf that does not see it, with Root as its root
	// folder. Both are empty where the socket is not of a kind that Postfix uses.
	Service, Root string
}

func (e *UnreachableError) Error() string {
	if e.Service == "" {
		return fmt.Sprintf("inet_protocols in main.cf leaves out the family of the socket %s: let socket in postseal.toml name an address of the other family", e.Socket.Address)
	}
	path := e.Socket.Address
	if followed := real(path); followed != path {
		path += ", which is " + followed
	}
	return fmt.Sprintf("Postfix's service %s has %s as its root folder and does not see %s: let socket in postseal.toml name a path below that folder, %q for instance, or a TCP port such as %q, and restart postseal",
		e.Service, e.Root, path, "local:"+filepath.Join(e.Root, "postseal/postseal.sock"), "inet:8891@localhost")
}

// address is how Postfix names a socket: relative to its queue_directory where it lies
// there, which holds for chrooted services and others.
func (c *Config) address(s Socket) (string, error) {
	if s.Network != "unix" {
		return c.tcpAddress(s)
	}
	if inside, ok := below(c.Queue(), s.Address); ok {
		return "unix:" + inside, nil
	}
	for i := range c.Services {
		if v := &c.Services[i]; v.Chroot && (v.Program == "smtpd" || v.Program == "cleanup") {
			return "", &UnreachableError{Socket: s, Service: v.String(), Root: c.Queue()}
		}
	}
	return "unix:" + s.Address, nil
}

// tcpAddress names a loopback address by number: a chrooted service may know no
// host names.
func (c *Config) tcpAddress(s Socket) (string, error) {
	host, port, err := net.SplitHostPort(s.Address)
	if err != nil {
		return "", fmt.Errorf("socket %q: %w", s.Address, err)
	}
	ip6 := s.Network == "tcp6"
	for _, p := range words(c.Value("inet_protocols")) {
		if p == "all" || (p == "ipv6") == ip6 {
			if addr, err := netip.ParseAddr(host); host == "" || host == "localhost" || err == nil && addr.IsUnspecified() {
				host = "127.0.0.1"
				if ip6 {
					host = "::1"
				}
			}
			return "inet:" + net.JoinHostPort(host, port), nil
		}
	}
	return "", &UnreachableError{Socket: s}
}

// below tells where path lies in folder, also once symbolic links are followed: what is
// behind one that leads out of there does not lie in it.
func below(folder, path string) (inside string, ok bool) {
	cut := func(folder, path string) (string, bool) {
		return strings.CutPrefix(path, strings.TrimSuffix(folder, "/")+"/")
	}
	root, err := filepath.EvalSymlinks(folder)
	if err != nil {
		root = filepath.Clean(folder)
	}
	_, err = os.Stat(filepath.Dir(path))
	written, asWritten := cut(filepath.Clean(folder), filepath.Clean(path))
	followed, asFollowed := cut(root, real(path))
	if asWritten && (asFollowed || err != nil) {
		return written, true
	}
	return followed, asFollowed
}

// real is a path whose folders are no symbolic links, as far as they are there.
func real(path string) string {
	if dir, err := filepath.EvalSymlinks(filepath.Dir(path)); err == nil {
		return filepath.Join(dir, filepath.Base(path))
	}
	return filepath.Clean(path)
}

// reaches reports whether a milter's address in Postfix is the socket. An absolute path
// is taken from the root folder of chrooted services and from that of others: whether
// the service sees it is another question.
func (c *Config) reaches(address string, s Socket) bool {
	kind, rest, _ := strings.Cut(address, ":")
	switch {
	case kind == "unix" || kind == "local":
		if s.Network != "unix" {
			return false
		}
		ours := real(s.Address)
		return real(filepath.Join(c.Queue(), rest)) == ours || strings.HasPrefix(rest, "/") && real(rest) == ours
	case kind == "inet":
		return s.Network != "unix" && c.sameTCP(rest, s)
	}
	return false
}

// sameTCP compares HOST:PORT, or PORT alone, with a TCP socket.
func (c *Config) sameTCP(theirs string, s Socket) bool {
	if !strings.Contains(theirs, ":") {
		theirs = "localhost:" + theirs
	}
	theirHost, theirPort, err := net.SplitHostPort(theirs)
	if err != nil {
		return false
	}
	host, port, err := net.SplitHostPort(s.Address)
	if err != nil || port != theirPort {
		return false
	}
	if strings.EqualFold(host, theirHost) {
		return true
	}
	for _, name := range []string{"localhost", "localhost.localdomain", "ip6-localhost", c.Value("myhostname")} {
		if strings.EqualFold(theirHost, name) {
			theirHost = "localhost"
		}
	}
	their, err1 := netip.ParseAddr(theirHost)
	our, err2 := netip.ParseAddr(host)
	everywhere := host == "" || err2 == nil && our.IsUnspecified()
	if err1 == nil && err2 == nil && !everywhere {
		return their == our
	}
	local := theirHost == "localhost" || err1 == nil && (their.IsLoopback() || isOwn(their))
	return local && (everywhere || host == "localhost" || err2 == nil && our.IsLoopback() && theirHost == "localhost")
}

// isOwn reports whether this machine has the address.
func isOwn(a netip.Addr) bool {
	list, err := net.InterfaceAddrs()
	if err != nil {
		return false
	}
	for _, l := range list {
		if network, ok := l.(*net.IPNet); ok {
			if ip, ok := netip.AddrFromSlice(network.IP); ok && ip.Unmap() == a.Unmap() {
				return true
			}
		}
	}
	return false
}
