package dkim

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"math/rand/v2"
	"regexp"
	"strings"
	"testing"
)

// canonicalBody is the plain reading of RFC 6376 §3.4.3 and §3.4.4 that Body
// is held against.
func canonicalBody(c Canonicalization, body string) string {
	if c == Simple {
		for strings.HasSuffix(body, "\r\n") {
			body = strings.TrimSuffix(body, "\r\n")
		}
		return body + "\r\n"
	}
	blanks := regexp.MustCompile(`[ \t]+`)
	lines := strings.Split(body, "\r\n")
	for i, line := range lines {
		lines[i] = strings.TrimRight(blanks.ReplaceAllString(line, " "), " ")
	}
	for len(lines) > 0 && lines[len(lines)-1] == "" {
		lines = lines[:len(lines)-1]
	}
	if len(lines) == 0 {
		return ""
	}
	return strings.Join(lines, "\r\n") + "\r\n"
}

// checkBody writes body in the pieces that cut returns and compares the
// hashes of both canonicalizations, with and without limit.
func checkBody(t *testing.T, body string, limit int64, cut func(rest int) int) {
	t.Helper()
	b := NewBody()
	type asked struct {
		canon Canonicalization
		limit int64
		hash  *BodyHash
	}
	var all []asked
	for _, c := range []Canonicalization{Simple, Relaxed} {
		for _, l := range []int64{limit, -1, limit / 2, 0} {
			all = append(all, asked{c, l, b.Hash(c, l)})
		}
	}
	for rest := []byte(body); len(rest) > 0; {
		n := min(max(cut(len(rest)), 1), len(rest))
		piece := bytes.Clone(rest[:n])
		if m, err := b.Write(piece); m != n || err != nil {
			t.Fatalf("Write(%d octets) = %d, %v", n, m, err)
		}
		for i := range piece {
			piece[i] = 'Z' // Write keeps nothing
		}
		rest = rest[n:]
	}
	b.Close()
	canonical := []string{Simple: canonicalBody(Simple, body), Relaxed: canonicalBody(Relaxed, body)}
	for _, a := range all {
		whole := canonical[a.canon]
		want, exceeded := whole, false
		if a.limit >= 0 && int64(len(whole)) > a.limit {
			want, exceeded = whole[:a.limit], true
		}
		sum := sha256.Sum256([]byte(want))
		if !bytes.Equal(a.hash.Sum(), sum[:]) || a.hash.Length() != int64(len(want)) || a.hash.Exceeded() != exceeded {
			t.Errorf("%v, limit %d, of %.200q: sum right %t, length %d (want %d), exceeded %t (want %t)", a.canon, a.limit, body,
				bytes.Equal(a.hash.Sum(), sum[:]), a.hash.Length(), len(want), a.hash.Exceeded(), exceeded)
		}
	}
}

var awkwardBodies = map[string]string{
	"empty":                   "",
	"one CRLF":                "\r\n",
	"only CRLFs":              "\r\n\r\n\r\n",
	"only blanks":             " \t ",
	"blank lines of blanks":   " \r\n\t\r\n  \t\r\n",
	"RFC 6376 §3.4.5":         " C \r\nD \t E\r\n\r\n\r\n",
	"no CRLF at the end":      "text",
	"blanks at the very end":  "text \t",
	"bare CR":                 "a\rb\r\rc \r d\r\n\r",
	"bare CR before CRLF":     "a \r\r\n",
	"bare CR after CRLFs":     "a\r\n\r\n\r",
	"bare LF":                 "a\nb \n\n\r\n\n",
	"LF first":                "\n\r\na",
	"only CRs":                "\r\r\r",
	"blanks around CR":        " \r \r\n \r",
	"inner empty lines":       "a\r\n\r\n\r\nb\r\n\r\n",
	"inner lines of blanks":   "a\r\n \t\r\nb  c\r\nd\r\n",
	"blanks at line starts":   " a\r\n  b\r\n\tc\r\n",
	"tabs":                    "a\tb\r\na \tb\r\n\t\r\n",
	"NUL, NBSP, VT, FF":       "a\x00 b\u00a0 \u00a0c\v \vd\f\f\r\n",
	"text after blanks alone": "  \r\n\r\n x",
	"long lines":              strings.Repeat("word ", 3000) + "\r\n" + strings.Repeat("x", 9000) + "\r\n",
	"many lines":              strings.Repeat("One line of text, of the usual kind.\r\n", 500),
	"many CRLFs inside":       "a" + strings.Repeat("\r\n", 5000) + "b" + strings.Repeat("\r\n", 5000),
}

func TestBodyAnySplit(t *testing.T) {
	for name, body := range awkwardBodies {
		t.Run(name, func(t *testing.T) {
			limit := int64(len(canonicalBody(Relaxed, body)))
			checkBody(t, body, limit, func(rest int) int { return rest })
			checkBody(t, body, limit+1, func(int) int { return 1 })
			checkBody(t, body, limit-1, func(int) int { return 2 })
			checkBody(t, body, limit/3, func(int) int { return 5000 })
			if len(body) > 200 {
				return
			}
			for at := 1; at < len(body); at++ {
				first := true
				checkBody(t, body, limit, func(rest int) int {
					if first {
						first = false
						return at
					}
					return rest
				})
			}
		})
	}
}

func TestBodyHashes(t *testing.T) {
	empty := func(c Canonicalization) string {
		b := NewBody()
		h := b.Hash(c, -1)
		b.Close()
		return base64.StdEncoding.EncodeToString(h.Sum())
	}
	// RFC 6376 §3.4.3 and §3.4.4 give the hashes of the empty body.
	if got, want := empty(Simple), "frcCV1k9oG9oKj3dpUqdJg1PxRT2RSN/XKdLCPjaYaY="; got != want {
		t.Errorf("empty body, simple: %s, want %s", got, want)
	}
	if got, want := empty(Relaxed), "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="; got != want {
		t.Errorf("empty body, relaxed: %s, want %s", got, want)
	}
}

func TestBodySharesHashes(t *testing.T) {
	b := NewBody()
	whole, part := b.Hash(Simple, -1), b.Hash(Relaxed, 7)
	if b.Hash(Simple, -1) != whole || b.Hash(Relaxed, 7) != part {
		t.Error("the same arguments give different hashes")
	}
	if b.Hash(Simple, 7) == b.Hash(Relaxed, 7) || b.Hash(Simple, 7) == b.Hash(Simple, 8) {
		t.Error("different arguments give the same hash")
	}
	h := b.Hash(Simple, -1)
	if _, err := b.Write([]byte("text\r\n")); err != nil {
		t.Fatal(err)
	}
	late := b.Hash(Simple, 3)
	b.Close()
	if b.Hash(Simple, -1) != h || h.Sum() == nil {
		t.Error("a hash is lost after Close")
	}
	if late.Sum() != nil {
		t.Error("a hash asked for after the first Write has a sum")
	}
}

func TestBodyDone(t *testing.T) {
	write := func(b *Body, s string) bool {
		if _, err := b.Write([]byte(s)); err != nil {
			t.Fatal(err)
		}
		return b.Done()
	}
	if !NewBody().Done() {
		t.Error("a body that nobody asked for is not done")
	}
	b := NewBody()
	four, six := b.Hash(Simple, 4), b.Hash(Relaxed, 6)
	if b.Done() || four.Sum() != nil {
		t.Error("done before the first octet")
	}
	if write(b, "text") || four.Sum() != nil {
		t.Error("done though nothing beyond the limit came")
	}
	if write(b, "\r\n\r\n\r\n") || four.Exceeded() {
		t.Error("done though empty lines at the end do not count")
	}
	if !write(b, "more") || !four.Exceeded() || !six.Exceeded() || four.Sum() == nil {
		t.Error("not done though every limit was passed")
	}
	b = NewBody()
	b.Hash(Simple, 4)
	whole := b.Hash(Simple, -1)
	if write(b, strings.Repeat("text", 5000)) || whole.Sum() != nil {
		t.Error("done though the whole is wanted")
	}
	if b.Close(); !b.Done() || whole.Length() != 20002 {
		t.Errorf("after Close: done %t, length %d", b.Done(), whole.Length())
	}
}

// sparse turns octets into text with some blanks and line ends.
func sparse(body string) string {
	return strings.Map(func(o rune) rune { return rune(" \t\r\n\r\n \rabcdefghijklmnopqrstuvwx"[uint32(o)%32]) }, body)
}

func FuzzBody(f *testing.F) {
	for _, body := range awkwardBodies {
		f.Add(body, int64(len(body)/2), uint64(1))
	}
	f.Fuzz(func(t *testing.T, body string, limit int64, seed uint64) {
		if len(body) > 20000 {
			t.Skip("long enough is long enough")
		}
		limit = max(limit, -limit, 0) % int64(len(body)+3)
		r := rand.New(rand.NewPCG(seed, 0))
		checkBody(t, body, limit, func(int) int { return r.IntN(1 + r.IntN(40)) })
		// The same letters as blanks and line ends: more of what matters.
		dense := strings.Map(func(o rune) rune { return rune(" \t\r\n\r\nab"[uint32(o)%8]) }, body)
		checkBody(t, dense, limit, func(int) int { return r.IntN(1 + r.IntN(9)) })
		// Among words, where the search by eight octets has something to pass over.
		checkPlain(t, sparse(body), func(int) int { return r.IntN(1 + r.IntN(400)) })
	})
}
