package dmarc

import (
	"slices"
	"strings"
)

const (
	version = "DMARC1"
	// maxText is how many octets of a record are read, maxItems how many tags of it, and
	// maxURIs how many addresses of one of them. The rest is passed over.
	maxText  = 8 << 10
	maxItems = 64
	maxURIs  = 32
)

// Record is a DMARC policy record (RFC 9989 §4.7) as receivers read it: what is not
// valid in it has its default.
type Record struct {
	// Text is the TXT value.
	Text string
	// P, SP and NP are for the domain itself, its subdomains, and subdomains that do
	// not exist; "" where the record has none, or no valid one.
	P, SP, NP Policy
	// PSD is "y" for a public suffix, "n" for an organizational domain, "u" where the
	// walk is to find out.
	PSD string
	// Test is t=y.
	Test        bool
	ADKIM, ASPF Mode
	// RUA and RUF are the addresses for reports, those that are valid URIs.
	RUA, RUF []URI
	// FO says which failures are to be reported.
	FO string

	items []item
	bad   bool // p is missing, or one of p, sp and np is not valid
}

// item is one tag of a record as it stands there.
type item struct {
	name  string // in lower case, "" if the item is none
	value string // trimmed
	raw   string
	fault fault
	folds bool // the name has capital letters
}

// fault says why an item does not count.
type fault int

const (
	sound     fault = iota
	malformed       // no name and value
	repeated        // a tag of this name stands before it
	invalid         // no value that the tag can have
	historic        // RFC 9989 §9.3
	unknown
)

// IsRecord reports whether a TXT value begins with the version tag of DMARC, and so
// counts as a record whatever else is in it (RFC 9989 §4.7). The case of DMARC1 counts;
// blanks ahead of it make it none.
func IsRecord(txt string) bool {
	head, _, _ := strings.Cut(txt, ";")
	name, value, ok := strings.Cut(head, "=")
	if !ok || name == "" || isBlank(name[0]) {
		return false
	}
	return strings.EqualFold(trim(name), "v") && trim(value) == version
}

// ParseRecord reads a TXT value. ok is false where it is no DMARC record: see IsRecord.
// A fault elsewhere costs only the tag that has it (RFC 9989 §4.8).
//
// Of tags of one name the first counts: RFC 6376 §3.2 calls such a list invalid, RFC 9989
// §4.8 drops what is wrong, and others take the first or the last. The case of tag names
// is folded, as others do.
func ParseRecord(txt string) (r *Record, ok bool) {
	if !IsRecord(txt) {
		return nil, false
	}
	r = &Record{Text: txt, PSD: "u", ADKIM: Relaxed, ASPF: Relaxed, FO: "0"}
	if len(txt) > maxText {
		txt = txt[:strings.LastIndexByte(txt[:maxText], ';')+1]
	}
	seen := make(map[string]bool)
	for raw := range strings.SplitSeq(txt, ";") {
		if len(r.items) == maxItems {
			break
		}
		if trim(raw) == "" {
			continue
		}
		it := split(raw)
		switch {
		case it.fault == malformed:
		case seen[it.name]:
			it.fault = repeated
		default:
			seen[it.name] = true
			it.fault = r.take(it.name, it.value)
		}
		r.items = append(r.items, it)
	}
	r.bad = r.P == "" || slices.ContainsFunc(r.items, func(it item) bool {
		return it.fault == invalid && (it.name == "sp" || it.name == "np")
	})
	return r, true
}

// split takes an item apart into name and value.
func split(raw string) item {
	it := item{raw: trim(raw)}
	name, value, ok := strings.Cut(raw, "=")
	name, value = trim(name), trim(value)
	if !ok || !isLetters(name) || len(name) > 16 {
		it.fault = malformed
		return it
	}
	it.name, it.value = strings.ToLower(name), value
	it.folds = it.name != name
	return it
}

// take stores the value of a tag, and says what is wrong with it. Values fold case,
// except that of v.
func (r *Record) take(name, value string) fault {
	folded := strings.ToLower(value)
	valid := isText(value)
	switch name {
	case "v":
	case "p":
		valid = setPolicy(&r.P, folded)
	case "sp":
		valid = setPolicy(&r.SP, folded)
	case "np":
		valid = setPolicy(&r.NP, folded)
	case "psd":
		valid = set(&r.PSD, folded, "y", "n", "u")
	case "t":
		t := "n"
		valid = set(&t, folded, "y", "n")
		r.Test = t == "y"
	case "adkim":
		valid = set(&r.ADKIM, Mode(folded), Relaxed, Strict)
	case "aspf":
		valid = set(&r.ASPF, Mode(folded), Relaxed, Strict)
	case "fo":
		if valid = isFO(folded); valid {
			r.FO = folded
		}
	case "rua":
		r.RUA = uris(value)
		valid = len(r.RUA) > 0
	case "ruf":
		r.RUF = uris(value)
		valid = len(r.RUF) > 0
	case "pct", "rf", "ri":
		return historic
	default:
		if valid {
			return unknown
		}
	}
	if !valid {
		return invalid
	}
	return sound
}

func setPolicy(to *Policy, value string) bool {
	return set(to, Policy(value), NoPolicy, Quarantine, Reject)
}

// set stores value if it is one of those that are possible.
func set[T comparable](to *T, value T, possible ...T) bool {
	if !slices.Contains(possible, value) {
		return false
	}
	*to = value
	return true
}

// isFO reports whether v is 0 or 1 with d and s, parted by colons, each once at most
// and 0 not beside 1 (RFC 9989 §4.8).
func isFO(v string) bool {
	seen := map[string]bool{}
	for o := range strings.SplitSeq(v, ":") {
		o = trim(o)
		if !slices.Contains([]string{"0", "1", "d", "s"}, o) || seen[o] {
			return false
		}
		seen[o] = true
	}
	return !seen["0"] || !seen["1"]
}

// Policies are what a record asks for: for its domain, for subdomains, and for
// subdomains that do not exist, before t is counted.
//
// Where p is missing or not valid, or sp or np is there and not valid, all of them are
// none if the record has an address for aggregate reports; without one it is as if there
// were no DMARC, and usable is false (RFC 9989 §4.10.1). §4.7 would have a record without
// p act as none in any case; most others follow §4.10.1, and so does this.
func (r *Record) Policies() (p, sp, np Policy, usable bool) {
	if r.bad {
		return NoPolicy, NoPolicy, NoPolicy, len(r.RUA) > 0
	}
	p, sp, np = r.P, r.SP, r.NP
	if sp == "" {
		sp = p
	}
	if np == "" {
		np = sp
	}
	return p, sp, np, true
}

// applied is a policy of the record after t.
func (r *Record) applied(p Policy) Policy {
	if r.Test {
		return p.lowered()
	}
	return p
}

func isBlank(c byte) bool { return c == ' ' || c == '\t' }

// trim takes the blanks that may stand around "=" and ";" off.
func trim(s string) string { return strings.Trim(s, " \t") }

func isLetters(s string) bool {
	for _, c := range []byte(s) {
		if c|0x20 < 'a' || c|0x20 > 'z' {
			return false
		}
	}
	return s != ""
}

// isText reports whether s is printable ASCII, one character at least.
func isText(s string) bool {
	for _, c := range []byte(s) {
		if c < ' ' || c > '~' {
			return false
		}
	}
	return s != ""
}
