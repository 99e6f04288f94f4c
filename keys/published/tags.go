package published

import (
	"iter"
	"strings"
)

const blanks = " \t\r\n"

// tagList is a record cut at its semicolons as far as it goes, to say more of
// a broken record than a strict reader can.
type tagList []struct{ name, value string }

// readTags never fails: a part without "=" is a name without a value.
func readTags(txt string) tagList {
	var tags tagList
	for part := range strings.SplitSeq(txt, ";") {
		name, value, _ := strings.Cut(part, "=")
		if name = strings.Trim(name, blanks); name != "" {
			tags = append(tags, struct{ name, value string }{name, strings.Trim(value, blanks)})
		}
	}
	return tags
}

func (t tagList) get(name string) (string, bool) {
	for _, tag := range t {
		if tag.name == name {
			return tag.value, true
		}
	}
	return "", false
}

func (t tagList) all() iter.Seq2[string, string] {
	return func(yield func(string, string) bool) {
		for _, tag := range t {
			if !yield(tag.name, tag.value) {
				return
			}
		}
	}
}

// isKeyRecord tells a key record, broken ones included, from another text.
func isKeyRecord(txt string) bool {
	tags := readTags(strings.Trim(txt, `"`+blanks))
	if len(tags) == 0 {
		return false
	}
	if tags[0].name == "v" {
		v := strings.ToUpper(tags[0].value)
		return strings.HasPrefix(v, "DKIM")
	}
	_, p := tags.get("p")
	k, hasK := tags.get("k")
	return p && !looksLikeDMARC(tags) || hasK && k != ""
}

// looksLikeDMARC tells a DMARC policy without its version from a key.
func looksLikeDMARC(tags tagList) bool {
	p, _ := tags.get("p")
	return p == "none" || p == "quarantine" || p == "reject"
}
