package main

import (
	"encoding/json"
	"fmt"
	"io"
	"time"

	"github.com/postseal/postseal/milter/load"
)

// result is what is printed.
type result struct {
	Messages    int       `json:"messages"`
	Failed      int       `json:"failed"`
	FirstError  string    `json:"first_error,omitempty"`
	Interrupted bool      `json:"interrupted,omitempty"`
	Connections int       `json:"connections"`
	Seconds     float64   `json:"seconds"`
	Rate        float64   `json:"messages_per_second"`
	Latency     latencies `json:"latency_ms"`
	PID         int       `json:"pid,omitempty"`
	// CPU is the process's time in ms for each message.
	CPU     *float64 `json:"cpu_ms_per_message,omitempty"`
	PeakRSS *int64   `json:"peak_rss_bytes,omitempty"`

	options load.Options
	rough   bool // CPU is of few of the steps that it is counted in
}

// latencies are in milliseconds.
type latencies struct {
	P50 float64 `json:"p50"`
	P90 float64 `json:"p90"`
	P99 float64 `json:"p99"`
	Max float64 `json:"max"`
}

func newResult(r load.Report, o load.Options) result {
	l := r.Latency
	out := result{
		Messages: r.Messages, Failed: r.Failed, Connections: r.Connections, Seconds: r.Elapsed.Seconds(), Rate: r.Rate(),
		Latency: latencies{milliseconds(l.P50), milliseconds(l.P90), milliseconds(l.P99), milliseconds(l.Max)},
		options: o,
	}
	if r.FirstError != nil {
		out.FirstError = r.FirstError.Error()
	}
	return out
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// print writes the result.
func (r *result) print(w io.Writer, asJSON bool) error {
	if asJSON {
		e := json.NewEncoder(w)
		e.SetIndent("", "  ")
		return e.Encode(r)
	}
	text := fmt.Sprintf("messages     %d, on %d connections (%d at once)\n", r.Messages, r.Connections, min(r.options.Connections, max(r.Connections, 1)))
	text += fmt.Sprintf("failed       %d\n", r.Failed)
	text += fmt.Sprintf("rate         %.0f a second, for %.2f s\n", r.Rate, r.Seconds)
	l := r.Latency
	if l != (latencies{}) { // of those that came back as wanted
		text += fmt.Sprintf("latency      p50 %.2f ms, p90 %.2f ms, p99 %.2f ms, max %.2f ms\n", l.P50, l.P90, l.P99, l.Max)
	}
	if r.CPU != nil {
		text += fmt.Sprintf("CPU          %.3f ms a message (process %d", *r.CPU, r.PID)
		if r.rough {
			text += "; too short a run to tell well"
		}
		text += ")\n"
		text += fmt.Sprintf("peak memory  %.1f MiB\n", float64(*r.PeakRSS)/(1<<20))
	}
	_, err := io.WriteString(w, text)
	return err
}
