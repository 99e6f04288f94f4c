package main

import (
	"fmt"
	"io"
	"maps"
	"os"
	"runtime"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// results are the medians of the measurements, by work and filter.
type results struct {
	works  []string // in order
	median map[string]map[string]sample
	memory map[string]int64         // by work and filter, peak resident octets
	first  map[string]time.Duration // from the start to the first signed message, by filter
}

func newResults() results {
	return results{median: map[string]map[string]sample{}, memory: map[string]int64{}, first: map[string]time.Duration{}}
}

// add takes the samples of a work.
func (r *results) add(name string, samples map[string][]sample) {
	if r.median[name] == nil {
		r.median[name] = map[string]sample{}
		r.works = append(r.works, name)
	}
	for filter, list := range samples {
		r.median[name][filter] = sample{
			cpu:  medianOf(list, func(s sample) time.Duration { return s.cpu }),
			rate: medianOf(list, func(s sample) float64 { return s.rate }),
		}
	}
}

func medianOf[T time.Duration | float64](list []sample, value func(sample) T) T {
	values := make([]T, len(list))
	for i, s := range list {
		values[i] = value(s)
	}
	slices.Sort(values)
	return values[len(values)/2]
}

// peakEngine is where the peak memory of the works of the filter alone is kept.
const peakEngine = "4 connections, any size"

func (r *results) notePeak(filter string, octets int64) {
	r.memory[peakEngine+filter] = max(r.memory[peakEngine+filter], octets)
}

// cpu is a CPU time a message in milliseconds, 0 where there is none.
func (r *results) cpu(work, filter string) float64 {
	return float64(r.median[work][filter].cpu) / float64(time.Millisecond)
}

func (r *results) rate(work, filter string) float64 { return r.median[work][filter].rate }

// target is what postseal has set itself: a ratio or an amount that is not to be
// exceeded, or with atLeast not to be missed.
type target struct {
	what    string
	is      float64 // 0: not measured
	want    float64
	atLeast bool
	unit    string
}

func (t target) met() bool {
	if t.atLeast {
		return t.is >= t.want
	}
	return t.is <= t.want
}

// verdict says whether a target is met, or by how much it is not.
func (t target) verdict() string {
	switch {
	case t.is == 0:
		return "not measured"
	case t.met():
		return "met"
	case t.atLeast:
		return fmt.Sprintf("missed by %.0f %%", 100*(t.want/t.is-1))
	}
	return fmt.Sprintf("missed by %.0f %%", 100*(t.is/t.want-1))
}

func ratio(a, b float64) float64 {
	if b == 0 {
		return 0
	}
	return a / b
}

// targets are the targets with what was measured.
func (r *results) targets() (list []target) {
	most := func(what string, is, want float64) { list = append(list, target{what, is, want, false, "×"}) }
	least := func(what string, is, want float64) { list = append(list, target{what, is, want, true, "×"}) }
	limit := func(what string, is, want float64, unit string) {
		list = append(list, target{what, is, want, false, unit})
	}
	const rsa2 = "sign 2 KB rsa, simple body"
	bare := r.cpu(rsa2, bareRSA)
	theirs := r.cpu(rsa2, opendkim)
	beyond := 0.0
	if own := r.cpu(rsa2, postseal); own > 0 && bare > 0 {
		beyond = max(own/bare-1, 0.001) // less is noise, and 0 not measured
	}
	most("sign 2 KB, RSA: CPU beyond the bare signature, of that signature", beyond, 0.15)
	most("sign 2 KB, RSA: CPU, of OpenDKIM's", ratio(r.cpu(rsa2, postseal), theirs), 0.55)
	most("sign 2 KB, RSA, openssl tag: CPU, of OpenDKIM's", ratio(r.cpu(rsa2, withTag), theirs), 0.30)
	least("sign 2 KB, RSA, unix: rate, of OpenDKIM's", ratio(r.rate(rsa2, postseal), r.rate(rsa2, opendkim)), 1.8)
	const tcp2 = "sign 2 KB rsa, TCP"
	least("sign 2 KB, RSA, TCP: rate, of OpenDKIM's", ratio(r.rate(tcp2, postseal), r.rate(tcp2, opendkim)), 7)
	least("sign 2 KB, RSA, TCP: rate, of our own on unix", ratio(r.rate(tcp2, postseal), r.rate(rsa2, postseal)), 0.85)
	most("sign 2 KB, Ed25519: CPU, of OpenDKIM's RSA", ratio(r.cpu("sign 2 KB ed25519", postseal), theirs), 0.08)
	most("sign 2 KB, RSA + Ed25519: CPU, of RSA alone", ratio(r.cpu("sign 2 KB rsa + ed25519", postseal), r.cpu(rsa2, postseal)), 1.15)
	for _, w := range []struct {
		size string
		want float64
	}{{"2 KB", 0.3}, {"50 KB", 0.4}} {
		for _, body := range []string{"simple", "relaxed"} {
			name := "verify " + w.size + " rsa, " + body + " body"
			most(name+": CPU, of OpenDKIM's", ratio(r.cpu(name, postseal), r.cpu(name, opendkim)), w.want)
		}
	}
	for _, body := range []struct {
		name string
		want float64
	}{{"simple", 0.6}, {"relaxed", 1}} {
		for _, kind := range []string{"sign", "verify"} {
			name := kind + " 10 MB rsa, " + body.name + " body"
			most(name+": CPU, of OpenDKIM's", ratio(r.cpu(name, postseal), r.cpu(name, opendkim)), body.want)
		}
	}
	const mebibyte = 1 << 20
	limit("peak memory at 4 connections, any size", float64(r.memory[peakEngine+postseal])/mebibyte, 30, "MiB")
	limit("peak memory, "+workIdle, float64(r.memory[workIdle+postseal])/mebibyte, 60, "MiB")
	for _, way := range []struct {
		name, label string
		base, their float64
	}{{postseal, "", 0.57, 1.15}, {withTag, ", openssl tag", 0.65, 1.3}} {
		rate := r.rate(workPostfix, way.name)
		least(workPostfix+way.label+": rate, of "+oneHeader, ratio(rate, r.rate(workPostfix, oneHeader)), way.base)
		least(workPostfix+way.label+": rate, of OpenDKIM's on unix", ratio(rate, r.rate(workPostfix, opendkim)), way.their)
		least(workPostfix+way.label+": rate over TCP, of our own on unix", ratio(r.rate(workPostfix, way.name+overTCP), rate), 0.9)
	}
	limit(workTables+": first message signed after the start", r.first[postseal].Seconds(), 2, "s")
	most(workTables+": CPU a message, of one domain", ratio(r.cpu(workTables, postseal), r.cpu(workOne, postseal)), 1.15)
	limit(workTables+": peak memory", float64(r.memory[workTables+postseal])/mebibyte, 250, "MiB")
	return list
}

// print writes what was measured, and the targets.
func (r *results) print(out io.Writer) {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	line := func(cells ...string) { fmt.Fprintln(w, strings.Join(cells, "\t")) }
	line("\nWORK", "FILTER", "CPU A MESSAGE", "OF OPENDKIM'S", "RATE", "OF OPENDKIM'S")
	for _, work := range r.works {
		for _, filter := range slices.Sorted(maps.Keys(r.median[work])) {
			line(work, filter, amount(r.cpu(work, filter), "ms"), of(r.cpu(work, filter), r.cpu(work, opendkim)),
				amount(r.rate(work, filter), "/s"), of(r.rate(work, filter), r.rate(work, opendkim)))
		}
	}
	line("\nPEAK MEMORY", "FILTER", "MIB", "OF OPENDKIM'S")
	for _, work := range []string{peakEngine, workIdle, workTables} {
		for _, filter := range []string{postseal, withTag, opendkim, rspamd} {
			if n := r.memory[work+filter]; n > 0 {
				line(work, filter, fmt.Sprintf("%.1f", float64(n)/(1<<20)), of(float64(n), float64(r.memory[work+opendkim])))
			}
		}
	}
	if len(r.first) > 0 {
		line("\nFIRST SIGNED MESSAGE", "FILTER", "AFTER THE START", "OF OPENDKIM'S")
		for _, filter := range slices.Sorted(maps.Keys(r.first)) {
			line(workTables, filter, fmt.Sprintf("%.2f s", r.first[filter].Seconds()), of(r.first[filter].Seconds(), r.first[opendkim].Seconds()))
		}
	}
	line("\nTARGET", "MEASURED", "WANTED", "")
	for _, t := range r.targets() {
		sign := "≤"
		if t.atLeast {
			sign = "≥"
		}
		line(t.what, amount(t.is, t.unit), fmt.Sprintf("%s %.2f %s", sign, t.want, t.unit), t.verdict())
	}
	w.Flush()
}

func amount(v float64, unit string) string {
	if v == 0 {
		return "-"
	}
	if unit == "/s" {
		return fmt.Sprintf("%.0f%s", v, unit)
	}
	return fmt.Sprintf("%.3g %s", v, unit)
}

func of(a, b float64) string {
	if a == 0 || b == 0 {
		return "-"
	}
	return fmt.Sprintf("%.2f", a/b)
}

// machine is a line about where this runs.
func (b *bench) machine() string {
	model := "unknown processor"
	text, _ := os.ReadFile("/proc/cpuinfo")
	if _, rest, ok := strings.Cut(string(text), "model name"); ok {
		rest, _, _ = strings.Cut(rest, "\n")
		model = strings.Trim(rest, "\t :")
	}
	return fmt.Sprintf("%d cores of %s, %s; rounds %d, scale %g", runtime.NumCPU(), model, runtime.Version(), b.rounds, b.scale)
}
