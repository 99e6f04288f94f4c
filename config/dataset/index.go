package dataset

import (
	"slices"
	"strings"
)

// index finds the rows that match a key without looking at the others. Rows are
// named by their numbers.
type index struct {
	fold     bool
	rows     []Row
	literals map[string]chain
	suffixes ends // globs, by what stands after the last "*"
	prefixes ends // globs, by what stands before the first "*"
	exprs    []expr
	// next is the row that follows in the chain of each; nil while every chain has
	// one row, as in nearly all tables.
	next []int32
}

// chain is a list of rows with the same literal or end, ascending.
type chain struct{ first, last int32 }

// ends holds globs by one literal end.
type ends struct {
	rows    map[string]chain
	lengths []int // of the keys of rows, each once
}

type expr struct {
	row int32
	expression
}

// newIndex is an index of rows, of which literals are likely not to be patterns.
func newIndex(rows []Row, literals int, fold bool) *index {
	return &index{
		fold: fold, rows: rows,
		literals: make(map[string]chain, literals),
		suffixes: ends{rows: map[string]chain{}},
		prefixes: ends{rows: map[string]chain{}},
	}
}

func (x *index) addLiteral(row int) { x.add(x.literals, x.pattern(int32(row)), int32(row)) }

// add puts a row at the end of a chain.
func (x *index) add(chains map[string]chain, key string, row int32) {
	c, ok := chains[key]
	if !ok {
		chains[key] = chain{row, row}
		return
	}
	if x.next == nil {
		x.next = make([]int32, len(x.rows))
	}
	x.next[c.last] = row
	chains[key] = chain{c.first, row}
}

// addPattern files a refile's pattern where look-ups are cheapest.
func (x *index) addPattern(row int) error {
	pattern := x.rows[row].Key
	if strings.ContainsAny(pattern, metacharacters) {
		e, err := compile(pattern, x.fold)
		if err != nil {
			return err
		}
		x.exprs = append(x.exprs, expr{int32(row), e})
		return nil
	}
	pattern = x.folded(pattern)
	first, last := strings.IndexByte(pattern, '*'), strings.LastIndexByte(pattern, '*')
	switch prefix, suffix := pattern[:max(first, 0)], pattern[last+1:]; {
	case first < 0:
		x.addLiteral(row)
	case len(prefix) > len(suffix):
		x.add(x.prefixes.rows, prefix, int32(row))
	default:
		x.add(x.suffixes.rows, suffix, int32(row))
	}
	return nil
}

// seal ends the additions.
func (x *index) seal() {
	for _, side := range []*ends{&x.suffixes, &x.prefixes} {
		for end := range side.rows {
			if !slices.Contains(side.lengths, len(end)) {
				side.lengths = append(side.lengths, len(end))
			}
		}
		slices.Sort(side.lengths)
	}
}

// chains calls visit with each chain of globs that may match the folded key.
// There are at most as many calls as the table has different lengths of ends,
// however many rows it has.
func (x *index) chains(key string, visit func(chain)) {
	for _, n := range x.suffixes.lengths {
		if n > len(key) {
			break
		}
		if c, ok := x.suffixes.rows[key[len(key)-n:]]; ok {
			visit(c)
		}
	}
	for _, n := range x.prefixes.lengths {
		if n > len(key) {
			break
		}
		if c, ok := x.prefixes.rows[key[:n]]; ok {
			visit(c)
		}
	}
}

// walk calls visit with the rows of a chain until it returns false.
func (x *index) walk(c chain, visit func(row int32) bool) {
	for row := c.first; visit(row) && row != c.last; {
		row = x.next[row]
	}
}

// first returns the lowest row that matches key, -1 if there is none.
func (x *index) first(key string) int {
	folded := x.folded(key)
	best := int32(-1)
	better := func(row int32) bool { return best < 0 || row < best }
	if c, ok := x.literals[folded]; ok {
		best = c.first
	}
	x.chains(folded, func(c chain) {
		x.walk(c, func(row int32) bool {
			if !better(row) {
				return false
			}
			if matchGlob(x.pattern(row), folded) {
				best = row
				return false
			}
			return true
		})
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
	var rows []int32
	if c, ok := x.literals[folded]; ok {
		x.walk(c, func(row int32) bool {
			rows = append(rows, row)
			return true
		})
	}
	x.chains(folded, func(c chain) {
		x.walk(c, func(row int32) bool {
			if matchGlob(x.pattern(row), folded) {
				rows = append(rows, row)
			}
			return true
		})
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

// pattern is the key of a row in the form that is compared.
func (x *index) pattern(row int32) string { return x.folded(x.rows[row].Key) }

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
