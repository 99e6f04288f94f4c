// Package hosts holds lists of clients: host names, domains, addresses and
// networks, each of which "!" excepts. They are OpenDKIM's InternalHosts,
// PeerList and ExternalIgnoreList.
package hosts

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/postseal/postseal/config/dataset"
)

// maxName is the length in octets of the longest host name that is looked up;
// DNS has none longer (RFC 1035 §2.3.4).
const maxName = 255

// List is a list of clients in memory. It never changes: Match is safe for
// concurrent use. A nil List matches nothing.
type List struct {
	names     map[string]pair // in lower case; ".example.com" for what is below
	addresses map[netip.Addr]pair
	networks  map[netip.Prefix]pair
	// lengths tells which prefix lengths occur in networks: of IPv4, of IPv6.
	lengths [2][129]bool

	// A refile's patterns are matched as text. patterns says which of its rows
	// are for what.
	set         *dataset.Set
	patterns    map[int]scope // by Row.Line
	forNetworks bool          // some pattern is for networks
}

// pair keeps what the list says of one name, address or network: the entries
// as they are written, "" for none.
type pair struct{ except, include string }

// scope is what a pattern is compared with.
type scope struct{ names, networks bool }

// New makes a List of the keys of a set; nil of a nil set. Warnings name the
// entries that do not mean what they seem to mean, or nothing at all, each with
// its place and what to write: a network with bits behind its prefix, which is
// read as the network it lies in, and entries that can never match, which are
// left out; the notes of the set come first. The error is reserved for sets of a kind that cannot be a list.
//
// In a refile, "*" stands for any text, in names and in addresses.
func New(s *dataset.Set) (*List, []string, error) {
	if s == nil {
		return nil, nil, nil
	}
	refile := s.Kind() == "refile"
	if !refile && !s.Walkable() {
		return nil, nil, fmt.Errorf("%s: a data set of type %s is no list of hosts; use a file, a refile or a list", s.Source(), s.Kind())
	}
	l := &List{
		names:     map[string]pair{},
		addresses: map[netip.Addr]pair{},
		networks:  map[netip.Prefix]pair{},
		set:       s,
		patterns:  map[int]scope{},
	}
	warnings := slices.Clone(s.Notes())
	for _, row := range s.Rows() {
		if warning := l.add(row, refile); warning != "" {
			warnings = append(warnings, fmt.Sprintf("%s: %q %s", s.Where(row), row.Key, warning))
		}
	}
	return l, warnings, nil
}

// Match tells whether a client is in the list, by the host name that the MTA
// reports or by its address; either may be missing ("", the zero Addr). entry
// is the entry that decided, as it is written; with ok false it is empty or one
// that begins with "!".
//
// Name and address are two questions, as in OpenDKIM: a client is in the list
// if one of them says so, and "!mx.example.com" excepts nobody whose address is
// listed. For each the first that the list knows decides, and "!x" before "x":
// the host name, then the domains that it is below, from the longest; the
// address, then its networks, from the longest prefix. A host name in brackets
// is an address, "unknown" is a name like others, and an IPv4-mapped address is
// the IPv4 address.
func (l *List) Match(host string, ip netip.Addr) (entry string, ok bool) {
	if l == nil {
		return "", false
	}
	entry, ok = l.matchName(strings.TrimSuffix(lower(host), "."))
	if ok || !ip.IsValid() {
		return entry, ok
	}
	if byAddress, ok := l.matchAddress(ip.Unmap().WithZone("")); byAddress != "" {
		return byAddress, ok
	}
	return entry, false
}

func (l *List) matchName(host string) (entry string, ok bool) {
	if !isName(host) || host[0] == '.' || len(host) > maxName {
		return "", false
	}
	for name := host; name != ""; name = parent(name) {
		if entry, ok := l.decide(l.names[name], nameScope, name); entry != "" {
			return entry, ok
		}
	}
	return "", false
}

func (l *List) matchAddress(ip netip.Addr) (entry string, ok bool) {
	text := ip.String()
	if entry, ok := l.decide(l.addresses[ip], anyScope, text, "["+text+"]"); entry != "" {
		return entry, ok
	}
	for bits := ip.BitLen(); bits >= 0; bits-- {
		if !l.forNetworks && !l.lengths[family(ip)][bits] {
			continue
		}
		network, _ := ip.Prefix(bits) // bits is in range
		if entry, ok := l.decide(l.networks[network], networkScope, network.String()); entry != "" {
			return entry, ok
		}
	}
	return "", false
}

// decide gives the entry that decides on one level, "" if there is none.
func (l *List) decide(p pair, fits func(scope) bool, texts ...string) (entry string, ok bool) {
	if p.except != "" {
		return p.except, false
	}
	for _, text := range texts {
		if entry := l.pattern("!"+text, fits); entry != "" {
			return entry, false
		}
	}
	if p.include != "" {
		return p.include, true
	}
	for _, text := range texts {
		if entry := l.pattern(text, fits); entry != "" {
			return entry, true
		}
	}
	return "", false
}

// pattern gives the first pattern that matches text. One that does not itself
// begin with "!" never matches a text that does: else "*.corp.test" would
// except what it is there to include.
func (l *List) pattern(text string, fits func(scope) bool) string {
	if len(l.patterns) == 0 {
		return ""
	}
	for _, row := range l.set.All(text) {
		scope, is := l.patterns[row.Line]
		if is && fits(scope) && strings.HasPrefix(row.Key, "!") == strings.HasPrefix(text, "!") {
			return row.Key
		}
	}
	return ""
}

func nameScope(s scope) bool    { return s.names }
func anyScope(scope) bool       { return true }
func networkScope(s scope) bool { return s.networks }

// parent gives ".example.com" for "mx.example.com" and ".com" for that, then "".
func parent(name string) string {
	if i := strings.IndexByte(name[1:], '.'); i >= 0 {
		return name[1+i:]
	}
	return ""
}

func family(ip netip.Addr) int {
	if ip.Is4() {
		return 0
	}
	return 1
}

// Networks are all addresses and networks that the list names, those with "!" too, in
// no order. Names and patterns are not among them.
func (l *List) Networks() []netip.Prefix {
	var list []netip.Prefix
	if l == nil {
		return list
	}
	for a := range l.addresses {
		list = append(list, netip.PrefixFrom(a, a.BitLen()))
	}
	for n := range l.networks {
		list = append(list, n)
	}
	return list
}
