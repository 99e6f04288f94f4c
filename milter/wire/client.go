package wire

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net/netip"
	"strings"
)

// Address families of a [Connect] (SMFIA_*).
const (
	FamilyUnknown byte = 'U' // no address, as for mail from sendmail(1)
	FamilyUnix    byte = 'L'
	FamilyIPv4    byte = '4'
	FamilyIPv6    byte = '6'
)

// Connect is what the MTA says of an SMTP client.
type Connect struct {
	Host    string // its name as the MTA has looked it up, or "[ADDRESS]", or "unknown"
	Family  byte   // FamilyUnknown, FamilyUnix, FamilyIPv4 or FamilyIPv6
	Port    uint16 // 0 where there is none
	Address string // an IP address or a path as the MTA wrote it
}

// ParseConnect reads the payload of CONNECT: host NUL family, and unless the
// family is 'U', a port of two octets and address NUL. The address is not
// looked at: see [Connect.Addr]. The error wraps ErrMalformed.
func ParseConnect(p []byte) (Connect, error) {
	host, rest, ok := bytes.Cut(p, []byte{0})
	if !ok || len(rest) == 0 {
		return Connect{}, fmt.Errorf("connection information: %w: no host name and family", ErrMalformed)
	}
	c := Connect{Host: string(host), Family: rest[0]}
	switch c.Family {
	case FamilyUnknown:
		return c, nil
	case FamilyUnix, FamilyIPv4, FamilyIPv6:
	default:
		return Connect{}, fmt.Errorf("connection information: %w: unknown family %q", ErrMalformed, c.Family)
	}
	rest = rest[1:]
	if len(rest) < 2 {
		return Connect{}, fmt.Errorf("connection information: %w: no port", ErrMalformed)
	}
	c.Port = binary.BigEndian.Uint16(rest)
	address, _, ok := bytes.Cut(rest[2:], []byte{0})
	if !ok {
		return Connect{}, fmt.Errorf("connection information: %w: the address has no end", ErrMalformed)
	}
	c.Address = string(address)
	return c, nil
}

// Addr is the client's IP address: "IPv6:" (Sendmail), brackets and a zone are
// taken off, and an IPv4 address mapped into IPv6 comes back as IPv4. It is
// false for the families without one and where Address cannot be read.
func (c Connect) Addr() (netip.Addr, bool) {
	if c.Family != FamilyIPv4 && c.Family != FamilyIPv6 {
		return netip.Addr{}, false
	}
	s := c.Address
	if len(s) > 2 && s[0] == '[' && s[len(s)-1] == ']' {
		s = s[1 : len(s)-1]
	}
	const tag = "IPv6:"
	if len(s) > len(tag) && strings.EqualFold(s[:len(tag)], tag) {
		s = s[len(tag):]
	}
	a, err := netip.ParseAddr(s)
	if err != nil {
		return netip.Addr{}, false
	}
	return a.Unmap().WithZone(""), true
}
