package postfix

import (
	"context"
	"fmt"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"

	"github.com/postseal/postseal/milter/finding"
)

// network is an entry of mynetworks.
type network struct {
	netip.Prefix
	except bool // it begins with "!"
	text   string
}

// maxNetworks bounds mynetworks, with the files that it names.
const maxNetworks = 1000

// parseNetworks reads a list such as mynetworks: addresses, networks, each with "!" to
// except it, and with read names of files that have more of them. whole is false if
// there are entries of other kinds: tables and host names.
func parseNetworks(s string, read func(path string) ([]byte, error)) (list []network, whole bool) {
	whole = true
	for _, text := range words(s) {
		if len(list) >= maxNetworks {
			return list, false
		}
		rest, except := strings.CutPrefix(text, "!")
		if prefix, ok := parsePrefix(rest); ok {
			list = append(list, network{prefix, except, text})
			continue
		}
		if !strings.HasPrefix(rest, "/") || except || read == nil {
			whole = false
			continue
		}
		data, err := read(rest)
		if err != nil {
			whole = false
			continue
		}
		more, all := parseNetworks(uncommented(string(data)), nil)
		list, whole = append(list, more...), whole && all
	}
	return list[:min(len(list), maxNetworks)], whole
}

// uncommented drops lines that begin with "#".
func uncommented(s string) string {
	var b strings.Builder
	for line := range strings.Lines(s) {
		if !strings.HasPrefix(strings.TrimLeft(line, blanks), "#") {
			b.WriteString(line)
		}
	}
	return b.String()
}

// parsePrefix reads A, [A], A/N and [A]/N. A network of IPv4-mapped addresses is one of
// IPv4.
func parsePrefix(s string) (netip.Prefix, bool) {
	address, length, ok := strings.Cut(s, "/")
	address = strings.TrimSuffix(strings.TrimPrefix(address, "["), "]")
	if !ok {
		a, err := netip.ParseAddr(address)
		a = a.Unmap().WithZone("")
		return netip.PrefixFrom(a, max(a.BitLen(), 0)), err == nil
	}
	p, err := netip.ParsePrefix(address + "/" + length)
	if err != nil {
		return netip.Prefix{}, false
	}
	if p.Addr().Is4In6() && p.Bits() >= 96 {
		p = netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
	}
	return p.Masked(), true
}

// loopback is the client that mail without one counts as.
var loopback = netip.AddrFrom4([4]byte{127, 0, 0, 1})

// match is the entry of mynetworks that decides on an address: the first that has it.
func match(list []network, a netip.Addr) (n network, ok bool) {
	for _, n := range list {
		if n.Contains(a) {
			return n, !n.except
		}
	}
	return network{}, false
}

// Relays reports whether mynetworks has an address: Postfix takes mail for anybody from it.
// Tables and host names in mynetworks are not looked up.
func (c *Config) Relays(a netip.Addr) bool {
	list, _ := c.networks()
	_, relays := match(list, a)
	return relays
}

// networks is mynetworks; see parseNetworks.
func (c *Config) networks() (list []network, whole bool) {
	return parseNetworks(c.Value("mynetworks"), func(path string) ([]byte, error) { return readFile(filepath.Clean(path)) })
}

// relaying holds mynetworks against the hosts whose mail is signed.
func (i *inspection) relaying(ctx context.Context) {
	if i.Internal == nil || !i.signs {
		return
	}
	mine, whole := i.networks()
	var unsigned, unrelayed []string
	for _, a := range i.edges(mine) {
		entry, relays := match(mine, a)
		switch internal := i.Internal(a); {
		// The rest of 127.0.0.0/8 is no client.
		case a.IsLoopback() && a != loopback && a != netip.IPv6Loopback():
		case relays && !internal && !slices.Contains(unsigned, entry.text):
			unsigned = append(unsigned, entry.text)
		case internal && !relays && whole && !a.IsLoopback():
			if name := i.of(a); len(unrelayed) < 100 && !slices.Contains(unrelayed, name) {
				unrelayed = append(unrelayed, name)
			}
		}
	}
	switch {
	case len(unsigned) > 0 && i.byDefault(ctx) && i.Internal(loopback) && i.Internal(netip.IPv6Loopback()):
		// Nobody has named these: they are this machine's own addresses.
		i.add(RelayUnsigned, finding.Note,
			fmt.Sprintf("mynetworks is not set, and so has this machine's own addresses; internal_hosts has not: %s.", listed(unsigned)),
			"Mail that a program here hands in by such an address, and not by 127.0.0.1 or ::1, leaves unsigned unless it logs in.",
			"If programs here do so, add these addresses to internal_hosts in postseal.toml.")
	case len(unsigned) > 0:
		i.add(RelayUnsigned, finding.Warning,
			fmt.Sprintf("mynetworks has clients that internal_hosts has not, or not all of them: %s.", listed(unsigned)),
			"They may send mail through Postfix, and it leaves unsigned unless they log in.",
			"Add them to internal_hosts in postseal.toml if their mail is yours, or take them out of mynetworks.")
	}
	if len(unrelayed) > 0 {
		i.add(InternalNoRelay, finding.Warning,
			fmt.Sprintf("internal_hosts has clients that mynetworks has not, or not all of them: %s.", listed(unrelayed)),
			"Postfix takes mail for other domains from them only when they log in; whatever else they send with your domain gets signed, as if it were yours.",
			"Take them out of internal_hosts, or add them to mynetworks if they are yours. Who logs in is signed without.")
	}
}

// byDefault reports whether nobody has set mynetworks, and Postfix takes the addresses
// that this machine has (postconf(5), mynetworks_style).
func (i *inspection) byDefault(ctx context.Context) bool {
	if i.Value("mynetworks_style") != "host" {
		return false
	}
	set, err := i.parameters(ctx, "-n")
	_, is := set["mynetworks"]
	return err == nil && !is
}

// listed are the first of a list's entries.
func listed(list []string) string {
	const most = 5
	if len(list) > most {
		return fmt.Sprintf("%s and %d more", strings.Join(list[:most], ", "), len(list)-most)
	}
	return strings.Join(list, ", ")
}

// edges are all addresses at which the answer of one of the two lists can change: the
// first and last of each network and those beside them.
func (i *inspection) edges(mine []network) []netip.Addr {
	all := slices.Clone(i.Networks)
	for _, n := range mine {
		all = append(all, n.Prefix)
	}
	list := []netip.Addr{loopback, netip.IPv6Loopback()}
	for _, p := range all {
		if !p.IsValid() {
			continue
		}
		first, last := p.Masked().Addr(), lastOf(p)
		for _, a := range []netip.Addr{first.Prev(), first, last, last.Next()} {
			if a.IsValid() {
				list = append(list, a)
			}
		}
	}
	return list
}

// lastOf is the highest address of a network.
func lastOf(p netip.Prefix) netip.Addr {
	b := p.Addr().AsSlice()
	for bit := p.Bits(); bit < len(b)*8; bit++ {
		b[bit/8] |= 1 << (7 - bit%8)
	}
	a, _ := netip.AddrFromSlice(b)
	return a
}

// of names an internal address by the smallest network of Networks that it is in.
func (i *inspection) of(a netip.Addr) string {
	best := netip.PrefixFrom(a, a.BitLen())
	found := false
	for _, p := range i.Networks {
		if p.Contains(a) && (!found || p.Bits() > best.Bits()) {
			best, found = p, true
		}
	}
	if best.IsSingleIP() {
		return best.Addr().String()
	}
	return best.String()
}
