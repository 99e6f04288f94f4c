package main

import (
	"net"
	"net/netip"
	"slices"

	"github.com/postseal/postseal/milter/spf"
)

// ownAddresses are the addresses that mail of this machine leaves from, as the world
// sees them: those that the system would take for a connection to the Internet, or
// without a way there the public ones that it has. private are those that nobody
// outside sees, where there is no other.
func ownAddresses() (public, private []netip.Addr) {
	// A root server of each family (a.root-servers.net): a UDP socket that is only
	// connected sends nothing.
	for _, there := range []string{"198.41.0.4:53", "[2001:503:ba3e::2:30]:53"} {
		conn, err := net.Dial("udp", there)
		if err != nil {
			continue
		}
		if at, ok := conn.LocalAddr().(*net.UDPAddr); ok {
			public, private = sortAddress(at.AddrPort().Addr(), public, private)
		}
		conn.Close()
	}
	if len(public)+len(private) > 0 {
		return public, private
	}
	for _, a := range interfaceAddresses() {
		public, private = sortAddress(a, public, private)
	}
	return public, private
}

// interfaceAddresses are all addresses that this machine has.
func interfaceAddresses() (list []netip.Addr) {
	all, _ := net.InterfaceAddrs() // who cannot see them has none
	for _, one := range all {
		if network, ok := one.(*net.IPNet); ok {
			if a, ok := netip.AddrFromSlice(network.IP); ok {
				list = append(list, a.Unmap())
			}
		}
	}
	return list
}

// sortAddress adds a to the public addresses, or to the private ones, if it is one that
// others can be reached from.
func sortAddress(a netip.Addr, public, private []netip.Addr) (pub, priv []netip.Addr) {
	a = a.Unmap().WithZone("")
	switch {
	case !a.IsGlobalUnicast() || slices.Contains(public, a) || slices.Contains(private, a):
	case spf.IsPublic(a):
		public = append(public, a)
	default:
		private = append(private, a)
	}
	return public, private
}
