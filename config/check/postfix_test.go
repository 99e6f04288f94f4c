package check

import (
	"context"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/postseal/postseal/config/postfix"
	"github.com/postseal/postseal/testdata/peers"
)

// mainCF lays the configuration of a Postfix that does not run.
func mainCF(t *testing.T, lines string) (dir string) {
	t.Helper()
	if _, err := os.Stat("/usr/sbin/postconf"); err != nil {
		peers.Require(t, postfix.ErrNotInstalled)
	}
	dir = t.TempDir()
	for name, text := range map[string]string{
		"main.cf":   "compatibility_level = 3.6\nmyhostname = mail.example.com\nmynetworks = 127.0.0.0/8 [::1]/128\nqueue_directory = " + dir + "\n" + lines,
		"master.cf": "smtp inet n - n - - smtpd\ncleanup unix n - n - 0 cleanup\npickup unix n - n 60 1 pickup\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// What other sections take from Postfix.
func TestReadPostfix(t *testing.T) {
	four, six := netip.MustParseAddr("192.0.2.7"), netip.MustParseAddr("2001:db8::7")
	for _, tt := range []struct {
		name, lines string
		relay       string
		want        []netip.Addr
	}{
		{"both families", "inet_protocols = all\n", "", []netip.Addr{four, six}},
		{"IPv4 alone", "inet_protocols = ipv4\n", "", []netip.Addr{four}},
		{"bound", "inet_protocols = ipv4, ipv6\nsmtp_bind_address6 = 2001:db8::9\n", "", []netip.Addr{four, netip.MustParseAddr("2001:db8::9")}},
		{"bound behind another's address", "inet_protocols = ipv4\nsmtp_bind_address = 10.0.0.7\n", "", nil},
		{"through another host", "inet_protocols = ipv4\nrelayhost = [smtp.example.net]\n", "[smtp.example.net]", []netip.Addr{four}},
		{"through another host by default", "inet_protocols = ipv4\ndefault_transport = relay:[smtp.example.net]:587\n", "[smtp.example.net]:587", []netip.Addr{four}},
		{"by another transport", "inet_protocols = ipv4\ndefault_transport = uucp\n", "", []netip.Addr{four}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := new(Checker)
			c.ReadPostfix(context.Background(), mainCF(t, tt.lines))
			if c.mailErr != nil {
				t.Fatal(c.mailErr)
			}
			if got := c.Bound([]netip.Addr{four, six}); !slices.Equal(got, tt.want) || c.Relay != tt.relay || c.HELO != "mail.example.com" {
				t.Errorf("addresses %v, relay %q, HELO %q; want %v, %q", got, c.Relay, c.HELO, tt.want, tt.relay)
			}
		})
	}
}

// The daemon's sockets and hosts are what Postfix is held against.
func TestPostfixSection(t *testing.T) {
	c := setting{}.checker(t)
	c.ReadPostfix(context.Background(), mainCF(t, ""))
	s := c.Postfix(context.Background(), c.Config)
	if s.State != Problem || !s.has("milter-missing") {
		t.Errorf("%s: %+v", s.State, s.Findings)
	}
	c.ReadPostfix(context.Background(), mainCF(t, "smtpd_milters = inet:localhost:8891\nnon_smtpd_milters = inet:localhost:8891\nmilter_default_action = tempfail\n"))
	if s = c.Postfix(context.Background(), c.Config); s.has("milter-missing", "relay-unsigned", "default-action") {
		t.Errorf("%s: %+v", s.State, s.Findings)
	}
	c.ReadPostfix(context.Background(), filepath.Join(t.TempDir(), "none"))
	compare(t, c.Postfix(context.Background(), c.Config), []string{"unknown:postfix-unread"}, Unknown, "")
}

func TestConfigSection(t *testing.T) {
	compare(t, Config("postseal.toml", nil, nil, ""), nil, OK, "postseal.toml")
	compare(t, Config("postseal.toml", []string{"10.0.0.5/24 is read as 10.0.0.0/24"}, nil, ""), []string{"note:configuration-warning"}, OK, "")
	s := Config("postseal.toml", nil, []string{"key_table: line 1 is not complete", "signing_table: no such file"}, "this was checked as root")
	if diff := cmp.Diff([]string{"problem:configuration", "problem:configuration"}, found(s)); diff != "" || s.State != Problem {
		t.Errorf("%s (-want +got):\n%s", s.State, diff)
	}
	hasWords(t, s)
	many := Config("postseal.toml", nil, make([]string, 1000), "")
	if len(many.Findings) != 11 {
		t.Errorf("%d findings", len(many.Findings))
	}
}
