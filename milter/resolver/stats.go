package resolver

import (
	"errors"
	"maps"
	"os"
	"sync"
	"time"

	"github.com/postseal/postseal/milter/latency"
)

// Outcome is what a question to name servers came to.
type Outcome string

// The outcomes of questions.
const (
	// Found: there are records.
	Found Outcome = "found"
	// Absent: the name is not there, or has no such record.
	Absent Outcome = "absent"
	// TimedOut: a name server did not answer in time, and none answered well.
	TimedOut Outcome = "timeout"
	// Failed: the name servers refused, or what they said cannot be used.
	Failed Outcome = "failure"
)

// Stats count the look-ups of clients. One may outlive them, and several share it.
type Stats struct {
	mu     sync.Mutex
	counts Counts
}

// Counts are look-ups since the start.
type Counts struct {
	// Lookups counts questions to name servers, and Duration how long they took
	// with all tries and the wait for their turn. Many askers of one name share one.
	Lookups  map[Outcome]uint64
	Duration latency.Histogram
	// CacheHits and CacheMisses count askers who were answered from memory, and who
	// were not.
	CacheHits, CacheMisses uint64
}

// Counts returns a copy. Every outcome is in it.
func (s *Stats) Counts() Counts {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.counts
	c.Lookups = map[Outcome]uint64{Found: 0, Absent: 0, TimedOut: 0, Failed: 0}
	maps.Copy(c.Lookups, s.counts.Lookups)
	return c
}

func (s *Stats) cached(hit bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if hit {
		s.counts.CacheHits++
	} else {
		s.counts.CacheMisses++
	}
}

// asked counts a question that came to so many records or to err.
func (s *Stats) asked(records int, err error, took time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.counts.Lookups == nil {
		s.counts.Lookups = map[Outcome]uint64{}
	}
	s.counts.Lookups[outcome(records, err)]++
	s.counts.Duration.Observe(took)
}

func outcome(records int, err error) Outcome {
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return TimedOut
	case err != nil:
		return Failed
	case records == 0:
		return Absent
	}
	return Found
}
