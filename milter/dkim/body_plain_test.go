package dkim

import (
	"bytes"
	"math/rand/v2"
	"strings"
	"testing"
)

// plainBody goes over a body that it has whole, octet by octet: what Body's
// search by eight octets is held against.
func plainBody(c Canonicalization, body string) []byte {
	var out []byte
	lines, blank := 0, false // passed over since the last octet of out
	for i := 0; i < len(body); i++ {
		switch o := body[i]; {
		case strings.HasPrefix(body[i:], "\r\n"):
			lines, blank = lines+1, false
			i++
		case c == Relaxed && isBlank(o):
			blank = true
		default:
			for ; lines > 0; lines-- {
				out = append(out, "\r\n"...)
			}
			if blank {
				out, blank = append(out, ' '), false
			}
			out = append(out, o)
		}
	}
	if c == Simple || len(out) > 0 {
		out = append(out, "\r\n"...)
	}
	return out
}

// streamed is the canonical form as it is hashed, of a body that is written in
// the pieces that cut returns.
func streamed(c Canonicalization, fix bool, body string, cut func(rest int) int) []byte {
	var out []byte
	b := NewBody()
	if fix {
		b.FixCRLF()
	}
	b.Hash(c, -1)
	canon := b.canons[c]
	canon.out.to = func(p []byte) {
		out = append(out, p...)
		canon.digest(p)
	}
	for rest := []byte(body); len(rest) > 0; {
		n := min(max(cut(len(rest)), 1), len(rest))
		_, _ = b.Write(rest[:n]) // never fails
		rest = rest[n:]
	}
	b.Close()
	return out
}

// checkPlain compares the octets that are hashed with those of plainBody.
func checkPlain(t *testing.T, body string, cut func(rest int) int) {
	t.Helper()
	for _, c := range []Canonicalization{Simple, Relaxed} {
		if got, want := streamed(c, false, body, cut), plainBody(c, body); !bytes.Equal(got, want) {
			t.Errorf("%v of %.300q: %.300q, want %.300q", c, body, got, want)
		}
		if got, want := streamed(c, true, body, cut), plainBody(c, plainFix(body)); !bytes.Equal(got, want) {
			t.Errorf("%v of %.300q, mended: %.300q, want %.300q", c, body, got, want)
		}
	}
}

func TestPlainBodyIsTheRFC(t *testing.T) {
	for name, body := range awkwardBodies {
		for _, c := range []Canonicalization{Simple, Relaxed} {
			if got, want := string(plainBody(c, body)), canonicalBody(c, body); got != want {
				t.Errorf("%s, %v: %q, want %q", name, c, got, want)
			}
		}
	}
}

// TestBodyEveryPlace puts every sequence of four octets that matter at every
// place of a word, whole and cut in two at every place about it.
func TestBodyEveryPlace(t *testing.T) {
	const octets = " \t\r\nx"
	for n := range len(octets) * len(octets) * len(octets) * len(octets) {
		var sequence []byte
		for range 4 {
			sequence = append(sequence, octets[n%len(octets)])
			n /= len(octets)
		}
		for before := range 2*lanesInWord + 1 {
			body := strings.Repeat("y", before) + string(sequence) + strings.Repeat("z", 2*lanesInWord)
			checkPlain(t, body, func(rest int) int { return rest })
			checkPlain(t, body[:before+len(sequence)], func(rest int) int { return rest })
			if before != lanesInWord {
				continue
			}
			for at := before - 1; at < before+len(sequence)+2; at++ {
				checkPlain(t, body, func(rest int) int {
					if rest == len(body) {
						return at
					}
					return rest
				})
			}
		}
	}
}

// TestBodyEveryOctet has each octet that there is beside those that matter.
func TestBodyEveryOctet(t *testing.T) {
	for o := range 256 {
		if o == 1 {
			continue // not for plainFix
		}
		for _, around := range []string{"yoz", " o ", "\to\t", "\ro\n", "\no\r", "\r\no\r\n", "oo", "o\r\n", "\r\no"} {
			odd := strings.ReplaceAll(around, "o", string([]byte{byte(o)}))
			for before := range lanesInWord {
				checkPlain(t, strings.Repeat("y", before)+odd+strings.Repeat("z", 2*lanesInWord), func(rest int) int { return rest })
			}
		}
	}
}

// TestBodyRandom has long bodies in which what matters is rare or frequent, in
// pieces of every size.
func TestBodyRandom(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	matter := []string{" ", "  ", "\t", "\r\n", "\r\n\r\n", " \r\n", "\r", "\n", "\x00", "\xff", "\r\n ", "\x0c", "\x0b", "\x08"}
	for range 300 {
		var body strings.Builder
		rarely := 1 + r.IntN(200)
		for size := r.IntN(20000); body.Len() < size; {
			body.WriteString(strings.Repeat("word", r.IntN(rarely)/4))
			body.WriteString(matter[r.IntN(len(matter))])
		}
		largest := 1 + r.IntN(9000)
		checkPlain(t, body.String(), func(int) int { return 1 + r.IntN(largest) })
	}
}
