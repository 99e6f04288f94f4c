package load

import (
	"math/bits"
	"time"
)

// Latency are quantiles of the time that messages took, within two per cent; Max
// is exact. They are zero where no message came back as wanted.
type Latency struct {
	P50, P90, P99, Max time.Duration
}

const (
	// Each power of two nanoseconds has this many buckets.
	subBits    = 6
	subBuckets = 1 << subBits
	// buckets reach to more than an hour.
	buckets = (44 - subBits + 1) * subBuckets
)

// histogram counts durations in buckets whose width grows with the duration, so
// that its size does not depend on how many there are.
type histogram struct {
	counts [buckets]uint64
	total  uint64
	max    time.Duration
}

func (h *histogram) add(d time.Duration) {
	h.counts[bucket(d)]++
	h.total++
	h.max = max(h.max, d)
}

// bucket is the place of a duration: its highest bit and the subBits below it.
func bucket(d time.Duration) int {
	v := uint64(max(d, 0))
	if v < subBuckets {
		return int(v)
	}
	shift := bits.Len64(v) - 1 - subBits
	return min((shift+1)*subBuckets+int(v>>shift)-subBuckets, buckets-1)
}

// middle is the duration in the middle of a bucket.
func middle(b int) time.Duration {
	if b < subBuckets {
		return time.Duration(b)
	}
	shift := b/subBuckets - 1
	low := uint64(subBuckets+b%subBuckets) << shift
	return time.Duration(low + uint64(1)<<shift/2)
}

func (h *histogram) merge(o *histogram) {
	for i, n := range o.counts {
		h.counts[i] += n
	}
	h.total += o.total
	h.max = max(h.max, o.max)
}

func (h *histogram) quantiles() Latency {
	return Latency{P50: h.quantile(50), P90: h.quantile(90), P99: h.quantile(99), Max: h.max}
}

// quantile is the duration that percent of all do not exceed.
func (h *histogram) quantile(percent uint64) time.Duration {
	if h.total == 0 {
		return 0
	}
	rank, seen := (h.total*percent+99)/100, uint64(0)
	for b, n := range h.counts {
		if seen += n; seen >= rank {
			return min(middle(b), h.max)
		}
	}
	return h.max
}
