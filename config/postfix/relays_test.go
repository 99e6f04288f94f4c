package postfix

import (
	"net/netip"
	"testing"
)

// Who may relay is in mynetworks, where the first entry counts.
func TestRelays(t *testing.T) {
	c := &Config{expanded: map[string]string{"mynetworks": "127.0.0.0/8, !192.0.2.9, 192.0.2.0/24 [2001:db8::7]/128 hash:/etc/postfix/x"}}
	for address, want := range map[string]bool{
		"127.0.0.1": true, "192.0.2.1": true, "192.0.2.9": false, "198.51.100.1": false, "2001:db8::7": true, "2001:db8::8": false,
	} {
		if got := c.Relays(netip.MustParseAddr(address)); got != want {
			t.Errorf("%s: %t", address, got)
		}
	}
}
