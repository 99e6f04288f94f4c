package zone

import (
	"context"
	"time"

	"github.com/postseal/postseal/milter/resolver"
)

// Change is what shall become of the TXT records of one name.
type Change struct {
	// Name is the full name, in A-labels.
	Name string
	// Before are all TXT records that stand there, as Updater.Look has found them. The
	// name server changes nothing if others do: nobody's record is lost.
	Before []string
	// After are those that shall stand there; none deletes them.
	After []string
	// TTL is that of the records which are added, 0 for DefaultTTL.
	TTL time.Duration
}

// DefaultTTL is that of records which say nothing else: short enough for a
// mistake to be mended soon.
const DefaultTTL = time.Hour

// Updater changes zones on a name server (RFC 2136).
type Updater struct {
	// Server is the name server, ADDRESS or ADDRESS:PORT; where it is empty, the primary
	// that the zone's SOA names.
	Server string
	// Key signs what is asked, and what is answered has to be signed with it; nil where the
	// name server goes by addresses.
	Key *TSIG
	// DNS finds the zone and its primary where Server is empty.
	DNS resolver.Asker
	// Timeout bounds each question; 0 means 10 s.
	Timeout time.Duration
	// Now is the clock of the signatures, nil for time.Now.
	Now func() time.Time
}

// Look returns the TXT records at a name, as the name server that Update would ask has
// them. An alias (CNAME) there is an error.
func (u *Updater) Look(ctx context.Context, name string) ([]string, error) { panic("being written") }

// Update makes changes, one after the other, each whole or not at all. What stands as it
// shall is left as it is: a second run changes nothing. done is called after each, nil
// for nobody. The error is the first one's: in words, with what to do.
func (u *Updater) Update(ctx context.Context, changes []Change, done func(Change)) error {
	panic("being written")
}
