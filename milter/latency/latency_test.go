package latency

import (
	"math"
	"slices"
	"testing"
	"time"
)

func TestHistogram(t *testing.T) {
	for _, row := range []struct {
		name  string
		d     time.Duration
		bound float64 // of the count that it is in
	}{
		{"none", 0, 0.0005},
		{"a clock that went back", -time.Second, 0.0005},
		{"on a bound", time.Millisecond, 0.001},
		{"just above it", time.Millisecond + 1, 0.0025},
		{"on the last bound", 10 * time.Second, 10},
		{"above all", time.Hour, math.Inf(1)},
	} {
		t.Run(row.name, func(t *testing.T) {
			var h Histogram
			h.Observe(row.d)
			h.Observe(row.d)
			upper, counts, sum := h.Seconds()
			if !slices.IsSorted(upper) || len(counts) != len(upper)+1 {
				t.Fatalf("bounds %v, %d counts", upper, len(counts))
			}
			for i, bound := range append(upper, math.Inf(1)) {
				want := uint64(0)
				if bound == row.bound {
					want = 2
				}
				if counts[i] != want {
					t.Errorf("%d up to %v, want %d", counts[i], bound, want)
				}
			}
			if want := 2 * row.d.Seconds(); sum != want {
				t.Errorf("the sum is %v, want %v", sum, want)
			}
		})
	}
}

// A copy stays as it was.
func TestCopy(t *testing.T) {
	var h Histogram
	h.Observe(time.Second)
	before := h
	_, counts, _ := before.Seconds()
	h.Observe(time.Second)
	if _, now, _ := before.Seconds(); !slices.Equal(counts, now) {
		t.Errorf("%v became %v", counts, now)
	}
}
