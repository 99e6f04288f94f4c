package monitor

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// The size of the field in which lines are drawn, in its own units: it is stretched
// to the width of the page.
const (
	fieldWide = 600.0
	fieldHigh = 100.0
)

// The frame around the field: across in per cent of the plot's width, down in
// pixels.
const (
	fieldLeft   = 12.0
	fieldAcross = 83.0
	fieldTop    = 10.0
	fieldDown   = 130.0
)

// plot is lines over the last hour, drawn as SVG without a script.
type plot struct {
	Lines []line
	// Across are the times, Down the values.
	Across, Down []mark
}

// line is one series of a plot.
type line struct {
	Name string
	// Class is what the style sheet draws it with.
	Class string
	// Path is in units of the field.
	Path string
	// Last is the value of the last minute, Hour that of the hour, and Most the
	// highest of a minute, in words.
	Last, Hour, Most string

	values [minutes]float64 // NaN: not known
}

// mark is a place on an axis.
type mark struct {
	// At is in per cent of the plot's width, or in pixels from its top.
	At    string
	Label string
	Time  string // where the label is one
}

// unknown is a line of which nothing is known yet.
func unknown(name, class string) line {
	l := line{Name: name, Class: class}
	for i := range l.values {
		l.values[i] = math.NaN()
	}
	return l
}

// scale maps values on the field, from its bottom (0) to its top (1).
type scale struct {
	place func(float64) float64
	marks []float64
}

// linear is a scale from 0 to the values' highest at least.
func linear(lines []line) scale {
	top := 5.0
	for _, l := range lines {
		for _, v := range l.values {
			if v > top { // a NaN is not
				top = v
			}
		}
	}
	return linearTo(top)
}

// linearTo has marks at 1, 2 or 5 times a power of ten, five at most beside 0.
func linearTo(top float64) scale {
	power := math.Pow(10, math.Floor(math.Log10(top)))
	step := power
	for _, times := range []float64{0.2, 0.5, 1, 2} {
		if step = power * times; top/step <= 5 {
			break
		}
	}
	steps := math.Ceil(top / step)
	s := scale{place: func(v float64) float64 { return v / (step * steps) }}
	for i := range int(steps) + 1 {
		s.marks = append(s.marks, float64(i)*step)
	}
	return s
}

// decades is a logarithmic scale of whole powers of ten around the values, one
// at least; at 1 ms and 100 ms where there are none.
func decades(lines []line) scale {
	const least = 0.0001
	low, high := math.Inf(1), math.Inf(-1)
	for _, l := range lines {
		for _, v := range l.values {
			if v >= 0 { // a NaN is not
				low, high = min(low, max(v, least)), max(high, v, least)
			}
		}
	}
	if low > high {
		low, high = 0.001, 0.1
	}
	const inexact = 1e-9 // of a logarithm
	from, to := math.Floor(math.Log10(low)+inexact), math.Ceil(math.Log10(high)-inexact)
	to = max(to, from+1)
	s := scale{place: func(v float64) float64 { return (math.Log10(v) - from) / (to - from) }}
	for e := from; e <= to; e++ {
		s.marks = append(s.marks, math.Pow(10, e))
	}
	return s
}

// draw makes a plot of lines whose last value is of the minute before end.
func draw(end time.Time, lines []line, s scale, words func(float64) string) plot {
	p := plot{Lines: lines, Across: times(end)}
	for i := range p.Lines {
		p.Lines[i].Path = path(&p.Lines[i].values, s)
	}
	for _, v := range s.marks {
		p.Down = append(p.Down, mark{At: number(fieldTop + fieldDown*(1-s.place(v))), Label: words(v)})
	}
	return p
}

// path draws the values that are known: neighbours are joined, and one that stands
// alone is a dot.
func path(values *[minutes]float64, s scale) string {
	var b strings.Builder
	known := func(i int) bool { return i >= 0 && i < minutes && !math.IsNaN(values[i]) }
	for i, v := range values {
		if !known(i) {
			continue
		}
		x := (float64(i) + 0.5) / float64(minutes) * fieldWide
		y := (1 - min(max(s.place(v), 0), 1)) * fieldHigh
		move := "M"
		if known(i - 1) {
			move = "L"
		}
		fmt.Fprintf(&b, "%s%s %s", move, number(x), number(y))
		if !known(i-1) && !known(i+1) {
			b.WriteString("h0")
		}
	}
	return b.String()
}

// times marks every tenth minute of the clock in the hour before end.
func times(end time.Time) (marks []mark) {
	if end.IsZero() {
		return nil
	}
	const apart = 10 * time.Minute
	for t := end.Truncate(apart); end.Sub(t) < historyLong; t = t.Add(-apart) {
		at := fieldLeft + fieldAcross*(1-float64(end.Sub(t))/float64(historyLong))
		marks = append(marks, mark{At: number(at), Label: t.Format("15:04"), Time: t.Format(time.RFC3339)})
	}
	return marks
}

// number writes a coordinate.
func number(v float64) string { return strconv.FormatFloat(math.Round(v*100)/100, 'f', -1, 64) }
