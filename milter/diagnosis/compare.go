package diagnosis

import (
	"slices"
	"strings"

	"github.com/postseal/postseal/milter/dkim"
)

// compare finds the fields that are not as they were copied, and the changes that make
// them so again. Of the fields of one name those that are the same are taken for each
// other first, and the others in their order.
func compare(now block, copies []dkim.Field) (differ []Difference, changes []change) {
	copies = copies[:min(len(copies), maxFields)]
	names := now.names[:min(len(now.names), maxNames)]
	done := map[string]bool{}
	for _, name := range names {
		name = strings.ToLower(name)
		if done[name] {
			continue
		}
		done[name] = true
		var parts []int
		for i, n := range names {
			if strings.EqualFold(n, name) && len(parts) < maxInstances {
				parts = append(parts, i)
			}
		}
		var signed [][]byte
		for _, c := range copies {
			if c.Is(name) && len(signed) < maxInstances {
				signed = append(signed, now.canon.AppendHeader(nil, c))
			}
		}
		if len(signed) == 0 {
			continue // not copied, or not there
		}
		d, c := pair(now, parts, signed)
		differ, changes = append(differ, d...), append(changes, c...)
	}
	return differ, changes
}

// maxInstances is how many fields of one name are compared.
const maxInstances = 64

// pair compares the parts of one name with what was signed.
func pair(now block, parts []int, signed [][]byte) (differ []Difference, changes []change) {
	rest := slices.Clone(signed)
	var open []int
	for _, i := range parts {
		if k := slices.IndexFunc(rest, func(s []byte) bool { return string(s) == string(now.parts[i]) }); k >= 0 {
			rest = slices.Delete(rest, k, k+1)
			continue
		}
		open = append(open, i)
	}
	for _, i := range open {
		var was []byte
		if len(rest) > 0 {
			was, rest = rest[0], rest[1:]
		}
		if string(was) == string(now.parts[i]) {
			continue // absent, as it was
		}
		differ = append(differ, Difference{Name: now.names[i], Signed: string(was), Now: string(now.parts[i])})
		changes = append(changes, change{part: i, octets: was})
	}
	return differ, changes
}

// differences compares two blocks part by part.
func differences(now, was block) (differ []Difference, changes []change) {
	for i, p := range now.parts {
		if string(p) != string(was.parts[i]) {
			differ = append(differ, Difference{now.names[i], string(was.parts[i]), string(p), true})
			changes = append(changes, change{part: i, octets: was.parts[i]})
		}
	}
	return differ, changes
}

// ownIn finds a signature's own field in another header, -1 where it is not there.
func ownIn(fields []dkim.Field, own dkim.Field) int {
	return slices.IndexFunc(fields, func(f dkim.Field) bool {
		return string(dkim.Relaxed.AppendHeader(nil, f)) == string(dkim.Relaxed.AppendHeader(nil, own))
	})
}

const (
	// maxDiffLines is how many lines of each side are shown, and how many before them.
	maxDiffLines = 10
	diffContext  = 2
)

// Diff is where two bodies differ: from a line on, the lines of both until they are the
// same again.
type Diff struct {
	// Line is the number of the first line that differs, from 1.
	Line int
	// Before are lines before it, that both have.
	Before []string
	// Signed and Now are those that differ, canonical and without CRLF, at most a few;
	// MoreSigned and MoreNow are how many more there are.
	Signed, Now         []string
	MoreSigned, MoreNow int
}

// diffOf compares two canonical bodies; nil: they are the same.
func diffOf(signed, now []byte) *Diff {
	if string(signed) == string(now) {
		return nil
	}
	a, b := newLines(signed), newLines(now)
	first := 0
	for first < a.count() && first < b.count() && string(a.line(first)) == string(b.line(first)) {
		first++
	}
	tail := 0
	for tail < a.count()-first && tail < b.count()-first && string(a.line(a.count()-1-tail)) == string(b.line(b.count()-1-tail)) {
		tail++
	}
	d := &Diff{Line: first + 1}
	d.Before, _ = a.texts(max(0, first-diffContext), first)
	d.Signed, d.MoreSigned = a.texts(first, a.count()-tail)
	d.Now, d.MoreNow = b.texts(first, b.count()-tail)
	return d
}

// texts are lines as they are shown, at most maxDiffLines, and how many more there are.
func (l *lines) texts(first, last int) (texts []string, more int) {
	for i := first; i < last && len(texts) < maxDiffLines; i++ {
		texts = append(texts, clip(strings.TrimSuffix(string(l.line(i)), "\r\n")))
	}
	return texts, last - first - len(texts)
}
