package resolver

import "strings"

const (
	maxName  = 253 // octets in text form without the final dot (RFC 1035 §2.3.4)
	maxLabel = 63
)

// canonicalName returns name in lower case and without its final dot. ok is
// false for what cannot be the name of a host or of a key: too long, an empty
// label, or an octet other than letters, digits, "-" and "_" (U-labels are the
// caller's to convert, RFC 8616 §4).
func canonicalName(name string) (canonical string, ok bool) {
	name = strings.TrimSuffix(name, ".")
	if name == "" || len(name) > maxName {
		return "", false
	}
	label := 0
	for i := 0; i < len(name); i++ {
		switch c := name[i]; {
		case c == '.':
			if label == 0 {
				return "", false
			}
			label = 0
			continue
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '-', c == '_':
			label++
		default:
			return "", false
		}
		if label > maxLabel {
			return "", false
		}
	}
	return strings.ToLower(name), label > 0
}
