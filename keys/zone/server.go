package zone

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/miekg/dns"
	"github.com/postseal/postseal/milter/resolver"
)

// Updater changes zones on name servers (RFC 2136). It is safe for concurrent use. The
// connections of its questions are kept for the next ones: Close ends them.
type Updater struct {
	// Server is the name server, ADDRESS or ADDRESS:PORT; where it is empty, the primary
	// that the zone's SOA names.
	Server string
	// Key signs what is asked, and what is answered has to be signed with it; nil where the
	// name server goes by addresses.
	Key *TSIG
	// DNS finds the zone and its primary where Server is empty.
	DNS resolver.Lookup
	// Timeout bounds each question; 0 means 10 s.
	Timeout time.Duration
	// Now is the clock of the signatures, nil for time.Now.
	Now func() time.Time

	mu   sync.Mutex
	idle []*server
	soa  map[string]*dns.SOA // what DNS said; nil where there is no zone
}

// server is a connection to the name server of a zone.
type server struct {
	*Updater
	addr string
	zone string // with its final dot
	conn net.Conn
	used bool // for a question before: it may have been closed since
}

const (
	defaultTimeout = 10 * time.Second
	defaultPort    = 53
)

// Check says what is wrong with Server.
func (u *Updater) Check() error {
	if u.Server == "" {
		return nil
	}
	_, err := parseServer(u.Server)
	return err
}

// Close ends the connections.
func (u *Updater) Close() {
	u.mu.Lock()
	defer u.mu.Unlock()
	for _, s := range u.idle {
		s.conn.Close()
	}
	u.idle = nil
}

// find finds the zone that a name lies in and connects to its name server. The caller
// releases it.
func (u *Updater) find(ctx context.Context, name string) (*server, error) {
	if u.Server == "" {
		return u.primary(ctx, name)
	}
	addr, err := parseServer(u.Server)
	if err != nil {
		return nil, err
	}
	s := u.connection(addr)
	if s.zone, err = s.zoneOf(ctx, name); err != nil {
		u.release(s)
		return nil, err
	}
	return s, nil
}

// connection is one to addr that is free, or to be opened by the first question.
func (u *Updater) connection(addr string) *server {
	u.mu.Lock()
	defer u.mu.Unlock()
	for i, s := range u.idle {
		if s.addr == addr {
			u.idle = append(u.idle[:i], u.idle[i+1:]...)
			return s
		}
	}
	return &server{Updater: u, addr: addr}
}

// release keeps a connection for the next question, if there is one.
func (u *Updater) release(s *server) {
	if s.conn == nil {
		return
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	u.idle = append(u.idle, s)
}

// zoneOf asks the server for the zone of a name: the SOA stands in the answer, or with
// the word that there is none at the name (RFC 2308 §2).
func (s *server) zoneOf(ctx context.Context, name string) (string, error) {
	m := new(dns.Msg)
	m.SetQuestion(dns.Fqdn(name), dns.TypeSOA)
	answer, err := s.ask(ctx, m)
	if err != nil {
		return "", err
	}
	if answer.Rcode != dns.RcodeSuccess && answer.Rcode != dns.RcodeNameError {
		return "", s.refusal(answer, name)
	}
	if err := alias(answer, name); err != nil {
		return "", err
	}
	for _, rr := range append(answer.Answer, answer.Ns...) {
		if soa, ok := rr.(*dns.SOA); ok && answer.Authoritative && dns.IsSubDomain(soa.Hdr.Name, dns.Fqdn(name)) {
			return dns.CanonicalName(soa.Hdr.Name), nil
		}
	}
	return "", fmt.Errorf("%s has no zone that %s lies in; name the name server that has it with --server", s.addr, name)
}

// texts are the TXT records at a name.
func (s *server) texts(ctx context.Context, name string) ([]*dns.TXT, error) {
	m := new(dns.Msg)
	m.SetQuestion(dns.Fqdn(name), dns.TypeTXT)
	answer, err := s.ask(ctx, m)
	if err != nil {
		return nil, err
	}
	if answer.Rcode != dns.RcodeSuccess && answer.Rcode != dns.RcodeNameError {
		return nil, s.refusal(answer, name)
	}
	if err := alias(answer, name); err != nil {
		return nil, err
	}
	var list []*dns.TXT
	for _, rr := range answer.Answer {
		if rr, ok := rr.(*dns.TXT); ok && strings.EqualFold(rr.Hdr.Name, dns.Fqdn(name)) {
			list = append(list, rr)
		}
	}
	return list, nil
}

// Alias is the error of a name with a CNAME: nothing can stand beside that.
type Alias struct {
	// Name is that of Target, which may be an alias, too; both without a final dot.
	Name, Target string
}

func (a *Alias) Error() string {
	return fmt.Sprintf("%s is an alias (CNAME) of %s: publish the record there, or take the alias away", a.Name, a.Target)
}

// alias is the *Alias of a name in an answer.
func alias(answer *dns.Msg, name string) error {
	for _, rr := range answer.Answer {
		if rr, ok := rr.(*dns.CNAME); ok && strings.EqualFold(rr.Hdr.Name, dns.Fqdn(name)) {
			return &Alias{name, strings.TrimSuffix(rr.Target, ".")}
		}
	}
	return nil
}

// primary is the server that the SOA of a name's zone names.
func (u *Updater) primary(ctx context.Context, name string) (*server, error) {
	soa, err := u.lookupSOA(ctx, name)
	if err != nil {
		return nil, err
	}
	zone, host := dns.CanonicalName(soa.Hdr.Name), strings.TrimSuffix(soa.Ns, ".")
	addrs, err := u.DNS.LookupIP(ctx, host)
	if err == nil && len(addrs) == 0 {
		err = errors.New("it has no address")
	}
	if err != nil {
		return nil, fmt.Errorf("the primary name server of %s is to be %q: %w; name the one that takes updates with --server", zone, host, err)
	}
	port := u.DNS.Port
	if port == 0 {
		port = defaultPort
	}
	for _, a := range addrs {
		s := u.connection(netip.AddrPortFrom(a, port).String())
		s.zone = zone
		if err = s.open(ctx); err == nil {
			return s, nil
		}
	}
	return nil, fmt.Errorf("%w; name the server that takes updates of %s with --server", err, zone)
}

// lookupSOA looks for the zone that a name lies in, from the name upwards.
func (u *Updater) lookupSOA(ctx context.Context, name string) (*dns.SOA, error) {
	for at, ok := name, true; ok; _, at, ok = strings.Cut(at, ".") {
		u.mu.Lock()
		soa, known := u.soa[at]
		u.mu.Unlock()
		if !known {
			reply, err := u.DNS.Ask(ctx, at, dns.TypeSOA)
			if err != nil {
				return nil, fmt.Errorf("the zone of %s cannot be found: %w", name, err)
			}
			for _, rr := range reply.Records {
				if rr, is := rr.(*dns.SOA); is && strings.EqualFold(rr.Hdr.Name, dns.Fqdn(at)) {
					soa = rr
				}
			}
			u.mu.Lock()
			if u.soa == nil {
				u.soa = map[string]*dns.SOA{}
			}
			u.soa[at] = soa
			u.mu.Unlock()
		}
		if soa != nil {
			return soa, nil
		}
	}
	return nil, fmt.Errorf("DNS knows no zone that %s lies in: is the domain registered, and its zone on the name servers?", name)
}

// parseServer completes the address of a name server with port 53.
func parseServer(s string) (string, error) {
	if ap, err := netip.ParseAddrPort(s); err == nil && ap.Port() != 0 {
		return ap.String(), nil
	}
	addr, err := netip.ParseAddr(strings.TrimSuffix(strings.TrimPrefix(s, "["), "]"))
	if err != nil {
		return "", fmt.Errorf("%q is no address of a name server; write 192.0.2.53, 192.0.2.53:5353 or [2001:db8::53]:5353", s)
	}
	return netip.AddrPortFrom(addr, defaultPort).String(), nil
}
