package config

import "strings"

// maxSuggest is the longest name that a neighbour is looked for.
const maxSuggest = 64

// Nearest returns the known name that was most likely meant, or "". Letter
// case, "_" and "-" do not count, so that OpenDKIM's own KeyTable finds
// key_table.
func Nearest(name string, known []string) string {
	if len(name) > maxSuggest {
		return ""
	}
	name = squeeze(name)
	best, limit := "", max(1, len(name)/3)
	for _, candidate := range known {
		if d := distance(name, squeeze(candidate)); d <= limit {
			best, limit = candidate, d-1
		}
	}
	return best
}

// joints stand between the words of a name.
var joints = strings.NewReplacer("_", "", "-", "")

func squeeze(name string) string { return joints.Replace(strings.ToLower(name)) }

// distance is Levenshtein's: how many octets are put in, left out or changed.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
