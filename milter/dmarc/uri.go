package dmarc

import "strings"

// URI is an address for reports (RFC 9989 §4.8).
type URI struct {
	// Text is the URI, without the size limit that RFC 7489 had behind "!".
	Text string
	// Scheme is in lower case. Reporters have to know "mailto" alone.
	Scheme string
	// Host is the domain that receives, "" where the URI names none.
	Host string
	// Sized reports that there was a size limit. It has no effect any more.
	Sized bool
}

// uris are the valid ones of a list.
func uris(list string) []URI {
	var valid []URI
	for text := range strings.SplitSeq(list, ",") {
		if u, ok := parseURI(trim(text)); ok && len(valid) < maxURIs {
			valid = append(valid, u)
		}
	}
	return valid
}

// parseURI reads one (RFC 3986 §3): a scheme, and after it nothing but what may stand
// in a URI. A mailto names one mailbox (RFC 6068): a comma and an exclamation mark in
// it are percent-encoded here.
func parseURI(text string) (u URI, ok bool) {
	text, u.Sized = unsized(text)
	u.Text = text
	scheme, rest, ok := strings.Cut(text, ":")
	if !ok || !isScheme(scheme) || rest == "" || !isURIText(rest) {
		return URI{}, false
	}
	u.Scheme = strings.ToLower(scheme)
	if u.Scheme == "mailto" {
		address, _, _ := strings.Cut(rest, "?")
		at := strings.LastIndexByte(address, '@')
		if at < 1 {
			return URI{}, false
		}
		host, err := domainName(address[at+1:])
		u.Host = host
		return u, err == nil
	}
	if authority, ok := strings.CutPrefix(rest, "//"); ok {
		if end := strings.IndexAny(authority, "/?#"); end >= 0 {
			authority = authority[:end]
		}
		authority = authority[strings.LastIndexByte(authority, '@')+1:]
		authority, _, _ = strings.Cut(authority, ":")
		u.Host, _ = domainName(authority)
	}
	return u, true
}

// unsized takes "!", digits and a unit off the end.
func unsized(text string) (rest string, sized bool) {
	rest, limit, ok := strings.Cut(text, "!")
	unit := strings.TrimLeft(limit, "0123456789")
	if !ok || unit == limit || len(unit) > 1 || !strings.Contains("kmgtKMGT", unit) {
		return text, false
	}
	return rest, true
}

func isScheme(s string) bool {
	if s == "" || !isLetters(s[:1]) {
		return false
	}
	for _, c := range []byte(s) {
		if !isLetters(string(c)) && (c < '0' || c > '9') && c != '+' && c != '-' && c != '.' {
			return false
		}
	}
	return true
}

// isURIText reports whether s has no character that must be percent-encoded in a URI,
// and "%" with two hexadecimal digits behind it alone. "!" is one here.
func isURIText(s string) bool {
	const others = "-._~:/?#[]@$&'()*+;="
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '%':
			if i+2 >= len(s) || !isHex(s[i+1]) || !isHex(s[i+2]) {
				return false
			}
			i += 2
		case 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9':
		case strings.IndexByte(others, c) < 0:
			return false
		}
	}
	return true
}

func isHex(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F'
}
