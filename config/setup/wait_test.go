package setup

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// Each key is looked for until it has been seen, which is told at once, and then no more; the pauses grow up to
// a minute; what ends the wait leaves those that were not seen, each with its reason.
func TestWait(t *testing.T) {
	a, b, c := &Key{Name: "a"}, &Key{Name: "b"}, &Key{Name: "c"}
	list := []*Key{a, b, c}
	for _, tt := range []struct {
		name    string
		seenAt  map[*Key]int // the look that sees it
		end     int          // the pause that fails
		looks   string
		told    string
		seen    string // by each look
		missing string
		pauses  []time.Duration
	}{
		{"at once", map[*Key]int{a: 1, b: 1, c: 1}, 0, "abc", "3 ", "abc", "", nil},
		{"one after the other", map[*Key]int{a: 2, b: 3, c: 1}, 0, "abc ab b", "1 no a,2 no b,3 ", "c a b", "", []time.Duration{5 * time.Second, 10 * time.Second}},
		{"ended", map[*Key]int{b: 1}, 5, "abc ac ac ac ac", "1 no a,1 no a,1 no a,1 no a,1 no a", "b    ", "a: no a, c: no c",
			[]time.Duration{5 * time.Second, 10 * time.Second, 20 * time.Second, 40 * time.Second, time.Minute}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var mu sync.Mutex
			looks, seen := []string{""}, []string{""}
			var told []string
			var pauses []time.Duration
			over := errors.New("over")
			missing, err := Waiting{
				Look: func(_ context.Context, k *Key) (bool, string) {
					mu.Lock()
					defer mu.Unlock()
					n := len(looks)
					looks[n-1] += k.Name
					return tt.seenAt[k] > 0 && n >= tt.seenAt[k], "no " + k.Name
				},
				Seen: func(list []*Key) error {
					for _, k := range list {
						seen[len(seen)-1] += k.Name
					}
					return nil
				},
				Pause: func(_ context.Context, d time.Duration) error {
					looks, seen, pauses = append(looks, ""), append(seen, ""), append(pauses, d)
					if len(pauses) == tt.end {
						return over
					}
					return nil
				},
				Told: func(seen int, why string) { told = append(told, fmt.Sprint(seen, " ", why)) },
			}.Wait(t.Context(), list)
			if errors.Is(err, over) != (tt.end > 0) || err != nil && tt.end == 0 {
				t.Errorf("error %v", err)
			}
			if tt.end > 0 {
				looks, seen = looks[:len(looks)-1], seen[:len(seen)-1]
			}
			for _, list := range [][]string{looks, seen} { // they run side by side
				for i, l := range list {
					letters := strings.Split(l, "")
					slices.Sort(letters)
					list[i] = strings.Join(letters, "")
				}
			}
			if got := strings.Join(looks, " "); got != tt.looks {
				t.Errorf("looked for %q, want %q", got, tt.looks)
			}
			if got := strings.Join(seen, " "); got != tt.seen {
				t.Errorf("saw %q, want %q", got, tt.seen)
			}
			if got := strings.Join(told, ","); got != tt.told {
				t.Errorf("told %q, want %q", got, tt.told)
			}
			if !slices.Equal(pauses, tt.pauses) {
				t.Errorf("pauses %v, want %v", pauses, tt.pauses)
			}
			var left []string
			for _, k := range list {
				if why, ok := missing[k]; ok {
					left = append(left, k.Name+": "+why)
				}
			}
			if got := strings.Join(left, ", "); got != tt.missing {
				t.Errorf("missing %q, want %q", got, tt.missing)
			}
		})
	}
}

// An end in the middle of a look does not take the reasons away.
func TestWaitEnds(t *testing.T) {
	k := &Key{Name: "a"}
	ctx, cancel := context.WithCancel(t.Context())
	looks := 0
	missing, err := Waiting{
		Look: func(context.Context, *Key) (bool, string) {
			if looks++; looks == 2 {
				cancel()
				return false, "ended"
			}
			return false, "not there"
		},
		Pause: func(ctx context.Context, _ time.Duration) error { return Pause(ctx, 0) },
		Told:  func(int, string) {},
	}.Wait(ctx, []*Key{k})
	if !errors.Is(err, context.Canceled) || missing[k] != "not there" {
		t.Errorf("%v, %v", missing, err)
	}
}

// An error of what is done with the keys ends the wait.
func TestWaitFails(t *testing.T) {
	failed := errors.New("failed")
	a, b := &Key{Name: "a"}, &Key{Name: "b"}
	missing, err := Waiting{
		Look: func(_ context.Context, k *Key) (bool, string) { return k == a, "not there" },
		Seen: func([]*Key) error { return failed },
	}.Wait(t.Context(), []*Key{a, b})
	if !errors.Is(err, failed) || len(missing) != 1 || missing[b] != "not there" {
		t.Errorf("%v, %v", missing, err)
	}
}
