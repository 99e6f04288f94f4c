package resolver

import (
	"strings"

	"github.com/miekg/dns"
)

const (
	maxName  = 253 // octets in text form without the final dot (RFC 1035 §2.3.4)
	maxLabel = 63
)

// canonicalName returns name in lower case and without its final dot. ok is
// false for what cannot be the name of a host, a key or a policy: too long, an empty
// label, or an octet other than letters, digits, "-" and "_" (U-labels are the
// caller's to convert, RFC 8616 §4). Such names come from strangers' mail into
// LookupTXT; wireName is for those that may have anything in them.
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

// wireName returns name, in which each octet stands for itself, as [owner] returns
// one of a message: in lower case, with the library's escapes, without the final dot.
// ok is false for what DNS cannot hold: too long, or with an empty label (RFC 1035
// §3.1), and for the root.
func wireName(name string) (escaped string, ok bool) {
	name = strings.TrimSuffix(name, ".")
	if len(name) > maxName {
		return "", false
	}
	var wire []byte
	for label := range strings.SplitSeq(name, ".") {
		if label == "" || len(label) > maxLabel {
			return "", false
		}
		wire = append(append(wire, byte(len(label))), label...)
	}
	escaped, _, err := dns.UnpackDomainName(append(wire, 0), 0)
	return owner(escaped), err == nil
}
