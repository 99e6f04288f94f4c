package load

import (
	"fmt"
	"net"
	"strconv"
	"strings"
)

// Address makes of a milter's socket as Postfix or OpenDKIM write it (unix:/path,
// local:/path, a bare path, inet:port@host, inet:host:port, also inet6) the
// network and address that net.Dial takes.
func Address(socket string) (network, address string, err error) {
	kind, rest, ok := strings.Cut(socket, ":")
	switch {
	case strings.HasPrefix(socket, "/") || strings.HasPrefix(socket, "./"):
		return "unix", socket, nil
	case ok && (kind == "unix" || kind == "local") && rest != "":
		return "unix", rest, nil
	case ok && (kind == "inet" || kind == "inet6"):
		host, port, err := hostPort(rest)
		if err != nil {
			return "", "", fmt.Errorf("socket %q: %w", socket, err)
		}
		network = "tcp"
		if kind == "inet6" {
			network = "tcp6"
		}
		return network, net.JoinHostPort(host, port), nil
	}
	return "", "", fmt.Errorf("socket %q: write unix:/path, inet:port@host or inet:host:port", socket)
}

// hostPort reads port@host, host:port or port alone, which is localhost's.
func hostPort(s string) (host, port string, err error) {
	port, host, ok := strings.Cut(s, "@")
	if !ok {
		host = "localhost"
		if strings.Contains(s, ":") {
			if host, port, err = net.SplitHostPort(s); err != nil {
				return "", "", err
			}
		}
	}
	host = strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
	if n, err := strconv.Atoi(port); err != nil || n < 1 || n > 65535 {
		return "", "", fmt.Errorf("%q is no port", port)
	}
	if host == "" {
		return "", "", fmt.Errorf("no host; write localhost")
	}
	return host, port, nil
}
