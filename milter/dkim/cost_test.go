package dkim

import (
	"math"
	"strings"
	"syscall"
	"testing"
	"time"
)

// hashBody writes body in pieces and closes.
func hashBody(body []byte, piece int, canons ...Canonicalization) {
	writeBody(NewBody(), body, piece, canons)
}

// hashFixed is hashBody with FixCRLF.
func hashFixed(body []byte, piece int, canons ...Canonicalization) {
	b := NewBody()
	b.FixCRLF()
	writeBody(b, body, piece, canons)
}

func writeBody(b *Body, body []byte, piece int, canons []Canonicalization) {
	for _, c := range canons {
		b.Hash(c, -1)
	}
	for rest := body; len(rest) > 0; rest = rest[min(piece, len(rest)):] {
		_, _ = b.Write(rest[:min(piece, len(rest))]) // never fails
	}
	b.Close()
}

var hostileBodies = map[string]string{
	"text":             "An ordinary line of text, of the usual length and kind, and more.\r\n",
	"CRLFs":            "\r\n",
	"blanks":           " \t",
	"CRs":              "\r",
	"CRs and text":     "\rx",
	"LFs":              "\n",
	"lines of blanks":  " \t \r\n",
	"a letter a line":  "x\r\n",
	"letter and blank": "x \t",
	"one word":         "xxxx",
}

// TestCostIsLinear makes hostile input four times as long and compares the
// processor time: linear work takes about four times as much, quadratic work
// sixteen times.
func TestCostIsLinear(t *testing.T) {
	type work struct {
		name string
		do   func(n int) func() // prepares work of size n
	}
	var works []work
	for name, unit := range hostileBodies {
		works = append(works, work{"body of " + name, func(n int) func() {
			body := []byte(strings.Repeat(unit, n/len(unit)) + "end")
			return func() { hashBody(body, 4096, Simple, Relaxed) }
		}}, work{"mended body of " + name, func(n int) func() {
			body := []byte(strings.Repeat(unit, n/len(unit)) + "end")
			return func() { hashFixed(body, 4096, Simple, Relaxed) }
		}})
	}
	for name, unit := range map[string]string{"folds": "\r\n ", "blanks": " ", "CRs": "\r", "words": "a\r\n\t"} {
		works = append(works, work{"field of " + name, func(n int) func() {
			f := Field{"X", strings.Repeat(unit, n/len(unit)) + "end"}
			return func() { Relaxed.AppendHeader(nil, f) }
		}})
	}
	selection, err := NewHeaderSelection([]string{"x*", "y"}, []string{"z*"}, []string{"a", "b"})
	if err != nil {
		t.Fatal(err)
	}
	works = append(works, work{"many fields", func(n int) func() {
		fields := fieldsNamed(strings.Repeat("X|Y|Z|", n/50))
		return func() {
			names := selection.Names(fields)
			for x := newHeaderIndex(fields); len(names) > 0; names = names[1:] {
				x.pick(names[0])
			}
		}
	}})
	for _, w := range works {
		t.Run(w.name, func(t *testing.T) {
			const n = 1 << 18
			small, large := w.do(n), w.do(4*n)
			var ratio float64
			for range 4 { // on a busy machine, ask again
				if ratio = float64(cpuTime(t, large)) / float64(cpuTime(t, small)); ratio < 9 {
					return
				}
			}
			t.Errorf("four times the size costs %.1f times as much", ratio)
		})
	}
}

// cpuTime returns the processor time that do takes when least disturbed.
func cpuTime(t *testing.T, do func()) time.Duration {
	used := func() time.Duration {
		var u syscall.Rusage
		if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
			t.Fatal(err)
		}
		return time.Duration(u.Utime.Nano() + u.Stime.Nano())
	}
	best := time.Duration(math.MaxInt64)
	for range 5 {
		start := used()
		do()
		best = min(best, used()-start)
	}
	return max(best, time.Microsecond)
}

func TestBodyAllocatesNothing(t *testing.T) {
	for name, unit := range hostileBodies {
		for _, fix := range []bool{false, true} {
			b := NewBody()
			if fix {
				b.FixCRLF()
			}
			b.Hash(Simple, -1)
			b.Hash(Relaxed, -1)
			chunk := []byte(strings.Repeat(unit, 60000/len(unit)))
			if n := testing.AllocsPerRun(20, func() { _, _ = b.Write(chunk) }); n != 0 {
				t.Errorf("body of %s, mended %v: %v allocations a chunk", name, fix, n)
			}
		}
	}
}
