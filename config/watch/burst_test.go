package watch

import (
	"strconv"
	"strings"
	"testing"
)

// Each tick is 200 ms: what the files are like at its end, and "!" where the
// system told of something in it. The first is the look that began it all.
func TestBurst(t *testing.T) {
	for _, row := range []struct{ name, ticks, want string }{
		{"one change", "1 1", "settled"},
		{"told of once more", "1 1! 1", "- settled"},
		{"changed and not told of", "1 2 2", "- settled"},
		{"a pause that is too short", "1 2 2! 3! 3", "- - - settled"},
		{"no end", "0 1! 2! 3! 4! 5! 6! 7!", "- - - - due - -"},
		{"no end, and told of alone", "1 1! 1! 1! 1! 1! 1! 1! 1! 1! 1!", "- - - - due - - - - due"},
		{"the end after that", "0 1! 2! 3! 4! 5! 5! 5", "- - - - due - settled"},
		{"the end right then", "0 1! 2! 3! 4! 4", "- - - - settled"},
	} {
		t.Run(row.name, func(t *testing.T) {
			var b *burst
			var got []string
			for tick := range strings.FieldsSeq(row.ticks) {
				text, stirred := strings.CutSuffix(tick, "!")
				ino, err := strconv.ParseUint(text, 10, 64)
				if err != nil {
					t.Fatal(err)
				}
				now := state{"/a": {{"/a", identity{ino: ino}}}, "/b": {{"/b", identity{ino: 7}}}}
				if b == nil {
					b = &burst{last: now}
					continue
				}
				b.stirred = stirred
				switch settled, due := b.tick(now); {
				case settled && due:
					t.Fatalf("tick %s is both", tick)
				case settled:
					got = append(got, "settled")
				case due:
					got = append(got, "due")
				default:
					got = append(got, "-")
				}
			}
			if text := strings.Join(got, " "); text != row.want {
				t.Errorf("got %q, want %q", text, row.want)
			}
		})
	}
}
