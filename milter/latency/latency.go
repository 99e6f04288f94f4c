// Package latency counts durations by size.
package latency

import (
	"slices"
	"time"
)

// bounds are what the durations are compared with: from the time that an Ed25519
// signature takes to more than a look-up may (dns_timeout).
var bounds = [...]time.Duration{
	500 * time.Microsecond, time.Millisecond, 2500 * time.Microsecond, 5 * time.Millisecond, 10 * time.Millisecond,
	25 * time.Millisecond, 50 * time.Millisecond, 100 * time.Millisecond, 250 * time.Millisecond, 500 * time.Millisecond,
	time.Second, 2500 * time.Millisecond, 5 * time.Second, 10 * time.Second,
}

// Histogram counts durations; the zero value has none. It is not safe for
// concurrent use, and copied by assignment.
type Histogram struct {
	counts [len(bounds) + 1]uint64
	sum    time.Duration
}

// Observe counts a duration.
func (h *Histogram) Observe(d time.Duration) {
	i, _ := slices.BinarySearch(bounds[:], d)
	h.counts[i]++
	h.sum += d
}

// Seconds tells, in seconds, the upper bounds of the counts, ascending, and the
// sum of all durations. The counts are of the durations above the bound before and
// not above their own; the last is of those above all bounds.
func (h *Histogram) Seconds() (upper []float64, counts []uint64, sum float64) {
	for _, b := range bounds {
		upper = append(upper, b.Seconds())
	}
	return upper, slices.Clone(h.counts[:]), h.sum.Seconds()
}
