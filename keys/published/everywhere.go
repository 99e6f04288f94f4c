package published

import (
	"context"
	"crypto"
	"time"

	"github.com/postseal/postseal/milter/resolver"
)

// Seen is what one name server shows of a key.
type Seen struct {
	// Server is the name server's name, "" for one that was named by its address, and
	// Address where it was asked.
	Server, Address string
	// Shows: it has exactly this key, and nothing that verifiers would take instead.
	Shows bool
	// Silent: it gave no answer. It may show the key to others.
	Silent bool
	// Why says in a sentence why it does not show the key.
	Why string
	// TTL is how long others may remember what it said, the answer that there is no record
	// included.
	TTL time.Duration
}

// Sight is what a domain's name servers show of a key.
type Sight struct {
	// Zone is the zone that the record lies in.
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

// NameServer is a name server to be asked in place of a domain's own.
type NameServer struct {
	// Address is what people call it.
	Address string
	resolver.Asker
}

// At asks these name servers for the record of a key, all at once.
func At(ctx context.Context, servers []NameServer, domain, selector string, pub crypto.PublicKey) (Sight, error) {
	panic("being written")
}
