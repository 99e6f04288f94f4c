package resolver

import (
	"context"
	"fmt"
	"time"

	"github.com/miekg/dns"
)

// Reply is what DNS says to one question.
type Reply struct {
	// Records are those of the type that was asked for, at the name or where its
	// CNAMEs lead.
	Records []dns.RR
	// Exists is false if there is no such name (NXDOMAIN). A name that exists may
	// have no such records; one with a CNAME exists wherever that leads.
	Exists bool
	// Authentic is the AD bit (RFC 6840 §5.8).
	Authentic bool
	// Authoritative is the AA bit: the server that was asked keeps the name's zone
	// (RFC 1035 §4.1.1). One that does not recurse and says no is lame.
	Authoritative bool
	// TTL is the least of Records and of the CNAMEs on the way to them, or without
	// records how long that is sure.
	TTL time.Duration
}

// Asker answers DNS questions of any type: a Client, or Records.
type Asker interface {
	LookupTXT(ctx context.Context, name string) (txt []string, authentic bool, err error)
	// Ask asks name servers, past the cache, for records of type qtype
	// (dns.TypeMX …). The error means that there is no answer for now. A name that DNS
	// cannot hold does not exist.
	Ask(ctx context.Context, name string, qtype uint16) (Reply, error)
}

// Ask implements Asker. CNAMEs are followed, save where they are asked for. name may
// have any octets, as the macros of SPF make them (RFC 7208 §7): each stands for
// itself, and dots part the labels. dns.TypeANY is no one type and not answered.
//
// The question is asked at once, for this asker alone; what it finds is not
// remembered.
func (c *Client) Ask(ctx context.Context, name string, qtype uint16) (Reply, error) {
	key, ok := wireName(name)
	if !ok {
		return Reply{}, nil
	}
	q := question{key, qtype}
	if err := ctx.Err(); err != nil {
		return Reply{}, fmt.Errorf("%s: not asked: %w", q, err)
	}
	reply, err := c.ask(ctx, q, c.pace(ctx))
	if err != nil && ctx.Err() != nil {
		return Reply{}, c.left(ctx, q)
	}
	return reply, err
}
