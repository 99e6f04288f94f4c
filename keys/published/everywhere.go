package published

import (
	"context"
	"crypto"
	"errors"
	"slices"
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
// Where the record's name is an alias (CNAME), those of its target are asked.
//
// The error means that the name servers cannot be found out for now.
func Everywhere(ctx context.Context, l resolver.Lookup, domain, selector string, pub crypto.PublicKey) (Sight, error) {
	name, err := RecordName(selector, domain)
	if err != nil {
		return Sight{}, err
	}
	target, err := l.Target(ctx, name)
	if err != nil {
		return Sight{}, err
	}
	zone, own, err := l.OwnServers(ctx, target)
	if err != nil {
		return Sight{}, err
	}
	var servers []NameServer
	for _, s := range own {
		n := NameServer{Name: s.Name, Ask: s.Ask}
		if s.Err == nil {
			n.Address = s.Addr.String()
		}
		servers = append(servers, n)
	}
	sight := at(ctx, servers, name, target, domain, selector, pub)
	sight.Zone = zone
	if target != name { // the way there is remembered, too
		if reply, err := l.Ask(ctx, name, dns.TypeCNAME); err == nil {
			sight.TTL = max(sight.TTL, reply.TTL)
		}
	}
	return sight, nil
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
	sight := Sight{Servers: make([]Seen, len(servers))}
	var all sync.WaitGroup
	for i, s := range servers {
		all.Go(func() {
			ctx, cancel := context.WithTimeout(ctx, perServer)
			defer cancel()
			one := &view{ask: s.Ask, name: name, target: target}
			sight.Servers[i] = one.seen(Check(ctx, one, domain, selector, pub), pub)
			sight.Servers[i].Server, sight.Servers[i].Address = s.Name, s.Address
		})
	}
	all.Wait()
	sight.Servers = withoutUnreachable(sight.Servers)
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
