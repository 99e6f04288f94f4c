package opendkim

import (
	"fmt"
	"slices"
	"strings"
)

// recordTrouble is what OpenDKIM finds wrong with a key record, in its words;
// empty: nothing. What it does not look at, such as the key itself, package
// published judges.
func recordTrouble(txt string) string {
	if txt == "" {
		return "empty key record"
	}
	tags, trouble := recordTags(txt)
	if trouble != "" {
		return trouble
	}
	knows := func(name string, words ...string) bool {
		value, ok := tags[name]
		return !ok || slices.ContainsFunc(strings.Split(strings.ToLower(value), ":"), func(word string) bool {
			return slices.Contains(words, word)
		})
	}
	p, hasKey := tags["p"]
	switch v, hasVersion := tags["v"]; {
	case hasVersion && v != "DKIM1":
		return fmt.Sprintf("invalid key version '%s'", v)
	case !knows("h", "sha1", "sha256"):
		return fmt.Sprintf("unknown hash '%s'", tags["h"])
	case !knows("s", "*", "email"):
		return "key type mismatch"
	case !knows("k", "rsa", "ed25519"):
		return fmt.Sprintf("unknown key type '%s'", tags["k"])
	case !hasKey:
		return "key missing"
	case p == "":
		return "Revoked key"
	}
	return ""
}

// recordTags reads the tags of a record as OpenDKIM does: of two with one name
// the last counts, and blanks inside values do not.
func recordTags(txt string) (tags map[string]string, trouble string) {
	const (
		before = iota // a name
		inside        // a name
		after         // a name, at blanks
		value
	)
	tags = map[string]string{}
	state, name := before, ""
	var b strings.Builder
	for i := 0; i < len(txt); i++ {
		c := txt[i]
		blank := c == ' ' || '\t' <= c && c <= '\r'
		if !blank && (c < ' ' || c > '~') {
			return nil, fmt.Sprintf("invalid character (ASCII 0x%02x at offset %d) in key data", c, i)
		}
		switch {
		case state == value && c == ';':
			tags[name] = b.String()
			state = before
		case state == value && !blank:
			b.WriteByte(c)
		case state == value, state == before && blank, state == after && blank:
		case state == before && isAlphanumeric(c):
			state = inside
			b.Reset()
			b.WriteByte(c)
		case state == inside && blank:
			state = after
		case state != before && c == '=':
			name = b.String()
			state = value
			b.Reset()
		case state == inside && c != ';':
			b.WriteByte(c)
		default:
			return nil, fmt.Sprintf("syntax error in key data (ASCII 0x%02x at offset %d)", c, i)
		}
	}
	switch state {
	case inside, after:
		return nil, "tag without value at end of key data"
	case value:
		tags[name] = b.String()
	}
	return tags, ""
}

func isAlphanumeric(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
}
