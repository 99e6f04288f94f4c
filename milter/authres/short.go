package authres

import (
	"cmp"
	"slices"
)

// shortest is the least number of characters in header.b (RFC 6008 §4).
const shortest = 8

// ShortSignatures gives the values of header.b for the signatures of one
// message: the first eight characters of each b= value (which must come
// without white space), and as many more as it takes to tell it from the
// others. Signatures that are equal, and one that another begins with, are
// given whole (RFC 6008 §4). The order is that of sigs.
func ShortSignatures(sigs []string) []string {
	order := make([]int, len(sigs))
	for i := range order {
		order[i] = i
	}
	// Sorted, those that share the longest beginning stand side by side.
	slices.SortFunc(order, func(a, b int) int { return cmp.Compare(sigs[a], sigs[b]) })
	need := make([]int, len(sigs))
	for k := 1; k < len(order); k++ {
		a, b := order[k-1], order[k]
		n := commonPrefix(sigs[a], sigs[b]) + 1
		need[a], need[b] = max(need[a], n), max(need[b], n)
	}
	short := make([]string, len(sigs))
	for i, s := range sigs {
		short[i] = s[:min(len(s), max(need[i], shortest))]
	}
	return short
}

func commonPrefix(a, b string) int {
	n := 0
	for n < len(a) && n < len(b) && a[n] == b[n] {
		n++
	}
	return n
}
