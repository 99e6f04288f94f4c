package dataset

import (
	"slices"
	"strings"
)

// index finds the rows that match a key without looking at the others. Every
// list of rows in it ascends, so that the first match is the lowest row.
type index struct {
	fold     bool
	literals map[string][]int32
	suffixes ends // globs, by what stands after the last "*"
	prefixes ends // globs, by what stands before the first "*"
	exprs    []expr
}

// ends holds globs by one literal end.
type ends struct {
	rows    map[string][]entry
	lengths []int // of the keys of rows, each once
}

type entry struct {
	row int32
	glob
}

type expr struct {
	row int32
	expression
}

func newIndex(fold bool) *index {
	return &index{
		fold:     fold,
		literals: map[string][]int32{},
		suffixes: ends{rows: map[string][]entry{}},
		prefixes: ends{rows: map[string][]entry{}},
	}
}

func (x *index) addLiteral(key string, row int) {
	key = x.folded(key)
	x.literals[key] = append(x.literals[key], int32(row))
}

// addPattern files a refile's pattern where look-ups are cheapest.
func (x *index) addPattern(pattern string, row int) error {
	if strings.ContainsAny(pattern, metacharacters) {
		e, err := compile(pattern, x.fold)
		if err != nil {
			return err
		}
		x.exprs = append(x.exprs, expr{int32(row), e})
		return nil
	}
	if !strings.Contains(pattern, "*") {
		x.addLiteral(pattern, row)
		return nil
	}
	g := newGlob(x.folded(pattern))
	side, end := &x.suffixes, g.suffix
	if len(g.prefix) > len(g.suffix) {
		side, end = &x.prefixes, g.prefix
	}
	side.rows[end] = append(side.rows[end], entry{int32(row), g})
	return nil
}

// seal ends the additions.
func (x *index) seal() {
	for _, side := range []*ends{&x.suffixes, &x.prefixes} {
		for end := range side.rows {
			side.lengths = append(side.lengths, len(end))
		}
		slices.Sort(side.lengths)
		side.lengths = slices.Compact(side.lengths)
	}
}

// buckets calls visit with each list of globs that may match the folded key.
// There are at most as many calls as the table has different lengths of ends,
// however many rows it has.
func (x *index) buckets(key string, visit func([]entry)) {
	for _, n := range x.suffixes.lengths {
		if n > len(key) {
			break
		}
		if bucket := x.suffixes.rows[key[len(key)-n:]]; bucket != nil {
			visit(bucket)
		}
	}
	for _, n := range x.prefixes.lengths {
		if n > len(key) {
			break
		}
		if bucket := x.prefixes.rows[key[:n]]; bucket != nil {
			visit(bucket)
		}
	}
}

// first returns the lowest row that matches key, -1 if there is none.
func (x *index) first(key string) int {
	folded := x.folded(key)
	best := int32(-1)
	better := func(row int32) bool { return best < 0 || row < best }
	if rows := x.literals[folded]; rows != nil {
		best = rows[0]
	}
	x.buckets(folded, func(bucket []entry) {
		for _, e := range bucket {
			if !better(e.row) {
				return
			}
			if e.match(folded) {
				best = e.row
				return
			}
		}
	})
	subject := ""
	for _, e := range x.exprs {
		if !better(e.row) {
			break
		}
		if subject == "" {
			subject = bytesAsRunes(key)
		}
		if e.match(subject) {
			best = e.row
			break
		}
	}
	return int(best)
}

// all returns every row that matches key, ascending.
func (x *index) all(key string) []int32 {
	folded := x.folded(key)
	rows := slices.Clone(x.literals[folded])
	x.buckets(folded, func(bucket []entry) {
		for _, e := range bucket {
			if e.match(folded) {
				rows = append(rows, e.row)
			}
		}
	})
	if len(x.exprs) > 0 {
		subject := bytesAsRunes(key)
		for _, e := range x.exprs {
			if e.match(subject) {
				rows = append(rows, e.row)
			}
		}
	}
	slices.Sort(rows)
	return rows
}

func (x *index) folded(key string) string {
	if x.fold {
		return lower(key)
	}
	return key
}

// lower makes the ASCII letters of s small and leaves every other byte alone.
func lower(s string) string {
	for i := 0; i < len(s); i++ {
		if 'A' <= s[i] && s[i] <= 'Z' {
			b := []byte(s)
			for ; i < len(b); i++ {
				if 'A' <= b[i] && b[i] <= 'Z' {
					b[i] += 'a' - 'A'
				}
			}
			return string(b)
		}
	}
	return s
}
