package published

import (
	"cmp"
	"context"
	"crypto"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/miekg/dns"
	"github.com/postseal/postseal/milter/resolver"
)

// perServer is how long one name server has for its answers.
const perServer = 10 * time.Second

// Seen is what one name server shows of a key.
type Seen struct {
	// Server is the name server's name, Address where it was asked; one of the two may be
	// empty.
	Server, Address string
	// Shows: it has exactly this key, and nothing that verifiers would take instead.
	Shows bool
	// Silent: it gave no answer that counts. It may show the key to others.
	Silent bool
	// Why says in a sentence why it does not show the key.
	Why string
	// TTL is how long others may remember what it said, the answer that there is no record
	// included.
	TTL time.Duration

	unreachable bool // from this machine
}

// Sight is what the name servers of a domain show of a key.
type Sight struct {
	// Zone is the zone that the record lies in, "" where others than its own name servers
	// were asked.
	Zone string
	// Servers are all that were asked.
	Servers []Seen
	// TTL is the largest of theirs.
	TTL time.Duration
}

// Everywhere reports whether there are name servers, and each of them shows the key.
func (s Sight) Everywhere() bool {
	for _, seen := range s.Servers {
		if !seen.Shows {
			return false
		}
	}
	return len(s.Servers) > 0
}

// NameServer is a name server that is asked.
type NameServer struct {
	// Name and Address are what people call it; one of the two may be empty.
	Name, Address string
	// Ask is that of resolver.Asker or resolver.OwnServer.
	Ask func(ctx context.Context, name string, qtype uint16) (resolver.Reply, error)
}

// Everywhere asks each of the domain's own name servers, which look-ups by l find, for
// the record of a key, all at once and each for 10 s at most: which show exactly pub, an
// *rsa.PublicKey or ed25519.PublicKey, and why not. pub nil is any key that can be used.
// Where the record's name is an alias (CNAME), those of its target are asked, and those of
// the alias, each of which has to lead there.
//
// The error means that the name servers cannot be found out for now.
func Everywhere(ctx context.Context, l resolver.Lookup, domain, selector string, pub crypto.PublicKey) (Sight, error) {
	name, err := RecordName(selector, domain)
	if err != nil {
		return Sight{}, err
	}
	way, err := l.Way(ctx, name)
	if err != nil {
		return Sight{}, err
	}
	aliases, err := leads(ctx, l, way)
	if err != nil {
		return Sight{}, err
	}
	target := way[len(way)-1]
	zone, servers, err := own(ctx, l, target)
	if err != nil {
		return Sight{}, err
	}
	sight := at(ctx, servers, name, target, domain, selector, pub)
	sight.Zone = zone
	for _, a := range aliases { // the way there is remembered, too, whatever stands at its end
		for i := range sight.Servers {
			sight.Servers[i].TTL = max(sight.Servers[i].TTL, a.TTL)
		}
		sight.TTL = max(sight.TTL, a.TTL)
	}
	sight.Servers = append(aliases, sight.Servers...)
	return sight, nil
}

// own are the name servers of the zone that a name lies in.
func own(ctx context.Context, l resolver.Lookup, name string) (zone string, servers []NameServer, err error) {
	zone, list, err := l.OwnServers(ctx, name)
	for _, s := range list {
		n := NameServer{Name: s.Name, Ask: s.Ask}
		if s.Err == nil {
			n.Address = s.Addr.String()
		}
		servers = append(servers, n)
	}
	return zone, servers, err
}

// leads asks the own name servers of each alias on a way whether it leads to the next
// name.
func leads(ctx context.Context, l resolver.Lookup, way []string) (all []Seen, err error) {
	for i, to := range way[1:] {
		_, parent, _ := strings.Cut(way[i], ".") // an alias is not the top of a zone
		_, servers, err := own(ctx, l, parent)
		if err != nil {
			return nil, err
		}
		all = append(all, each(ctx, servers, func(ctx context.Context, s NameServer) Seen {
			reply, err := s.Ask(ctx, way[i], dns.TypeCNAME)
			seen := Seen{TTL: reply.TTL, Silent: err != nil, unreachable: errors.Is(err, syscall.ENETUNREACH)}
			switch there, _ := reply.Alias(); {
			case err != nil:
				seen.Why = fmt.Sprintf("The alias %s could not be looked up: %v.", way[i], err)
			case there != to:
				seen.Why = fmt.Sprintf("At %s there is no alias (CNAME) of %s.", way[i], to)
			default:
				seen.Shows = true
			}
			return seen
		})...)
	}
	return all, nil
}

// each asks the servers, all at once.
func each(ctx context.Context, servers []NameServer, ask func(context.Context, NameServer) Seen) []Seen {
	list := make([]Seen, len(servers))
	var all sync.WaitGroup
	for i, s := range servers {
		all.Go(func() {
			ctx, cancel := context.WithTimeout(ctx, perServer)
			defer cancel()
			list[i] = ask(ctx, s)
			list[i].Server, list[i].Address = s.Name, s.Address
		})
	}
	all.Wait()
	list = withoutUnreachable(list)
	slices.SortStableFunc(list, func(a, b Seen) int { // DNS has them in another order each time
		return cmp.Or(strings.Compare(a.Server, b.Server), strings.Compare(a.Address, b.Address))
	})
	return list
}

// At is Everywhere for name servers that somebody has named in place of the domain's own.
func At(ctx context.Context, servers []NameServer, domain, selector string, pub crypto.PublicKey) (Sight, error) {
	name, err := RecordName(selector, domain)
	if err != nil {
		return Sight{}, err
	}
	return at(ctx, servers, name, name, domain, selector, pub), nil
}

// at asks the servers for what stands at target, where name leads.
func at(ctx context.Context, servers []NameServer, name, target, domain, selector string, pub crypto.PublicKey) Sight {
	sight := Sight{Servers: each(ctx, servers, func(ctx context.Context, s NameServer) Seen {
		one := &view{ask: s.Ask, name: name, target: target}
		return one.seen(Check(ctx, one, domain, selector, pub), pub)
	})}
	for _, s := range sight.Servers {
		sight.TTL = max(sight.TTL, s.TTL)
	}
	return sight
}

// view is DNS as one name server has it: a dkim.Resolver.
type view struct {
	ask          func(ctx context.Context, name string, qtype uint16) (resolver.Reply, error)
	name, target string
	ttl          time.Duration // of what stands at name
	err          error         // of the question for it
}

// LookupTXT implements dkim.Resolver.
func (v *view) LookupTXT(ctx context.Context, name string) (txt []string, authentic bool, err error) {
	record := name == v.name
	if record {
		name = v.target
	}
	reply, err := v.ask(ctx, name, dns.TypeTXT)
	if record {
		v.ttl, v.err = reply.TTL, err
	}
	if err != nil {
		return nil, false, err
	}
	for _, rr := range reply.Records {
		if rr, ok := rr.(*dns.TXT); ok {
			txt = append(txt, resolver.Text(rr))
		}
	}
	return txt, reply.Authentic, nil
}

// seen is what a report on the view comes to.
func (v *view) seen(r *Report, pub crypto.PublicKey) Seen {
	s := Seen{
		Shows: r.Usable() && (pub == nil || r.Same), Silent: r.Has(LookupFailed), TTL: v.ttl,
		unreachable: errors.Is(v.err, syscall.ENETUNREACH),
	}
	for _, f := range r.Findings {
		if f.Level == Problem && s.Why == "" {
			s.Why = f.Text
		}
	}
	return s
}

// withoutUnreachable leaves out addresses that this machine has no way to, as without
// IPv6, where the server has another one.
func withoutUnreachable(list []Seen) []Seen {
	return slices.DeleteFunc(slices.Clone(list), func(s Seen) bool {
		return s.unreachable && s.Server != "" && slices.ContainsFunc(list, func(o Seen) bool { return o.Server == s.Server && !o.unreachable })
	})
}
