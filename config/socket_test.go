package config

import (
	"strings"
	"testing"
)

func TestParseSocket(t *testing.T) {
	tests := []struct {
		in, network, address string
		err                  string
	}{
		{"inet:8891", "tcp4", ":8891", ""},
		{"inet:8891@localhost", "tcp4", "localhost:8891", ""},
		{"inet:8891@127.0.0.1", "tcp4", "127.0.0.1:8891", ""},
		{"inet:8891@[127.0.0.1]", "tcp4", "127.0.0.1:8891", ""},
		{"INET:08891@mail.example.com", "tcp4", "mail.example.com:8891", ""},
		{"inet6:8891", "tcp6", ":8891", ""},
		{"inet6:8891@::1", "tcp6", "[::1]:8891", ""},
		{"inet6:8891@[::1]", "tcp6", "[::1]:8891", ""},
		{"inet6:8891@fe80::1%eth0", "tcp6", "[fe80::1%eth0]:8891", ""},
		{"inet6:8891@ip6-localhost", "tcp6", "ip6-localhost:8891", ""},
		{"local:/run/p.sock", "unix", "/run/p.sock", ""},
		{"unix:/run/p.sock", "unix", "/run/p.sock", ""},
		{"/run/p.sock", "unix", "/run/p.sock", ""},
		{"/run/a:b@c", "unix", "/run/a:b@c", ""},
		{"local:/" + strings.Repeat("x", 106), "unix", "/" + strings.Repeat("x", 106), ""},
		{"local:/" + strings.Repeat("x", 107), "", "", "at most 107"},
		{"local:run/p.sock", "", "", "begins with /"},
		{"local:", "", "", "begins with /"},
		{"local:/run/", "", "", "names a folder"},
		{"local:/run/\x00", "", "", "zero byte"},
		{"", "", "", "want inet:"},
		{"8891", "", "", "want inet:"},
		{"localhost:8891", "", "", "want inet:"},
		{"tcp:8891", "", "", "want inet:"},
		{"inet:", "", "", `port ""`},
		{"inet:0", "", "", `port "0"`},
		{"inet:65536", "", "", `port "65536"`},
		{"inet:-1", "", "", `port "-1"`},
		{"inet:smtp", "", "", `port "smtp"`},
		{"inet:localhost:8891", "", "", "port"},
		{"inet:8891@", "", "", "no host after @"},
		{"inet:8891@a b", "", "", "neither an address"},
		{"inet:8891@[localhost", "", "", "neither an address"},
		{"inet:8891@::1", "", "", "write inet6:"},
		{"inet6:8891@127.0.0.1", "", "", "write inet:"},
	}
	for _, tt := range tests {
		t.Run(tt.in, func(t *testing.T) {
			network, address, err := ParseSocket(tt.in)
			checkError(t, err, tt.err)
			if network != tt.network || address != tt.address {
				t.Errorf("%q %q, want %q %q", network, address, tt.network, tt.address)
			}
		})
	}
}

func TestMonitorAt(t *testing.T) {
	for _, row := range []struct{ in, want string }{
		{"", ""},
		{"inet:9891", "inet:9891@127.0.0.1"},
		{"inet6:9891", "inet6:9891@::1"},
		{"inet:9891@0.0.0.0", "inet:9891@0.0.0.0"},
		{"local:/run/m", "local:/run/m"},
		{"9891", "9891"}, // Validate refuses it
	} {
		c := Config{MonitorSocket: row.in}
		if got := c.MonitorAt(); got != row.want {
			t.Errorf("%q: %q, want %q", row.in, got, row.want)
		}
	}
}

func FuzzParseSocket(f *testing.F) {
	for _, seed := range []string{"inet:8891@localhost", "inet6:1@[::1]", "local:/a", "/a", "inet:1@"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		network, address, err := ParseSocket(s)
		if err != nil {
			if network != "" || address != "" || !strings.HasPrefix(err.Error(), "socket ") {
				t.Errorf("%q, %q with error %v", network, address, err)
			}
			return
		}
		switch network {
		case "unix":
			if !strings.HasPrefix(address, "/") || len(address) > maxSocketPath {
				t.Errorf("path %q", address)
			}
		case "tcp4", "tcp6":
			if strings.ContainsAny(address, " @/\r\n\x00") || !strings.Contains(address, ":") {
				t.Errorf("address %q", address)
			}
		default:
			t.Errorf("network %q", network)
		}
	})
}
