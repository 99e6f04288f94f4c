package authres

import (
	"strconv"
	"strings"
	"unicode/utf8"
)

// lineWidth is the preferred length of a line in octets (RFC 5322 §2.1.1).
const lineWidth = 78

// String gives the value of the header field as it stands after the colon: a
// leading blank, one line or more per result, folds of CRLF TAB and no CRLF at
// the end. Lines stay within 78 octets where a blank permits and within 998
// always; for the first line the field's name is counted in.
//
// Whatever the strings hold, the value is well-formed, and it is ASCII, so that
// it may stand in every message and not only in those of RFC 6532: give domains
// with A-labels. Values are quoted where the grammar asks for it. In values and
// comments TAB, CR and LF become a blank, other control characters and what is
// not ASCII become "?", and more than MaxValue octets are cut off. Keywords are
// written in lower case with "-" for every other character; a result without
// method or result word and a property without type or name is left out.
func (h Header) String() string {
	w := writer{column: len("Authentication-Results:")}
	head := quotable("", h.AuthservID, isTokens(h.AuthservID)) // a value, not a pvalue
	if h.Version > 0 {
		head = append(head, strconv.Itoa(h.Version))
	}
	var results [][]string
	for _, r := range h.Results {
		if words := r.words(); words != nil {
			results = append(results, words)
		}
	}
	w.words(terminated(head))
	if len(results) == 0 {
		w.words([]string{"none"})
		return w.b.String()
	}
	for i, words := range results {
		if i < len(results)-1 {
			words = terminated(words)
		}
		w.fold()
		w.words(words)
	}
	return w.b.String()
}

// Split spreads the results over several fields, in their order, so that each
// stays within size octets unless one result alone is longer (RFC 8601 §4 permits
// several fields). Readers have small buffers: OpenDMARC 1.4 takes no result
// from a field above some 800 octets, and ended with one of 18 results.
func (h Header) Split(size int) []Header {
	var fields []Header
	begin := 0
	for end := range h.Results {
		part := h
		part.Results = h.Results[begin : end+1]
		if end == begin || len(part.String()) > size {
			begin = end
			part.Results = h.Results[begin : end+1]
			fields = append(fields, part)
			continue
		}
		fields[len(fields)-1] = part
	}
	return fields
}

func terminated(words []string) []string {
	words[len(words)-1] += ";"
	return words
}

// words gives the result cut where it may be folded: the words are to be
// joined by a blank or by a fold. nil if the result cannot be written.
func (r Result) words() []string {
	method, value := keyword(r.Method), keyword(r.Value)
	if method == "" || value == "" {
		return nil
	}
	if r.Version > 0 {
		method += "/" + strconv.Itoa(r.Version)
	}
	words := []string{method + "=" + value}
	if r.Reason != "" {
		words = append(words, cut(`reason="`+escape(r.Reason, `"\`)+`"`)...)
	}
	if r.Comment != "" {
		words = append(words, cut("("+escape(r.Comment, `()\`)+")")...)
	}
	for _, p := range r.Properties {
		ptype, name := keyword(p.Type), keyword(p.Name)
		if ptype != "" && name != "" {
			words = append(words, quotable(ptype+"."+name+"=", p.Value, isBare(p.Value))...)
		}
	}
	return words
}

// keyword makes s a Keyword of RFC 8601 §2.2, or "" if nothing of it is one.
func keyword(s string) string {
	s = s[:min(len(s), maxKeyword)]
	b := []byte(s)
	for i, c := range b {
		switch {
		case !isKeyword(c):
			b[i] = '-'
		case 'A' <= c && c <= 'Z':
			b[i] = c + 'a' - 'A'
		}
	}
	return strings.TrimRight(string(b), "-")
}

// quotable gives prefix and value, bare where the grammar permits that and
// quoted else, cut into words.
func quotable(prefix, value string, bare bool) []string {
	if bare && len(value) <= MaxValue {
		return []string{prefix + value}
	}
	return cut(prefix + `"` + escape(value, `"\`) + `"`)
}

// isBare tells whether a pvalue goes without quotes: a token, or
// [local-part] "@" domain-name (RFC 8601 §2.2). A local part with an octet that
// is no token, such as "/" or "=", would be legal; it is quoted all the same
// for readers that split there.
func isBare(v string) bool {
	local, domain, address := strings.Cut(v, "@")
	if !address {
		return isTokens(v)
	}
	if local != "" && (!isTokens(local) || hasEmptyLabel(local)) {
		return false
	}
	for i := 0; i < len(domain); i++ {
		if !isKeyword(domain[i]) && domain[i] != '.' {
			return false
		}
	}
	return !hasEmptyLabel(domain)
}

func isTokens(s string) bool {
	for i := 0; i < len(s); i++ {
		if !isToken(s[i]) {
			return false
		}
	}
	return s != ""
}

func hasEmptyLabel(s string) bool {
	return s == "" || s[0] == '.' || s[len(s)-1] == '.' || strings.Contains(s, "..")
}

// escape cleans s and puts a backslash before each character of special. The
// outcome has at most MaxValue octets.
func escape(s, special string) string {
	var b strings.Builder
	for _, r := range s {
		c := byte('?')
		if r = clean(r); r < utf8.RuneSelf {
			c = byte(r)
		}
		size := 1
		escaped := strings.IndexByte(special, c) >= 0
		if escaped {
			size++
		}
		if b.Len()+size > MaxValue {
			break
		}
		if escaped {
			b.WriteByte('\\')
		}
		b.WriteByte(c)
	}
	return b.String()
}

// clean replaces what must not get into a header field. Go's range over a
// string has made U+FFFD of octets that are no UTF-8.
func clean(r rune) rune {
	switch {
	case r == '\t' || r == '\r' || r == '\n':
		return ' '
	case r < ' ' || 0x7f <= r && r < 0xa0 || r == utf8.RuneError:
		return '?'
	}
	return r
}

// cut splits s at every blank that a fold may replace: a blank before another
// one stays inside its word, so that no line consists of blanks alone.
func cut(s string) []string {
	var words []string
	start := 0
	for i := 1; i < len(s)-1; i++ {
		if s[i] == ' ' && s[i+1] != ' ' {
			words = append(words, s[start:i])
			start = i + 1
		}
	}
	return append(words, s[start:])
}

// writer joins words by blanks and folds.
type writer struct {
	b      strings.Builder
	column int
	folded bool // the fold stands for the next word's blank
}

func (w *writer) fold() {
	w.b.WriteString("\r\n\t")
	w.column = 1
	w.folded = true
}

func (w *writer) words(words []string) {
	for _, word := range words {
		if !w.folded && w.column+1+len(word) > lineWidth && w.b.Len() > 0 {
			w.fold()
		}
		if !w.folded {
			w.b.WriteByte(' ')
			w.column++
		}
		w.b.WriteString(word)
		w.column += len(word)
		w.folded = false
	}
}
