package wire

import (
	"errors"
	"testing"
)

func TestParseConnect(t *testing.T) {
	tests := []struct {
		name    string
		payload string
		want    Connect
		addr    string // of Addr, or empty
	}{
		{"IPv4", "mx.example.org\x004\x01\x02192.0.2.1\x00", Connect{"mx.example.org", '4', 258, "192.0.2.1"}, "192.0.2.1"},
		{"IPv6", "[2001:db8::1]\x006\x00\x192001:db8::1\x00", Connect{"[2001:db8::1]", '6', 25, "2001:db8::1"}, "2001:db8::1"},
		{"Sendmail's IPv6", "a\x006\x00\x00IPv6:2001:db8::1\x00", Connect{"a", '6', 0, "IPv6:2001:db8::1"}, "2001:db8::1"},
		{"lower case tag in brackets", "a\x006\x00\x00[ipv6:::1]\x00", Connect{"a", '6', 0, "[ipv6:::1]"}, "::1"},
		{"brackets", "a\x006\x00\x00[2001:db8::1]\x00", Connect{"a", '6', 0, "[2001:db8::1]"}, "2001:db8::1"},
		{"mapped", "a\x006\x00\x00::ffff:192.0.2.1\x00", Connect{"a", '6', 0, "::ffff:192.0.2.1"}, "192.0.2.1"},
		{"zone", "a\x006\x00\x00fe80::1%eth0\x00", Connect{"a", '6', 0, "fe80::1%eth0"}, "fe80::1"},
		{"unix", "localhost\x00L\x00\x00/run/sock\x00", Connect{"localhost", 'L', 0, "/run/sock"}, ""},
		{"unix path like an address", "localhost\x00L\x00\x00127.0.0.1\x00", Connect{"localhost", 'L', 0, "127.0.0.1"}, ""},
		{"unknown", "localhost\x00U", Connect{"localhost", 'U', 0, ""}, ""},
		{"unknown with more", "localhost\x00U\x00\x00x\x00", Connect{"localhost", 'U', 0, ""}, ""},
		{"no host name", "\x004\x00\x00127.0.0.1\x00", Connect{"", '4', 0, "127.0.0.1"}, "127.0.0.1"},
		{"address that is none", "a\x004\x00\x00192.0.2\x00", Connect{"a", '4', 0, "192.0.2"}, ""},
		{"empty address", "a\x004\x00\x00\x00", Connect{"a", '4', 0, ""}, ""},
		{"empty brackets", "a\x006\x00\x00[]\x00", Connect{"a", '6', 0, "[]"}, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := ParseConnect([]byte(tt.payload))
			if err != nil || got != tt.want {
				t.Errorf("got %+v, %v, want %+v", got, err, tt.want)
			}
			addr, ok := got.Addr()
			if ok != (tt.addr != "") || ok && addr.String() != tt.addr {
				t.Errorf("address %v %v, want %q", addr, ok, tt.addr)
			}
		})
	}
}

func TestParseConnectErrors(t *testing.T) {
	for _, payload := range []string{
		"", "abc", "abc\x00", "abc\x00Z\x00\x00x\x00", "abc\x004", "abc\x004\x00", "abc\x004\x00\x00", "abc\x004\x00\x00192.0.2.1",
	} {
		if got, err := ParseConnect([]byte(payload)); !errors.Is(err, ErrMalformed) {
			t.Errorf("%q: got %+v, %v, want %v", payload, got, err, ErrMalformed)
		}
	}
}

// FuzzParseConnect: what is read is what the payload begins with, and an
// address has neither a zone nor an IPv4 address inside IPv6.
func FuzzParseConnect(f *testing.F) {
	f.Add([]byte("mx.example.org\x004\x01\x02192.0.2.1\x00"))
	f.Add([]byte("a\x006\x00\x00IPv6:fe80::1%x\x00"))
	f.Add([]byte("a\x00U"))
	f.Add([]byte("abc"))
	f.Fuzz(func(t *testing.T, p []byte) {
		c, err := ParseConnect(p)
		if err != nil {
			if c != (Connect{}) || !errors.Is(err, ErrMalformed) {
				t.Fatalf("%+v with %v", c, err)
			}
			return
		}
		again := c.Host + "\x00" + string(c.Family)
		if c.Family != FamilyUnknown {
			again += string([]byte{byte(c.Port >> 8), byte(c.Port)}) + c.Address + "\x00"
		}
		if len(again) > len(p) || string(p[:len(again)]) != again {
			t.Fatalf("%+v from %q", c, p)
		}
		if a, ok := c.Addr(); ok && (!a.IsValid() || a.Is4In6() || a.Zone() != "") {
			t.Fatalf("address %v", a)
		}
	})
}
