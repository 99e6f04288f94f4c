package monitor

import (
	"context"
	"sync"
	"time"
)

const (
	// sampleEvery is how often a Status is kept, historyLong for how long.
	sampleEvery = 10 * time.Second
	historyLong = time.Hour
	// longestGap is how far apart two samples may be to speak of the time between
	// them: a process that was stopped for longer leaves a gap.
	longestGap = 4 * sampleEvery
	// minutes is how many parts the history is drawn in.
	minutes = int(historyLong / time.Minute)
)

// history keeps the counters of the last hour. The zero value is empty.
type history struct {
	mu      sync.Mutex
	samples []sample // a ring once it is full
	next    int      // where the next one goes then
}

// sample is what of a Status is drawn over time.
type sample struct {
	at       time.Time
	messages map[Outcome]uint64
	actions  map[string]uint64
	lookups  map[string]uint64
	duration Histogram
}

// run keeps a sample for each tick, until ctx ends.
func (h *history) run(ctx context.Context, ticks <-chan time.Time, status func() Status, now func() time.Time) {
	h.keep(now(), status())
	for {
		select {
		case <-ticks:
			h.keep(now(), status())
		case <-ctx.Done():
			return
		}
	}
}

func (h *history) keep(at time.Time, s Status) {
	kept := sample{at, s.Messages, s.Actions, s.DNS.Lookups, s.Duration}
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.samples) <= int(historyLong/sampleEvery) {
		h.samples = append(h.samples, kept)
		return
	}
	h.samples[h.next] = kept
	h.next = (h.next + 1) % len(h.samples)
}

// change is what happened in some time.
type change struct {
	over     time.Duration // that was watched
	messages map[Outcome]uint64
	actions  map[string]uint64
	lookups  map[string]uint64
	duration Histogram
}

// parts returns the time of the last sample and what happened in each minute
// before it, the oldest first. A part that was not watched has no time.
func (h *history) parts() (end time.Time, parts [minutes]change) {
	h.mu.Lock()
	samples := append(append([]sample(nil), h.samples[h.next:]...), h.samples[:h.next]...)
	h.mu.Unlock()
	if len(samples) == 0 {
		return time.Time{}, parts
	}
	end = samples[len(samples)-1].at
	for i, to := range samples[1:] {
		from := samples[i]
		over := to.at.Sub(from.at)
		if over <= 0 || over > longestGap {
			continue
		}
		ago := int((end.Sub(to.at) + over/2) / time.Minute)
		if ago >= minutes {
			continue
		}
		part := &parts[minutes-1-ago]
		part.over += over
		part.add(from, to)
	}
	return end, parts
}

// add adds what happened between two samples. Counters that became smaller have
// begun anew with nothing.
func (c *change) add(from, to sample) {
	if fell(from.messages, to.messages) || fell(from.actions, to.actions) || fell(from.lookups, to.lookups) {
		from = sample{}
	}
	c.messages = grown(c.messages, from.messages, to.messages)
	c.actions = grown(c.actions, from.actions, to.actions)
	c.lookups = grown(c.lookups, from.lookups, to.lookups)
	c.duration = c.duration.plus(to.duration.minus(from.duration))
}

// join adds another change.
func (c *change) join(o change) {
	c.over += o.over
	c.add(sample{}, sample{messages: o.messages, actions: o.actions, lookups: o.lookups, duration: o.duration})
}

func fell[K comparable](from, to map[K]uint64) bool {
	for k, n := range from {
		if to[k] < n {
			return true
		}
	}
	return false
}

// grown is sum with what to has more than from.
func grown[K comparable](sum, from, to map[K]uint64) map[K]uint64 {
	if sum == nil {
		sum = make(map[K]uint64, len(to))
	}
	for k, n := range to {
		sum[k] += n - from[k]
	}
	return sum
}

// minus is what h has counted more than before, all of it where they do not
// compare.
func (h Histogram) minus(before Histogram) Histogram {
	d := Histogram{Bounds: h.Bounds, Counts: append([]uint64(nil), h.Counts...), Sum: h.Sum - before.Sum}
	if len(before.Counts) != len(h.Counts) {
		return d
	}
	for i, n := range before.Counts {
		if d.Counts[i] < n {
			return h
		}
		d.Counts[i] -= n
	}
	return d
}

// plus is both together, h alone where they do not compare.
func (h Histogram) plus(o Histogram) Histogram {
	switch len(h.Counts) {
	case len(o.Counts):
	case 0:
		return o
	default:
		return h
	}
	sum := Histogram{Bounds: h.Bounds, Counts: append([]uint64(nil), h.Counts...), Sum: h.Sum + o.Sum}
	for i, n := range o.Counts {
		sum.Counts[i] += n
	}
	return sum
}

// quantile estimates the value that the share q of all values is not above, as if
// they lay evenly between two bounds. Of those above the last bound nothing is
// known but that: they count as being on it. ok is false where there are none.
func (h Histogram) quantile(q float64) (value float64, ok bool) {
	var all uint64
	for _, n := range h.Counts {
		all += n
	}
	if all == 0 || len(h.Bounds) == 0 {
		return 0, false
	}
	rank, below, lower := q*float64(all), 0.0, 0.0
	for i, upper := range h.Bounds {
		n := float64(h.Counts[i])
		if n > 0 && below+n >= rank {
			return lower + (upper-lower)*(rank-below)/n, true
		}
		below += n
		lower = upper
	}
	return h.Bounds[len(h.Bounds)-1], true
}
