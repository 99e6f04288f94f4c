package diagnosis

import (
	"bytes"
	"crypto/sha256"
	"hash"

	"github.com/postseal/postseal/milter/dkim"
)

// body compares the body with bh= and searches for what was done to it.
func (e *examination) body() Body {
	_, canon := e.in.Canonicalization()
	b := Body{Canonicalization: canon, Limit: e.in.BodyLength(), Signed: e.in.BodyHash()}
	whole := canon.CanonicalBody(e.Body)
	b.Whole = int64(len(whole))
	b.Octets = limited(whole, b.Limit)
	b.Found = sum(b.Octets)
	b.Intact = bytes.Equal(b.Found, b.Signed) && b.Limit <= b.Whole
	if e.Original != nil {
		sent := canon.CanonicalBody(e.Original.Body)
		same := bytes.Equal(sum(limited(sent, b.Limit)), b.Signed)
		b.Original, b.Diff = &same, diffOf(sent, whole)
	}
	if !b.Intact && b.Limit <= b.Whole {
		s := search{want: b.Signed, limit: b.Limit, budget: e.Budget, named: canon}
		b.Proofs = s.run(e.Body)
	}
	return b
}

// limited are the octets that l= covers, -1 is all.
func limited(octets []byte, limit int64) []byte {
	if limit >= 0 && limit < int64(len(octets)) {
		return octets[:limit]
	}
	return octets
}

func sum(octets []byte) []byte {
	s := sha256.Sum256(octets)
	return s[:]
}

// search looks for what a body was before.
type search struct {
	want   []byte
	limit  int64
	budget *Budget
	named  dkim.Canonicalization
}

// run tries one change after the other, the likely first, and returns what makes the
// hash right again: nothing, or a list of changes that were made together.
func (s *search) run(body []byte) []Proof {
	others := []dkim.Canonicalization{s.named, dkim.Simple + dkim.Relaxed - s.named}
	for _, v := range variants {
		text := body
		if v.undo != nil {
			if text = v.undo(body); bytes.Equal(text, body) {
				continue
			}
		}
		for _, canon := range others {
			if !s.budget.spend(len(text)) {
				return nil
			}
			canonical := canon.CanonicalBody(text)
			proofs, found := s.within(canonical, canon, v.code == "")
			switch {
			case !found:
				continue
			case canon != s.named && v.code == Blanks:
				continue // the other canonicalization says it already
			case canon == dkim.Relaxed && s.named == dkim.Simple:
				proofs = append([]Proof{variant{code: RelaxedSigned}.proof(text, canonical)}, proofs...)
			case canon != s.named:
				proofs = append([]Proof{{Code: Misdeclared}}, proofs...)
			}
			if v.code != "" {
				proofs = append([]Proof{v.proof(body, text)}, proofs...)
			}
			return proofs
		}
	}
	return nil
}

// within searches a canonical body for the signed one. deep: by all means.
func (s *search) within(canonical []byte, canon dkim.Canonicalization, deep bool) ([]Proof, bool) {
	if s.limit >= 0 {
		return nil, int64(len(canonical)) >= s.limit && s.budget.spend(int(s.limit)) && bytes.Equal(sum(canonical[:s.limit]), s.want)
	}
	lines := newLines(canonical)
	if bytes.Equal(sum(canon.CanonicalBody(nil)), s.want) && len(canonical) > 2 {
		return []Proof{lines.added(Emptied, 0, lines.count())}, true
	}
	starts := []int{0}
	if deep {
		starts = append(starts, lines.beginnings()...)
	}
	for _, first := range starts {
		if last, ok := s.prefix(lines, first); ok {
			var proofs []Proof
			if first > 0 {
				proofs = append(proofs, lines.added(Added, 0, first))
			}
			if last < lines.count() {
				proofs = append(proofs, lines.added(Added, last, lines.count()))
			}
			return proofs, true
		}
	}
	if deep {
		return s.middle(lines)
	}
	return nil, false
}

// prefix looks for the signed body from a line on, up to any other: last is the one
// after it.
func (s *search) prefix(l *lines, first int) (last int, ok bool) {
	if !s.budget.spend(len(l.text) - l.at(first)) {
		return 0, false
	}
	h := sha256.New()
	var got [sha256.Size]byte
	for i := first; i < l.count(); i++ {
		line := l.text[l.at(i):l.at(i+1)]
		h.Write(line)
		if len(line) == 2 {
			continue // no canonical body ends in an empty line
		}
		if !s.budget.spend(0) {
			return 0, false
		}
		if bytes.Equal(h.Sum(got[:0]), s.want) {
			return i + 1, true
		}
	}
	return 0, false
}

// middle looks for lines that were put in between others, as whole parts of a MIME
// body are: from one boundary or empty line to another.
func (s *search) middle(l *lines) ([]Proof, bool) {
	marks := l.marks()
	var got [sha256.Size]byte
	before, done := sha256.New(), 0
	for _, first := range marks {
		if !s.budget.spend(l.at(first) - done) {
			return nil, false
		}
		before.Write(l.text[done:l.at(first)])
		done = l.at(first)
		for _, last := range marks {
			if last <= first {
				continue
			}
			if !s.budget.spend(len(l.text) - l.at(last)) {
				return nil, false
			}
			h, err := before.(hash.Cloner).Clone()
			if err != nil {
				return nil, false
			}
			h.Write(l.text[l.at(last):])
			if bytes.Equal(h.Sum(got[:0]), s.want) {
				return []Proof{l.added(Added, first, last)}, true
			}
		}
	}
	return nil, false
}
