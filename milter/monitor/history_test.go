package monitor

import (
	"context"
	"math"
	"testing"
	"time"
)

// counted is a Status after so many messages that were signed, each in 3 ms, and a
// look-up in DNS for each ten.
func counted(messages uint64) Status {
	return Status{
		Messages: map[Outcome]uint64{{"sign", "signed"}: messages},
		Actions:  map[string]uint64{"accept": messages},
		DNS:      DNS{Lookups: map[string]uint64{"found": messages / 10}},
		Duration: Histogram{Bounds: []float64{0.001, 0.005}, Counts: []uint64{0, messages, 0}, Sum: float64(messages) * 0.003},
	}
}

func TestHistory(t *testing.T) {
	type look struct {
		after time.Duration
		count uint64
	}
	// steady are samples of six messages a minute.
	steady := func(from, to time.Duration) (looks []look) {
		for at := from; at <= to; at += sampleEvery {
			looks = append(looks, look{at, uint64(at / sampleEvery)})
		}
		return looks
	}
	const minute = time.Minute
	for _, row := range []struct {
		name  string
		looks []look
		// Of the last minutes, the newest first: messages, and how long was watched.
		messages []uint64
		watched  []time.Duration
		hour     uint64
	}{
		{"nothing yet", nil, []uint64{0, 0}, []time.Duration{0, 0}, 0},
		{"one look", []look{{0, 1000}}, []uint64{0, 0}, []time.Duration{0, 0}, 0},
		{"two looks", []look{{0, 1000}, {sampleEvery, 1007}}, []uint64{7, 0}, []time.Duration{sampleEvery, 0}, 7},
		{"steady", steady(0, 3*minute), []uint64{6, 6, 6, 0}, []time.Duration{minute, minute, minute, 0}, 18},
		{"two hours", steady(0, 120*minute), []uint64{6, 6, 6}, []time.Duration{minute, minute, minute}, 360},
		{"late looks", []look{{0, 0}, {20 * time.Second, 2}, {60 * time.Second, 6}, {75 * time.Second, 8}},
			[]uint64{6, 2}, []time.Duration{55 * time.Second, 20 * time.Second}, 8},
		{"begun anew", []look{{0, 1000}, {10 * time.Second, 1006}, {20 * time.Second, 4}, {30 * time.Second, 5}},
			[]uint64{11}, []time.Duration{30 * time.Second}, 11},
		{"a gap", append(steady(0, minute), steady(3*minute, 4*minute)...),
			[]uint64{6, 0, 0, 6}, []time.Duration{minute, 0, 0, minute}, 12},
		{"two looks at once", []look{{0, 1}, {0, 2}, {sampleEvery, 5}}, []uint64{3}, []time.Duration{sampleEvery}, 3},
		{"a clock that goes back", []look{{minute, 1}, {0, 2}, {sampleEvery, 5}}, []uint64{3}, []time.Duration{sampleEvery}, 3},
	} {
		t.Run(row.name, func(t *testing.T) {
			var h history
			for _, l := range row.looks {
				h.keep(noon.Add(l.after), counted(l.count))
			}
			end, parts := h.parts()
			if n := len(row.looks); n > 0 && !end.Equal(noon.Add(row.looks[n-1].after)) {
				t.Errorf("it ends at %v", end)
			}
			signed := Outcome{"sign", "signed"}
			var hour change
			for i, part := range parts {
				hour.join(part)
				if ago := minutes - 1 - i; ago < len(row.messages) {
					if part.messages[signed] != row.messages[ago] || part.over != row.watched[ago] || part.actions["accept"] != row.messages[ago] {
						t.Errorf("%d minutes ago: %d messages in %v, want %d in %v", ago, part.messages[signed], part.over, row.messages[ago], row.watched[ago])
					}
					if value, ok := part.duration.quantile(1); ok != (row.messages[ago] > 0) || ok && value != 0.005 {
						t.Errorf("%d minutes ago: at most %v s, %t", ago, value, ok)
					}
				}
			}
			if hour.messages[signed] != row.hour {
				t.Errorf("%d in the hour, want %d", hour.messages[signed], row.hour)
			}
			if len(h.samples) > int(historyLong/sampleEvery)+1 {
				t.Errorf("%d samples are kept", len(h.samples))
			}
		})
	}
}

// A sample is kept at the start and with each tick, until the end.
func TestHistoryRun(t *testing.T) {
	var h history
	at := noon
	ctx, cancel := context.WithCancel(t.Context())
	ticks, ended := make(chan time.Time), make(chan struct{})
	status := func() Status { return counted(uint64(at.Sub(noon) / time.Second)) }
	go func() {
		h.run(ctx, ticks, status, func() time.Time { defer func() { at = at.Add(sampleEvery) }(); return at })
		close(ended)
	}()
	for range 4 {
		ticks <- time.Time{}
	}
	cancel()
	<-ended
	end, parts := h.parts()
	if len(h.samples) != 5 || !end.Equal(noon.Add(4*sampleEvery)) || parts[minutes-1].messages[Outcome{"sign", "signed"}] != 40 {
		t.Errorf("%d samples to %v with %v", len(h.samples), end, parts[minutes-1])
	}
}

func TestQuantile(t *testing.T) {
	for _, row := range []struct {
		name   string
		counts []uint64
		q      float64
		want   float64
		ok     bool
	}{
		{"none", []uint64{0, 0, 0, 0}, 0.5, 0, false},
		{"no histogram", nil, 0.5, 0, false},
		{"half of the first", []uint64{10, 0, 0, 0}, 0.5, 0.05, true},
		{"all of the first", []uint64{10, 0, 0, 0}, 1, 0.1, true},
		{"in the second", []uint64{50, 50, 0, 0}, 0.75, 0.15, true},
		{"on a bound", []uint64{50, 50, 0, 0}, 0.5, 0.1, true},
		{"over an empty one", []uint64{50, 0, 50, 0}, 0.75, 0.6, true},
		{"99 of 100", []uint64{99, 0, 1, 0}, 0.99, 0.1, true},
		{"above all bounds", []uint64{1, 0, 0, 99}, 0.5, 1, true},
	} {
		t.Run(row.name, func(t *testing.T) {
			h := Histogram{Counts: row.counts}
			if row.counts != nil {
				h.Bounds = []float64{0.1, 0.2, 1}
			}
			if got, ok := h.quantile(row.q); ok != row.ok || math.Abs(got-row.want) > 1e-9 {
				t.Errorf("%v, %t; want %v", got, ok, row.want)
			}
		})
	}
}
