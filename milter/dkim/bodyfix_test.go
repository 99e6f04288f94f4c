package dkim

import (
	"bytes"
	"math/rand/v2"
	"strings"
	"testing"
)

// plainFix is the plain reading of FixCRLF that it is held against.
func plainFix(body string) string {
	const mark = "\x01" // in no body of these tests
	body = strings.ReplaceAll(body, "\r\n", mark)
	body = strings.NewReplacer("\r", mark, "\n", mark).Replace(body)
	return strings.ReplaceAll(body, mark, "\r\n")
}

// checkFixed writes body in the pieces that cut returns with FixCRLF, and the
// mended body without, and wants the same hashes of both.
func checkFixed(t *testing.T, body string, limit int64, cut func(rest int) int) {
	t.Helper()
	fixed, plain := NewBody(), NewBody()
	fixed.FixCRLF()
	type pair struct{ got, want *BodyHash }
	var pairs []pair
	for _, c := range []Canonicalization{Simple, Relaxed} {
		for _, l := range []int64{-1, limit, 0} {
			pairs = append(pairs, pair{fixed.Hash(c, l), plain.Hash(c, l)})
		}
	}
	for rest := body; rest != ""; {
		n := min(max(cut(len(rest)), 1), len(rest))
		if m, err := fixed.Write([]byte(rest[:n])); m != n || err != nil {
			t.Fatalf("Write(%d octets) = %d, %v", n, m, err)
		}
		rest = rest[n:]
	}
	fixed.Close()
	_, _ = plain.Write([]byte(plainFix(body)))
	plain.Close()
	for i, p := range pairs {
		if !bytes.Equal(p.got.Sum(), p.want.Sum()) || p.got.Length() != p.want.Length() || p.got.Exceeded() != p.want.Exceeded() {
			t.Errorf("hash %d of %.200q: length %d (want %d), exceeded %t (want %t), or another sum",
				i, body, p.got.Length(), p.want.Length(), p.got.Exceeded(), p.want.Exceeded())
		}
	}
}

func TestFixCRLF(t *testing.T) {
	for name, body := range awkwardBodies {
		t.Run(name, func(t *testing.T) {
			for _, size := range []int{1, 2, 3, 5000, len(body)} {
				checkFixed(t, body, int64(len(body)/2), func(int) int { return size })
			}
		})
	}
}

// Without FixCRLF nothing is mended, and what stands alone is text.
func TestBareEndsOfLineAreText(t *testing.T) {
	b := NewBody()
	h := b.Hash(Simple, -1)
	_, _ = b.Write([]byte("a\rb\nc\r\n"))
	b.Close()
	if h.Length() != 7 {
		t.Errorf("%d octets, want 7", h.Length())
	}
}

func FuzzFixCRLF(f *testing.F) {
	for _, body := range awkwardBodies {
		f.Add(body, uint64(1))
	}
	f.Fuzz(func(t *testing.T, body string, seed uint64) {
		if len(body) > 20000 || strings.Contains(body, "\x01") {
			t.Skip("too long, or not for plainFix")
		}
		r := rand.New(rand.NewPCG(seed, 0))
		checkFixed(t, body, int64(r.IntN(len(body)+3)), func(int) int { return r.IntN(1 + r.IntN(40)) })
		dense := strings.Map(func(o rune) rune { return rune(" \t\r\n\r\nab"[uint32(o)%8]) }, body)
		checkFixed(t, dense, int64(r.IntN(len(body)+3)), func(int) int { return r.IntN(1 + r.IntN(9)) })
	})
}
