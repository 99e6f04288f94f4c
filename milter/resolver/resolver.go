// Package resolver looks up TXT records in DNS: over nameservers of the
// administrator's choice, inside a deadline, with a bounded cache, with one
// query for many askers, and with the AD bit that tells whether the
// nameserver validated the answer. It asks for records of other types, too, past
// the cache: [Client.Ask] and [Lookup]. [Records] and [Serve] stand in for DNS in
// tests and demonstrations.
package resolver

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/miekg/dns"
	"golang.org/x/sync/singleflight"
)

const (
	// DefaultTimeout bounds a look-up where Options.Timeout is zero.
	DefaultTimeout = 5 * time.Second
	// DefaultCacheSize bounds the cache where Options.CacheSize is zero.
	DefaultCacheSize = 10000

	// MaxNameservers is how many nameservers are used; further ones are refused.
	MaxNameservers = 8
	// MaxQueries is how many questions may be under way at once. Further ones
	// wait for their turn inside their own deadline.
	MaxQueries = 512
	// FileShare: the questions under way have at most 1/FileShare of the
	// descriptors that the process may have (RLIMIT_NOFILE).
	FileShare = 8

	resolvConf  = "/etc/resolv.conf"
	defaultPort = 53
)

// Options say whom a Client asks, and for how long.
type Options struct {
	// Nameservers are recursive resolvers, each ADDRESS or ADDRESS:PORT (IPv6
	// with a port as [ADDRESS]:PORT). Empty: those of /etc/resolv.conf, and
	// 127.0.0.1 where that names none (resolv.conf(5)).
	Nameservers []string
	// Timeout bounds one look-up over all nameservers and CNAMEs. Zero means
	// DefaultTimeout. An asker's context may end its own wait sooner.
	Timeout time.Duration
	// CacheSize is how many names are remembered. Zero means DefaultCacheSize;
	// a negative number turns the cache off.
	CacheSize int
	// TCP asks by TCP at once, not only where an answer by UDP was truncated.
	TCP bool
	// Now is the clock of the cache. Nil means time.Now.
	Now func() time.Time
	// Stats, if not nil, counts look-ups.
	Stats *Stats
}

// Client asks recursive nameservers. It is safe for concurrent
// use and holds nothing that would have to be closed.
type Client struct {
	servers []netip.AddrPort
	timeout time.Duration
	network string // of the first question: udp or tcp
	cache   *cache
	flights singleflight.Group
	slots   chan struct{}
	stats   *Stats
}

// New returns a Client. The error says which nameserver is not an address, or
// why /etc/resolv.conf cannot be read.
func New(o Options) (*Client, error) {
	servers, err := nameservers(o.Nameservers)
	if err != nil {
		return nil, err
	}
	c := &Client{servers: servers, timeout: o.Timeout, network: "udp", slots: make(chan struct{}, atOnce(len(servers)))}
	if o.TCP {
		c.network = "tcp"
	}
	if c.timeout <= 0 {
		c.timeout = DefaultTimeout
	}
	now := o.Now
	if now == nil {
		now = time.Now
	}
	size := o.CacheSize
	if size == 0 {
		size = DefaultCacheSize
	}
	c.cache = newCache(max(size, 0), now)
	if c.stats = o.Stats; c.stats == nil {
		c.stats = new(Stats)
	}
	return c, nil
}

// atOnce is how many questions to so many servers may be under way.
func atOnce(servers int) int {
	var files syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &files); err != nil {
		return MaxQueries
	}
	return affordable(files.Cur, servers)
}

// affordable is atOnce for a process that may have so many descriptors: each try
// of a question may have one.
func affordable(files uint64, servers int) int {
	return int(min(max(1, files/FileShare/uint64(tries(servers))), MaxQueries))
}

func nameservers(list []string) ([]netip.AddrPort, error) {
	if len(list) == 0 {
		return systemNameservers(resolvConf)
	}
	if len(list) > MaxNameservers {
		return nil, fmt.Errorf("%d nameservers; at most %d can be asked", len(list), MaxNameservers)
	}
	servers := make([]netip.AddrPort, 0, len(list))
	for _, s := range list {
		server, err := parseNameserver(s)
		if err != nil {
			return nil, err
		}
		servers = append(servers, server)
	}
	return servers, nil
}

func parseNameserver(s string) (netip.AddrPort, error) {
	if ap, err := netip.ParseAddrPort(s); err == nil && ap.Port() != 0 {
		return ap, nil
	}
	bare, ok := s, true
	if strings.HasPrefix(s, "[") {
		bare, ok = strings.CutSuffix(s[1:], "]")
	}
	addr, err := netip.ParseAddr(bare)
	if err != nil || !ok {
		return netip.AddrPort{}, fmt.Errorf("nameserver %q: want an address such as 127.0.0.1, ::1, 127.0.0.1:5353 or [::1]:5353", s)
	}
	return netip.AddrPortFrom(addr, defaultPort), nil
}

// systemNameservers reads a file in the form of resolv.conf(5). A file that is
// missing or names no server means 127.0.0.1, as it does for the C library.
func systemNameservers(path string) ([]netip.AddrPort, error) {
	var servers []netip.AddrPort
	conf, err := dns.ClientConfigFromFile(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return nil, fmt.Errorf("nameservers: %w", err)
	default:
		for _, s := range conf.Servers {
			if addr, err := netip.ParseAddr(s); err == nil && len(servers) < MaxNameservers {
				servers = append(servers, netip.AddrPortFrom(addr, defaultPort))
			}
		}
	}
	if len(servers) == 0 {
		servers = append(servers, netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), defaultPort))
	}
	return servers, nil
}

// LookupTXT returns the TXT records of name, each with its strings joined, in
// the order of the answer. CNAMEs are followed.
//
// No records and a nil error mean that the name or the type does not exist; so
// does a name that no key and no policy has: one with other octets than letters,
// digits, "-" and "_" is not asked for here (it is in Ask). An error means that the question could not
// be answered for now; it names the question, the nameserver and the cause.
// authentic is the AD bit of the answer (RFC 6840 §5.8): it is worth as much as
// the way to the nameserver is.
//
// Many askers of one name share one query. An asker whose ctx ends leaves with
// an error that wraps ctx.Err(), and the query goes on for the others and for
// the cache.
func (c *Client) LookupTXT(ctx context.Context, name string) (txt []string, authentic bool, err error) {
	return c.lookup(ctx, name, false)
}

// Anew asks name servers whatever is remembered, for those who wait for a change.
type Anew struct{ *Client }

// LookupTXT is Client.LookupTXT past the cache. What it finds is remembered; trouble
// is not.
func (a Anew) LookupTXT(ctx context.Context, name string) (txt []string, authentic bool, err error) {
	return a.lookup(ctx, name, true)
}

func (c *Client) lookup(ctx context.Context, name string, anew bool) (txt []string, authentic bool, err error) {
	key, ok := canonicalName(name)
	if !ok {
		return nil, false, nil
	}
	if err := ctx.Err(); err != nil {
		return nil, false, fmt.Errorf("TXT %s: not asked: %w", key, err)
	}
	shared := key
	if anew {
		shared += " anew"
	} else {
		a, ok := c.cache.get(key)
		c.stats.cached(ok)
		if ok {
			return slices.Clone(a.txt), a.authentic, a.err
		}
	}
	pace := c.pace(ctx)
	flight := c.flights.DoChan(shared, func() (any, error) { return c.fly(key, pace, anew), nil })
	select {
	case r := <-flight:
		a := r.Val.(*answer)
		return slices.Clone(a.txt), a.authentic, a.err
	case <-ctx.Done():
		return nil, false, c.left(ctx, question{key, dns.TypeTXT})
	}
}

// pace is the time in which every nameserver gets its turn, for an asker with ctx.
func (c *Client) pace(ctx context.Context) time.Duration {
	if deadline, ok := ctx.Deadline(); ok {
		return min(c.timeout, time.Until(deadline))
	}
	return c.timeout
}

// left is the error of an asker whose ctx has ended before the answer came.
func (c *Client) left(ctx context.Context, q question) error {
	return fmt.Errorf("%s: no answer yet from %s: %w", q, c.serverNames(), ctx.Err())
}

// fly answers one question for all who ask it now, and files the answer in
// the cache. For pace and anew see there. It runs in a goroutine of its own, so a
// panic below must end here.
func (c *Client) fly(key string, pace time.Duration, anew bool) (a *answer) {
	defer func() {
		if p := recover(); p != nil {
			a = &answer{err: fmt.Errorf("TXT %s: panic: %v", key, p)}
		}
	}()
	if a, ok := c.cache.get(key); ok && !anew {
		return a // another flight landed since the caller looked
	}
	reply, err := c.ask(context.Background(), question{key, dns.TypeTXT}, pace)
	a = &answer{txt: texts(reply.Records), authentic: reply.Authentic, ttl: reply.TTL, err: err}
	if err != nil {
		a.ttl = failureTTL
	}
	if a.err == nil || !anew {
		c.cache.put(key, a)
	}
	return a
}

// ask waits for its turn, asks, and counts it.
func (c *Client) ask(ctx context.Context, q question, pace time.Duration) (reply Reply, err error) {
	began := time.Now()
	defer func() { c.stats.asked(len(reply.Records), err, time.Since(began)) }()
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	select {
	case c.slots <- struct{}{}:
		defer func() { <-c.slots }()
	case <-ctx.Done():
		return Reply{}, fmt.Errorf("%s: not asked: %d other questions are under way; look whether %s answers", q, cap(c.slots), c.serverNames())
	}
	if reply, err = c.resolve(ctx, q, pace); err != nil {
		return Reply{}, fmt.Errorf("%s: %w", q, err)
	}
	return reply, nil
}

func (c *Client) serverNames() string {
	names := make([]string, len(c.servers))
	for i, s := range c.servers {
		names[i] = s.String()
	}
	return strings.Join(names, ", ")
}
