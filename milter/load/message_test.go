package load

import (
	"bytes"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestReadMessage(t *testing.T) {
	tests := []struct {
		name, raw string
		want      Message
		err       string
	}{
		{"CRLF", "From: a@b.example\r\nSubject: x\r\n y\r\n\r\nbody\r\n",
			Message{From: "a@b.example", Fields: []Field{{"From", " a@b.example"}, {"Subject", " x\r\n y"}}, Body: []byte("body\r\n")}, ""},
		{"LF", "From: A B <a@b.example>\nTo:\tc\n\nbody\n\n",
			Message{From: "a@b.example", Fields: []Field{{"From", " A B <a@b.example>"}, {"To", "\tc"}}, Body: []byte("body\r\n\r\n")}, ""},
		{"mbox", "From a@b Mon Nov  2 10:00:00 2026\nSubject: x\n\n", Message{Fields: []Field{{"Subject", " x"}}, Body: []byte{}}, ""},
		{"no body", "From: \"x@y\" <a@b>\nSubject: x", Message{From: "a@b", Fields: []Field{{"From", ` "x@y" <a@b>`}, {"Subject", " x"}}}, ""},
		{"empty", "", Message{}, "no header field"},
		{"no header", "\nbody", Message{}, "no header field"},
		{"blank first", " x\n", Message{}, "begins with a blank"},
		{"no field", "From: a@b\nhello\n", Message{}, `line 2 of the message, "hello", is no header field`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := ReadMessage([]byte(tt.raw))
			if tt.err != "" {
				if err == nil || !strings.Contains(err.Error(), tt.err) {
					t.Errorf("got %v, want %q", err, tt.err)
				}
				return
			}
			if err != nil || got.From != tt.want.From || !reflect.DeepEqual(got.Fields, tt.want.Fields) || !bytes.Equal(got.Body, tt.want.Body) {
				t.Errorf("got %+v, %v", got, err)
			}
		})
	}
}

func TestSample(t *testing.T) {
	for _, size := range []int{0, 2 << 10, 50 << 10, 10 << 20} {
		m := Sample("user@example.com", size)
		n := len(m.Body) + 2
		for _, f := range m.Fields {
			n += len(f.Name) + len(f.Value) + 3
		}
		if n > max(size, 1000) || n < size-100 {
			t.Errorf("%d octets asked for, %d made", size, n)
		}
		if m.From != sender(m.Fields) || !bytes.HasSuffix(m.Body, []byte("\r\n")) {
			t.Errorf("sample from %q, the header has %q", m.From, sender(m.Fields))
		}
	}
}

// The quantiles of the histogram are those of the sorted durations, within two
// per cent.
func TestQuantiles(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for _, longest := range []time.Duration{100, time.Microsecond, time.Millisecond, time.Second, time.Hour, 24 * time.Hour} {
		var parts [3]histogram
		var all []time.Duration
		for range 10000 {
			d := time.Duration(random.Int64N(int64(longest)))
			if longest > 2*time.Hour {
				d = longest // beyond the last bucket
			}
			parts[random.IntN(3)].add(d)
			all = append(all, d)
		}
		slices.Sort(all)
		var h histogram
		for i := range parts {
			h.merge(&parts[i])
		}
		got := h.quantiles()
		for _, q := range []struct {
			got, want time.Duration
		}{{got.P50, all[4999]}, {got.P90, all[8999]}, {got.P99, all[9899]}, {got.Max, all[9999]}} {
			if longest > 2*time.Hour && q.got != got.Max {
				continue // only the maximum is exact there
			}
			if d := q.got - q.want; max(d, -d) > q.want/50+1 {
				t.Errorf("up to %v: got %v, want %v", longest, q.got, q.want)
			}
		}
	}
	if (new(histogram)).quantiles() != (Latency{}) {
		t.Error("quantiles of nothing are not zero")
	}
}
