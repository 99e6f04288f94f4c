package monitor

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// none stands where there is no value.
const none = "–"

// count writes a number with its thousands apart.
func count(n uint64) string {
	digits := strconv.FormatUint(n, 10)
	var b strings.Builder
	for i, c := range digits {
		if i > 0 && (len(digits)-i)%3 == 0 {
			b.WriteByte(',')
		}
		b.WriteRune(c)
	}
	return b.String()
}

// plural is a number with the word for what it counts, "1 key" or "2 keys".
func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return count(uint64(max(n, 0))) + " " + noun + "s"
}

// sentence makes one of words.
func sentence(words string) string {
	first, size := utf8.DecodeRuneInString(words)
	return string(unicode.ToUpper(first)) + words[size:] + "."
}

// rateWords writes messages per minute.
func rateWords(v float64) string {
	switch {
	case math.IsNaN(v):
		return none
	case v >= 9.95 || math.Abs(v-math.Round(v)) < 0.05:
		return count(uint64(math.Round(v)))
	}
	return strconv.FormatFloat(v, 'f', 1, 64)
}

// latencyWords writes a time in seconds with three digits at most.
func latencyWords(v float64) string {
	unit := " s"
	switch {
	case math.IsNaN(v):
		return none
	case v < 0.9995:
		v, unit = v*1000, " ms"
	}
	return strconv.FormatFloat(v, 'g', 3, 64) + unit
}

// share is n of all in per cent.
func share(n, all uint64) string {
	return strconv.FormatFloat(100*float64(n)/float64(all), 'f', 1, 64) + " %"
}

// long writes a span of time in its two largest units.
func long(d time.Duration) string {
	d = max(d, 0)
	for _, unit := range []struct {
		size, next  time.Duration
		name, below string
	}{
		{24 * time.Hour, time.Hour, "d", "h"}, {time.Hour, time.Minute, "h", "min"}, {time.Minute, time.Second, "min", "s"},
	} {
		switch whole, rest := d/unit.size, d%unit.size/unit.next; {
		case whole > 0 && rest > 0:
			return fmt.Sprintf("%d %s %d %s", whole, unit.name, rest, unit.below)
		case whole > 0:
			return fmt.Sprintf("%d %s", whole, unit.name)
		}
	}
	return fmt.Sprintf("%d s", d/time.Second)
}

// moment is a time for people and for programs.
type moment struct{ Words, Exact string }

// when writes a time of day, and the day where it is another one than now.
func when(t, now time.Time) moment {
	if t.IsZero() {
		return moment{Words: none}
	}
	t = t.In(now.Location())
	layout := "15:04:05"
	if y, m, d := t.Date(); y != now.Year() || m != now.Month() || d != now.Day() {
		layout = "2006-01-02 15:04:05"
	}
	return moment{t.Format(layout), t.Format(time.RFC3339)}
}

// ago says how long before now something was.
func ago(t, now time.Time) string {
	if t.IsZero() {
		return "never"
	}
	return long(now.Sub(t)) + " ago"
}

// outcomeWords say how messages ended.
var outcomeWords = map[Outcome]string{
	{"sign", "signed"}:    "signed",
	{"sign", "unsigned"}:  "to be signed, and not signed",
	{"verify", "none"}:    "verified: no signature",
	{"pass", "none"}:      "left alone",
	{"bad_from", "none"}:  "no certain author",
	{"malformed", "none"}: "header fields not as they must be",
	{"refuse", "none"}:    "could not be signed",
}

// words for an outcome, in its own terms where there are no better.
func (o Outcome) words() string {
	if words, ok := outcomeWords[o]; ok {
		return words
	}
	if o.Decision == "verify" {
		return "verified: " + o.Result
	}
	return o.Decision + ": " + o.Result
}
