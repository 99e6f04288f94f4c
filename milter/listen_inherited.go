package milter

import (
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"

	"github.com/postseal/postseal/config"
)

// inherited are sockets that whoever started the daemon has opened.
type inherited []net.Listener

// take returns the one that the configuration means by name, and keeps it no
// longer; nil if there is none. root is the root folder of this process, as it was
// called before it became that.
func (in *inherited) take(name, root string) net.Listener {
	network, address, err := config.ParseSocket(name)
	if err != nil {
		return nil // who opens it says so
	}
	for i, l := range *in {
		if sameSocket(l.Addr(), network, address, root) {
			*in = slices.Delete(*in, i, i+1)
			return prompted(l)
		}
	}
	return nil
}

// sameSocket reports whether a socket is open at an address of the configuration.
func sameSocket(open net.Addr, network, address, root string) bool {
	switch open := open.(type) {
	case *net.UnixAddr:
		return network == "unix" && (open.Name == filepath.Join(root, address) || sameFile(open.Name, address))
	case *net.TCPAddr:
		if network == "unix" {
			return false
		}
		want, err := net.ResolveTCPAddr(network, address)
		if err != nil || want.Port != open.Port {
			return false
		}
		if want.IP == nil || want.IP.IsUnspecified() { // all interfaces; [::] is IPv4's, too
			return open.IP.IsUnspecified() && (network == "tcp4" || open.IP.To4() == nil)
		}
		return open.IP.Equal(want.IP) && open.Zone == want.Zone
	}
	return false
}

// sameFile reports whether two paths lead to one file.
func sameFile(a, b string) bool {
	fa, err := os.Stat(a)
	if err != nil {
		return false
	}
	fb, err := os.Stat(b)
	return err == nil && os.SameFile(fa, fb)
}

// socketName is an address in the configuration's notation.
func socketName(a net.Addr) string {
	tcp, ok := a.(*net.TCPAddr)
	if !ok {
		return "local:" + a.String()
	}
	kind := "inet6:"
	if tcp.IP.To4() != nil {
		kind = "inet:"
	}
	host := (&net.IPAddr{IP: tcp.IP, Zone: tcp.Zone}).String()
	return kind + strconv.Itoa(tcp.Port) + "@" + host
}
