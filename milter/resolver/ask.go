package resolver

import (
	"context"
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
	// TTL is the least of Records and of the CNAMEs on the way to them, or without
	// records how long that is sure.
	TTL time.Duration
}

// Asker answers DNS questions of any type: a Client, or Records.
type Asker interface {
	LookupTXT(ctx context.Context, name string) (txt []string, authentic bool, err error)
	// Ask asks name servers, past the cache, for records of type qtype
	// (dns.TypeMX …). The error means that there is no answer for now.
	Ask(ctx context.Context, name string, qtype uint16) (Reply, error)
}
