package config

import (
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

// maxSocketPath is what fits into struct sockaddr_un with its final zero.
const maxSocketPath = 107

// ParseSocket reads a socket in OpenDKIM's notation: inet:PORT[@HOST],
// inet6:PORT[@HOST], local:PATH, unix:PATH or an absolute path alone. HOST is a
// name or an address, in brackets or not; without it all interfaces are meant.
//
// network and address are for net.Listen: "tcp4", "tcp6" or "unix". The error
// says what is wrong with the socket and quotes it.
func ParseSocket(s string) (network, address string, err error) {
	kind, rest, ok := strings.Cut(s, ":")
	switch {
	case strings.HasPrefix(s, "/"):
		network, rest = "unix", s
	case !ok:
		network = ""
	case strings.EqualFold(kind, "inet"):
		network = "tcp4"
	case strings.EqualFold(kind, "inet6"):
		network = "tcp6"
	case strings.EqualFold(kind, "local"), strings.EqualFold(kind, "unix"):
		network = "unix"
	}
	switch network {
	case "":
		err = errors.New("want inet:PORT@HOST, inet6:PORT@HOST, local:/PATH or unix:/PATH")
	case "unix":
		address, err = rest, checkSocketPath(rest)
	default:
		address, err = parseInet(network, rest)
	}
	if err != nil {
		return "", "", fmt.Errorf("socket %q: %w", s, err)
	}
	return network, address, nil
}

// MonitorAt is MonitorSocket with the host that it means: the loopback address where
// it names none. It is empty where there is no such socket.
func (c *Config) MonitorAt() string {
	network, address, err := ParseSocket(c.MonitorSocket)
	switch {
	case err != nil || !strings.HasPrefix(address, ":"):
		return c.MonitorSocket
	case network == "tcp6":
		return c.MonitorSocket + "@::1"
	}
	return c.MonitorSocket + "@127.0.0.1"
}

// isLoopback reports whether only processes of this machine can connect to what
// ParseSocket returned.
func isLoopback(network, address string) bool {
	if network == "unix" {
		return true
	}
	host := strings.Trim(address[:strings.LastIndexByte(address, ':')], "[]")
	addr, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && addr.IsLoopback()
}

func checkSocketPath(path string) error {
	switch {
	case !strings.HasPrefix(path, "/"):
		return errors.New("the path of a socket begins with /")
	case len(path) > maxSocketPath:
		return fmt.Errorf("the path has %d bytes; the system takes at most %d", len(path), maxSocketPath)
	case strings.ContainsRune(path, 0):
		return errors.New("the path holds a zero byte")
	case strings.HasSuffix(path, "/"):
		return errors.New("the path names a folder; add the name of the socket")
	}
	return nil
}

func parseInet(network, rest string) (string, error) {
	number, host, hasHost := strings.Cut(rest, "@")
	port, err := strconv.ParseUint(number, 10, 16)
	if err != nil || port == 0 {
		return "", fmt.Errorf("port %q: want a number from 1 to 65535", number)
	}
	number = strconv.FormatUint(port, 10)
	if !hasHost {
		return ":" + number, nil
	}
	if strings.HasPrefix(host, "[") && strings.HasSuffix(host, "]") {
		host = host[1 : len(host)-1]
	}
	if err := checkHost(network, host); err != nil {
		return "", err
	}
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	return host + ":" + number, nil
}

// checkHost wants an address of the network's family, or a name.
func checkHost(network, host string) error {
	if addr, err := netip.ParseAddr(host); err == nil {
		switch {
		case network == "tcp4" && !addr.Is4():
			return fmt.Errorf("%s is no IPv4 address; write inet6:", host)
		case network == "tcp6" && addr.Is4():
			return fmt.Errorf("%s is no IPv6 address; write inet:", host)
		}
		return nil
	}
	if host == "" {
		return errors.New("no host after @; leave the @ out to listen on all interfaces")
	}
	for _, c := range []byte(host) {
		if !isLetter(c) && !isDigit(c) && c != '-' && c != '.' && c != '_' {
			return fmt.Errorf("%q is neither an address nor the name of a host", host)
		}
	}
	return nil
}

func isLetter(c byte) bool { return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' }

func isDigit(c byte) bool { return '0' <= c && c <= '9' }
