package spf

import (
	"net/netip"
	"strconv"
	"strings"
)

// Version is what an SPF record begins with (RFC 7208 §4.5).
const Version = "v=spf1"

// Record is an SPF record (RFC 7208 §4.6.1): its terms in their order.
type Record struct {
	Terms []Term
}

// Term is a directive or a modifier of a record.
type Term struct {
	// Kind says which mechanism or modifier it is.
	Kind Kind
	// Qualifier is '+', '-', '~' or '?' of a directive (RFC 7208 §4.6.2), '+' also
	// where none is written, and 0 of a modifier.
	Qualifier byte
	// Target is the domain-spec of a mechanism or modifier and the value of an
	// unknown modifier; empty where the domain of the record itself is meant.
	Target Macro
	// Network is that of ip4 and ip6, with the bits of the host as written.
	Network netip.Prefix
	// Bits4 and Bits6 are the prefix lengths of a and mx: 32 and 128 where none is
	// written.
	Bits4, Bits6 int
	// Name is the name of an unknown modifier.
	Name string
	// Text is the term as written, and Offset the octets before it.
	Text   string
	Offset int
}

// Kind is the kind of a term.
type Kind string

// The mechanisms (RFC 7208 §5) and the modifiers (§6).
const (
	All      Kind = "all"
	Include  Kind = "include"
	A        Kind = "a"
	MX       Kind = "mx"
	PTR      Kind = "ptr"
	IP4      Kind = "ip4"
	IP6      Kind = "ip6"
	Exists   Kind = "exists"
	Redirect Kind = "redirect"
	Exp      Kind = "exp"
	Unknown  Kind = "unknown" // a modifier that RFC 7208 does not know: it means nothing
)

// mechanisms are the kinds of a directive.
var mechanisms = map[Kind]bool{All: true, Include: true, A: true, MX: true, PTR: true, IP4: true, IP6: true, Exists: true}

// IsMechanism reports whether a term of kind k is a directive, not a modifier.
func (k Kind) IsMechanism() bool { return mechanisms[k] }

// CostsLookup reports whether a term of kind k counts against MaxLookups
// (RFC 7208 §4.6.4).
func (k Kind) CostsLookup() bool {
	switch k {
	case Include, A, MX, PTR, Exists, Redirect:
		return true
	}
	return false
}

// String is the record in its plain form: one blank between terms, the names of
// mechanisms in lower case. What it returns is parsed to the same terms.
func (r *Record) String() string {
	var b strings.Builder
	b.WriteString(Version)
	for _, t := range r.Terms {
		b.WriteByte(' ')
		b.WriteString(t.String())
	}
	return b.String()
}

// String is the term in its plain form, without a "+" that means nothing.
func (t Term) String() string {
	switch t.Kind {
	case Unknown:
		return t.Name + "=" + t.Target.String()
	case Redirect, Exp:
		return string(t.Kind) + "=" + t.Target.String()
	}
	s := string(t.Kind)
	if t.Qualifier != '+' {
		s = string(t.Qualifier) + s
	}
	if t.Kind == IP4 || t.Kind == IP6 {
		s += ":" + t.Network.Addr().String()
		if t.Network.Bits() != t.Network.Addr().BitLen() {
			s += "/" + strconv.Itoa(t.Network.Bits())
		}
		return s
	}
	if len(t.Target) > 0 {
		s += ":" + t.Target.String()
	}
	if t.Kind == A || t.Kind == MX {
		if t.Bits4 != 32 {
			s += "/" + strconv.Itoa(t.Bits4)
		}
		if t.Bits6 != 128 {
			s += "//" + strconv.Itoa(t.Bits6)
		}
	}
	return s
}

// short is the term as written, or its beginning.
func (t Term) short() string {
	const most = 255
	if len(t.Text) > most {
		return t.Text[:most] + "…"
	}
	return t.Text
}

// find returns the index of the first term of kind k, -1 if there is none.
func (r *Record) find(k Kind) int {
	for i, t := range r.Terms {
		if t.Kind == k {
			return i
		}
	}
	return -1
}

// evaluated are the terms that can decide something: the directives up to all, and
// redirect behind them where there is no all (RFC 7208 §5.1, §6.1).
func (r *Record) evaluated() []Term {
	var terms []Term
	for _, t := range r.Terms {
		if t.Kind.IsMechanism() {
			terms = append(terms, t)
		}
		if t.Kind == All {
			return terms
		}
	}
	if i := r.find(Redirect); i >= 0 {
		terms = append(terms, r.Terms[i])
	}
	return terms
}

// without is the record's text without some of its terms.
func (r *Record) without(gone func(Term) bool) string {
	return r.rewritten(func(t Term) string {
		if gone(t) {
			return ""
		}
		return t.Text
	})
}

// rewritten is the record's text with other words for its terms; "" takes one out.
func (r *Record) rewritten(word func(Term) string) string {
	words := []string{Version}
	for _, t := range r.Terms {
		if w := word(t); w != "" {
			words = append(words, w)
		}
	}
	return strings.Join(words, " ")
}

// ending is the record's text with one all, the last of its mechanisms: nothing that
// counts beside all stands behind it, and redirect= counts for nothing (RFC 7208 §6.1).
func (r *Record) ending(all string) string {
	return r.without(func(t Term) bool { return t.Kind == All || t.Kind == Redirect }) + " " + all
}

// isTerm tells a term of the record from the others.
func isTerm(t Term) func(Term) bool {
	return func(o Term) bool { return o.Offset == t.Offset }
}

// nothing tells no term from the others.
func nothing(Term) bool { return false }
