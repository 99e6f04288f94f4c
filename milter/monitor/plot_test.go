package monitor

import (
	"fmt"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// lineOf has the last of its values given.
func lineOf(last ...float64) line {
	l := unknown("x", "line-a")
	copy(l.values[minutes-len(last):], last)
	return l
}

func TestScales(t *testing.T) {
	nan := math.NaN()
	for _, row := range []struct {
		name   string
		scale  func([]line) scale
		values []float64
		marks  []float64
		places map[float64]float64
	}{
		{"rate, nothing", linear, nil, []float64{0, 1, 2, 3, 4, 5}, map[float64]float64{0: 0, 5: 1}},
		{"rate, little", linear, []float64{0.2, nan, 1}, []float64{0, 1, 2, 3, 4, 5}, map[float64]float64{1: 0.2}},
		{"rate, 10", linear, []float64{10}, []float64{0, 2, 4, 6, 8, 10}, map[float64]float64{10: 1, 5: 0.5}},
		{"rate, 12", linear, []float64{nan, 12, nan}, []float64{0, 5, 10, 15}, map[float64]float64{15: 1}},
		{"rate, 60,001", linear, []float64{60001, 1}, []float64{0, 20000, 40000, 60000, 80000}, map[float64]float64{60000: 0.75}},
		{"time, nothing", decades, nil, []float64{0.001, 0.01, 0.1}, map[float64]float64{0.001: 0, 0.01: 0.5, 0.1: 1}},
		{"time, one", decades, []float64{0.003}, []float64{0.001, 0.01}, map[float64]float64{0.001: 0, 0.01: 1}},
		{"time, on a mark", decades, []float64{0.01}, []float64{0.01, 0.1}, map[float64]float64{0.01: 0, 0.1: 1}},
		{"time, far apart", decades, []float64{0.0007, nan, 4}, []float64{0.0001, 0.001, 0.01, 0.1, 1, 10}, map[float64]float64{0.0001: 0, 10: 1}},
		{"time, none at all", decades, []float64{0, 0.05}, []float64{0.0001, 0.001, 0.01, 0.1}, map[float64]float64{0.1: 1}},
	} {
		t.Run(row.name, func(t *testing.T) {
			s := row.scale([]line{lineOf(row.values...)})
			if !slices.EqualFunc(s.marks, row.marks, func(a, b float64) bool { return math.Abs(a-b) < 1e-9*b+1e-12 }) {
				t.Errorf("marks %v, want %v", s.marks, row.marks)
			}
			for value, want := range row.places {
				if got := s.place(value); math.Abs(got-want) > 1e-9 {
					t.Errorf("%v stands at %v, want %v", value, got, want)
				}
			}
		})
	}
}

func TestPath(t *testing.T) {
	nan := math.NaN()
	for _, row := range []struct {
		name   string
		values []float64
		want   string
	}{
		{"nothing", nil, ""},
		{"the last minute alone", []float64{5}, "M595 50h0"},
		{"three", []float64{0, 5, 10}, "M575 100L585 50L595 0"},
		{"a gap", []float64{10, 10, nan, 0, nan, 5, 5}, "M535 0L545 0M565 100h0M585 50L595 50"},
		{"out of the field", []float64{-1, 99, math.Inf(1)}, "M575 100L585 0L595 0"},
	} {
		t.Run(row.name, func(t *testing.T) {
			l := lineOf(row.values...)
			if got := path(&l.values, linearTo(10)); got != row.want {
				t.Errorf("%q, want %q", got, row.want)
			}
		})
	}
}

// Whatever happened, all that is drawn lies in its field, and every mark on the plot.
func TestDrawnInside(t *testing.T) {
	coordinate := regexp.MustCompile(`[ML]([0-9.]+) ([0-9.]+)(h0)?`)
	for _, top := range []float64{0, 1e-9, 0.3, 1, 7, 99.99, 1e3, 123456, 1e12} {
		a, b := unknown("a", "line-a"), unknown("b", "line-b")
		for i := range a.values {
			a.values[i] = top * math.Abs(math.Sin(float64(i)))
			if i%7 > 0 {
				b.values[i] = top * float64(i) / float64(minutes)
			}
		}
		for name, of := range map[string]func([]line) scale{"linear": linear, "decades": decades} {
			lines := []line{a, b}
			p := draw(noon.Add(7*time.Minute), lines, of(lines), rateWords)
			for _, l := range p.Lines {
				if rest := coordinate.ReplaceAllString(l.Path, ""); rest != "" || l.Path == "" {
					t.Fatalf("%s to %v: %q in %q", name, top, rest, l.Path)
				}
				for _, at := range coordinate.FindAllStringSubmatch(l.Path, -1) {
					inside(t, at[1], 0, fieldWide)
					inside(t, at[2], 0, fieldHigh)
				}
			}
			for _, m := range p.Down {
				inside(t, m.At, fieldTop, fieldTop+fieldDown)
			}
			for _, m := range p.Across {
				inside(t, m.At, fieldLeft, fieldLeft+fieldAcross)
			}
			if n := len(p.Down); n < 2 || n > 17 {
				t.Errorf("%s to %v: %d marks", name, top, n)
			}
		}
	}
}

func inside(t *testing.T, number string, low, high float64) {
	t.Helper()
	if v, err := strconv.ParseFloat(number, 64); err != nil || !(v >= low && v <= high) {
		t.Errorf("%s is not from %v to %v (%v)", number, low, high, err)
	}
}

func TestTimes(t *testing.T) {
	for _, row := range []struct {
		end  time.Time
		want string
	}{
		{time.Time{}, ""},
		{noon, "12:00@95 11:50@81.17 11:40@67.33 11:30@53.5 11:20@39.67 11:10@25.83"},
		{noon.Add(9 * time.Minute), "12:00@82.55 11:50@68.72 11:40@54.88 11:30@41.05 11:20@27.22 11:10@13.38"},
		{noon.In(time.FixedZone("X", 3600)), "13:00@95 12:50@81.17 12:40@67.33 12:30@53.5 12:20@39.67 12:10@25.83"},
	} {
		var got []string
		for _, m := range times(row.end) {
			got = append(got, m.Label+"@"+m.At)
		}
		if s := strings.Join(got, " "); s != row.want {
			t.Errorf("before %v: %s\nwant %s", row.end, s, row.want)
		}
	}
}

func TestWords(t *testing.T) {
	nan := math.NaN()
	day := noon.Add(-24 * time.Hour)
	for _, row := range []struct{ got, want string }{
		{count(0), "0"}, {count(999), "999"}, {count(1000), "1,000"}, {count(1234567), "1,234,567"}, {count(math.MaxUint64), "18,446,744,073,709,551,615"},
		{rateWords(nan), "–"}, {rateWords(0), "0"}, {rateWords(0.25), "0.2"}, {rateWords(3), "3"}, {rateWords(9.94), "9.9"}, {rateWords(1234.5), "1,235"},
		{latencyWords(nan), "–"}, {latencyWords(0.00025), "0.25 ms"}, {latencyWords(0.0123456), "12.3 ms"}, {latencyWords(0.1), "100 ms"},
		{latencyWords(0.9994), "999 ms"}, {latencyWords(0.9996), "1 s"}, {latencyWords(10), "10 s"},
		{share(1, 3), "33.3 %"}, {share(0, 3), "0.0 %"},
		{long(-time.Second), "0 s"}, {long(59 * time.Second), "59 s"}, {long(60 * time.Second), "1 min"}, {long(61 * time.Second), "1 min 1 s"},
		{long(2*time.Hour + 59*time.Second), "2 h"}, {long(49*time.Hour + time.Minute), "2 d 1 h"},
		{when(time.Time{}, noon).Words, "–"}, {when(noon.Add(-time.Minute), noon).Words, "11:59:00"}, {when(day, noon).Words, "2026-03-13 12:00:00"},
		{when(noon, noon.In(time.FixedZone("X", -3600))).Words, "11:00:00"},
		{ago(time.Time{}, noon), "never"}, {ago(day, noon), "1 d ago"},
		{plural(1, "key"), "1 key"}, {plural(2000, "key"), "2,000 keys"},
		{sentence("éa"), "Éa."},
		{Outcome{"verify", "temperror"}.words(), "verified: temperror"}, {Outcome{"new", "x"}.words(), "new: x"}, {Outcome{"sign", "signed"}.words(), "signed"},
	} {
		if row.got != row.want {
			t.Errorf("%q, want %q", row.got, row.want)
		}
	}
	if fmt.Sprint(failedLookups(map[string]uint64{"found": 5, "timeout": 2, "failure": 1})) != "3 8" {
		t.Error("failed look-ups are miscounted")
	}
}
