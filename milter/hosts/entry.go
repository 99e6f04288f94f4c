package hosts

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"github.com/postseal/postseal/config/dataset"
)

const (
	hintWildcard = "never matches: here * is no wildcard; write .example.com for all hosts below example.com and 10.0.0.0/8 for a network, or name the list as refile:"
	hintNetwork  = "never matches: it is no network; write it as 10.0.0.0/8 or 2001:db8::/32"
	hintAddress  = "never matches: it is neither an address nor a host name; write a whole address or a network such as 10.0.0.0/24"
	hintName     = "never matches: it is neither an address, nor a network, nor a host name"
)

// add puts a row in its place. It gives the words of a warning, or "".
func (l *List) add(row dataset.Row, refile bool) (warning string) {
	text, except := strings.CutPrefix(lower(row.Key), "!")
	if ip, ok := parseAddress(text); ok {
		put(l.addresses, ip, row.Key, except)
		return ""
	}
	if network, exact, ok := parseNetwork(text); ok {
		put(l.networks, network, row.Key, except)
		l.lengths[family(network.Addr())][network.Bits()] = true
		if !exact {
			return fmt.Sprintf("has bits set behind its prefix; it is read as %s", network)
		}
		return ""
	}
	if refile && strings.ContainsAny(text, `*()[]|?{}^$\`) {
		networks := strings.Contains(text, "/")
		l.patterns[row.Line] = scope{names: !networks && !isNumeric(text), networks: networks}
		l.forNetworks = l.forNetworks || networks
		return ""
	}
	name := strings.TrimSuffix(text, ".")
	switch {
	case strings.Contains(text, "*"):
		return hintWildcard
	case strings.Contains(text, "/"):
		return hintNetwork
	case strings.Contains(text, ":"), isNumeric(name[strings.LastIndexByte(name, '.')+1:]):
		return hintAddress
	case !isName(name):
		return hintName
	}
	put(l.names, name, row.Key, except)
	return ""
}

// put enters an entry. The first of several stays.
func put[K comparable](m map[K]pair, key K, entry string, except bool) {
	p := m[key]
	switch {
	case except && p.except == "":
		p.except = entry
	case !except && p.include == "":
		p.include = entry
	}
	m[key] = p
}

// parseAddress reads A, [A], IPv6:A and [IPv6:A], in lower case.
func parseAddress(s string) (netip.Addr, bool) {
	if inner, ok := strings.CutPrefix(s, "["); ok {
		if s, ok = strings.CutSuffix(inner, "]"); !ok {
			return netip.Addr{}, false
		}
	}
	ip, err := netip.ParseAddr(strings.TrimPrefix(s, "ipv6:"))
	return ip.Unmap().WithZone(""), err == nil
}

// parseNetwork reads A/N, [A]/N and [A/N]. exact is false if A has bits set
// behind the prefix. A network of IPv4-mapped addresses is one of IPv4.
func parseNetwork(s string) (network netip.Prefix, exact, ok bool) {
	if inner, found := strings.CutPrefix(s, "["); found && strings.HasSuffix(s, "]") {
		s = strings.TrimSuffix(inner, "]")
	}
	address, length, _ := strings.Cut(s, "/")
	bits, err := strconv.ParseUint(length, 10, 8)
	if err != nil {
		return netip.Prefix{}, false, false
	}
	ip, ok := parseAddress(address)
	if mapped := strings.Contains(address, ":") && ip.Is4(); ok && mapped {
		if bits < 96 {
			return netip.Prefix{}, false, false
		}
		bits -= 96
	}
	if !ok || int(bits) > ip.BitLen() {
		return netip.Prefix{}, false, false
	}
	network = netip.PrefixFrom(ip, int(bits))
	return network.Masked(), network == network.Masked(), true
}

// isNumeric tells whether s has digits and no letters. The last label of a host
// name is never so (RFC 3696 §2), and a pattern of this kind is one of
// addresses: "10.*" must not match a host called 10.evil.example.
func isNumeric(s string) bool {
	digits := false
	for i := 0; i < len(s); i++ {
		c := s[i]
		if 'a' <= c && c <= 'z' || c >= 0x80 {
			return false
		}
		digits = digits || '0' <= c && c <= '9'
	}
	return digits
}

// isName tells whether s, in lower case, can be a host name or the beginning
// dot and name of a domain. Underscores and 8-bit octets occur in names.
func isName(s string) bool {
	for i := 0; i < len(s); i++ {
		c := s[i]
		if !('a' <= c && c <= 'z' || '0' <= c && c <= '9' || c == '-' || c == '_' || c == '.' || c >= 0x80) {
			return false
		}
	}
	return s != "" && s != "." && !strings.Contains(s, "..")
}

// lower makes the ASCII letters of s small.
func lower(s string) string {
	b := []byte(s)
	for i, c := range b {
		if 'A' <= c && c <= 'Z' {
			b[i] = c + 'a' - 'A'
		}
	}
	return string(b)
}
