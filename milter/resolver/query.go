package resolver

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"
	"time"

	"github.com/miekg/dns"
)

const (
	// maxHops bounds a chain of CNAMEs over all answers of a look-up.
	maxHops = 8
	// minTries and rounds: a lone nameserver is asked three times, several are
	// asked twice each.
	minTries = 3
	rounds   = 2
)

// errChain ends CNAMEs that lead nowhere.
var errChain = fmt.Errorf("CNAME chain loops or is longer than %d", maxHops)

// question is what name servers are asked: a name as [owner] makes it of a message's,
// and a type.
type question struct {
	name  string
	qtype uint16
}

func (q question) String() string { return dns.Type(q.qtype).String() + " " + q.name }

// resolve asks q, and on where CNAMEs lead when an answer stops in the middle of a
// chain.
func (c *Client) resolve(ctx context.Context, q question, pace time.Duration) (Reply, error) {
	var (
		result = Reply{Authentic: true, TTL: maxPositiveTTL}
		hops   int
	)
	for {
		msg, err := c.query(ctx, q, pace)
		if err != nil {
			return Reply{}, err
		}
		part, err := read(msg, q, maxHops-hops)
		if err != nil {
			return Reply{}, err
		}
		if hops == 0 {
			result.Exists = msg.Rcode != dns.RcodeNameError || part.hops > 0 || len(part.records) > 0
			result.Authoritative = msg.Authoritative
		}
		hops += part.hops
		result.Records = part.records
		result.Authentic = result.Authentic && msg.AuthenticatedData
		result.TTL = min(result.TTL, part.ttl)
		if part.next == "" {
			return result, nil
		}
		q.name = part.next
	}
}

// reply is what one try came to.
type reply struct {
	server netip.AddrPort
	msg    *dns.Msg
	err    error
}

// tries is how often so many nameservers are asked one question.
func tries(servers int) int { return max(minTries, rounds*servers) }

// query asks the nameservers in turn until one answers. A try that stays
// silent is not given up when the next one starts: a slow answer still counts.
// A refusal starts the next try at once. pace is the time over which the tries
// are spread; ctx ends them all.
func (c *Client) query(ctx context.Context, q question, pace time.Duration) (*dns.Msg, error) {
	tries := tries(len(c.servers))
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()

	replies := make(chan reply, tries)
	next := time.NewTimer(0)
	defer next.Stop()

	var (
		open, begun int
		refusals    = make(map[netip.AddrPort]error)
	)
	for {
		select {
		case <-next.C:
			server, ok := c.nextServer(begun, refusals)
			if !ok || begun == tries {
				continue
			}
			begun++
			open++
			go func() { replies <- try(ctx, c.network, server, q) }()
			next.Reset(max(pace/time.Duration(tries), time.Millisecond))
		case r := <-replies:
			open--
			if r.err == nil {
				return r.msg, nil
			}
			if ctx.Err() == nil && !timedOut(r.err) {
				refusals[r.server] = r.err
			}
			if _, more := c.nextServer(begun, refusals); more && begun < tries {
				next.Reset(0)
			} else if open == 0 {
				return nil, c.failure(refusals)
			}
		case <-ctx.Done():
			return nil, c.failure(refusals)
		}
	}
}

// timedOut reports whether a try ended with the time for it, which a connection's
// own timer may find before the context's does.
func timedOut(err error) bool {
	var netErr net.Error
	return errors.As(err, &netErr) && netErr.Timeout()
}

// nextServer returns the server of try number n, without those that refused.
func (c *Client) nextServer(n int, refusals map[netip.AddrPort]error) (netip.AddrPort, bool) {
	for i := range c.servers {
		if s := c.servers[(n+i)%len(c.servers)]; refusals[s] == nil {
			return s, true
		}
	}
	return netip.AddrPort{}, false
}

// failure says of every server what it did: refuse, with the cause, or nothing.
func (c *Client) failure(refusals map[netip.AddrPort]error) error {
	var (
		errs   []error
		silent []string
	)
	for _, s := range c.servers {
		if err := refusals[s]; err != nil {
			errs = append(errs, err)
		} else {
			silent = append(silent, s.String())
		}
	}
	if len(silent) > 0 {
		errs = append(errs, silence(fmt.Sprintf("no answer from %s within %s", strings.Join(silent, ", "), c.timeout)))
	}
	return &failure{errs}
}

// silence is the error of servers that do not answer; it is an
// os.ErrDeadlineExceeded.
type silence string

func (s silence) Error() string { return string(s) }

// Is implements errors.Is.
func (s silence) Is(target error) bool { return target == os.ErrDeadlineExceeded }

// failure joins the servers' errors on one line: it goes into a log line.
type failure struct{ errs []error }

func (f *failure) Error() string {
	texts := make([]string, len(f.errs))
	for i, err := range f.errs {
		texts[i] = err.Error()
	}
	return strings.Join(texts, "; ")
}

func (f *failure) Unwrap() error { return errors.Join(f.errs...) }
