// Package monitor shows how a daemon does, over HTTP: metrics for Prometheus,
// health and readiness for service managers, and a status page for people. All
// of them derive from one [Status]; it knows nothing else of the daemon.
package monitor

import "time"

// Status is how a daemon does. Whoever makes one hands over its maps and slices.
// The keys of maps are closed sets: nothing that a stranger writes is among them.
type Status struct {
	Version string
	// GoVersion is what it was built with.
	GoVersion string
	PID       int
	Started   time.Time
	// Listeners are the sockets for the MTA that are open.
	Listeners []Listener
	// Stopping: no more connections are taken.
	Stopping bool
	// Sandbox is what keeps the daemon to its files, in words.
	Sandbox string

	// Connections are open now, of at most MaximumConnections.
	Connections, MaximumConnections int
	// Accepted, Evicted and Refused count connections since the start: those that
	// found room, those of them that were closed to make some, and those that found
	// none.
	Accepted, Evicted, Refused uint64

	// Messages counts those that have ended.
	Messages map[Outcome]uint64
	// Reasons counts the steps of decisions by code.
	Reasons map[string]uint64
	// Actions counts messages by what the MTA was told: accept, reject and so on.
	Actions map[string]uint64
	// Signatures counts signatures that were made, by algorithm (rsa-sha256).
	Signatures map[string]uint64
	// Verified counts signatures that were verified, by result (RFC 8601 §2.7.1).
	Verified map[string]uint64
	// Duration is the time from the end of a message to the answer, in seconds.
	Duration Histogram

	DNS DNS

	// Reloads counts those that took effect, FailedReloads the others.
	Reloads, FailedReloads uint64
	// LastReload is the last of either kind; zero: none.
	LastReload time.Time
	// Problems are those of the last reload; none: it took effect.
	Problems []string

	// Keys are the first MostKeys keys of the configuration, those that cannot
	// sign first, of KeyCount.
	Keys     []Key
	KeyCount int
	// KeyStates counts all keys by state: ready, unread, stale or disabled.
	KeyStates map[string]int
	// Rotation counts keys by the state that rotation has them in: pending, published,
	// active, retiring or retired; nil where there is none.
	Rotation map[string]int
	// Published counts keys by what DNS says of them. Unasked says why DNS is not
	// asked about keys, empty if it is.
	Published map[Publication]int
	Unasked   string

	// Troubles are the last messages that were refused, deferred or failed, the
	// newest first.
	Troubles []Trouble
}

// MostKeys is how many keys a Status lists.
const MostKeys = 200

// Listener is a socket for the MTA.
type Listener struct {
	Name    string // as configured
	Address string // as opened
	// Inherited: whoever started the daemon opened it.
	Inherited bool
	// Unreachable is why nobody can connect all the same; empty if they can.
	Unreachable string
}

// Outcome is how a message ended. Both words are of closed sets.
type Outcome struct {
	// Decision is sign, verify, pass, bad_from, malformed or refuse.
	Decision string
	// Result is what came of it: of sign "signed" or "unsigned"; of verify the best
	// result of a signature, "pass" before all, or "none"; of the others "none".
	Result string
}

// DNS is what the look-ups of keys came to.
type DNS struct {
	// Lookups counts questions to name servers by outcome: "found", "absent" (no
	// such name or record), "timeout" or "failure".
	Lookups map[string]uint64
	// Duration is how long they took, in seconds.
	Duration Histogram
	// CacheHits and CacheMisses count what was answered from memory, and what not.
	CacheHits, CacheMisses uint64
}

// Histogram counts values by size.
type Histogram struct {
	// Bounds are upper bounds, ascending. Counts has for each of them how many
	// values are not above it and above the one before, and one more for the rest.
	Bounds []float64
	Counts []uint64
	Sum    float64
}

// Key is a key of the configuration. Nothing of its private half is in it.
type Key struct {
	Name, Domain, Selector string
	// Algorithm is rsa or ed25519, Bits its size; unknown before a key was read.
	Algorithm string
	Bits      int
	// State is ready, unread, stale or disabled, and Error why it is one of the
	// last two.
	State, Error string
	// Unused: nothing is signed with it. Rotation is the state that rotation has it in, ""
	// for none.
	Unused   bool
	Rotation string
	// Published is what DNS says of it, Finding why, in a sentence, and Asked when;
	// zero: not yet.
	Published Publication
	Finding   string
	Asked     time.Time
}

// Publication is what DNS says of a key.
type Publication string

const (
	// Unknown: not asked, or nobody answered.
	Unknown Publication = "unknown"
	// Published: the record is that of this key, and can be used.
	Published Publication = "published"
	// Missing: there is no record.
	Missing Publication = "missing"
	// Different: the record is that of another key, or cannot be used.
	Different Publication = "different"
)

// Trouble is a message that did not go as it should.
type Trouble struct {
	Time    time.Time
	QueueID string
	// Times is how many there were that differ in nothing else; the last is told of.
	Times int
	// Decision is as in Outcome, Action what the MTA was told.
	Decision, Action string
	// Domain is the author's.
	Domain string
	// Reason is why, in the words of the log, with names in quotes; what was last
	// comes first. Nothing of the message but domains and selectors is in it.
	Reason string
}
