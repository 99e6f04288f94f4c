package spf

import (
	"cmp"
	"net/netip"
	"strings"

	"golang.org/x/net/idna"
)

// corrected finds for each error what was probably meant, and returns the whole
// record with that. ok is false if it does not know for one of them.
func corrected(text string, errs []*SyntaxError) (record string, ok bool) {
	ok = len(errs) < MaxSyntaxErrors
	var b strings.Builder
	done := 0
	for _, e := range errs {
		if e.Offset < done {
			continue // part of the correction before
		}
		if e.Offset < len(Version) {
			return "", false
		}
		if e.join(text); e.Better == "" {
			e.Better = correct(e.Term)
		}
		ok = ok && e.Better != ""
		b.WriteString(text[done:e.Offset] + e.Better)
		done = e.End
	}
	record = b.String() + text[done:]
	if _, errs := Parse(record); len(errs) > 0 {
		return "", false // a second redirect=, for one
	}
	return record, ok
}

// join takes the next term to it, where a blank came between a mechanism and its
// value or its qualifier.
func (e *SyntaxError) join(text string) {
	if strings.Trim(e.Term, "+-~?") != "" && !strings.HasSuffix(e.Term, ":") && !strings.HasSuffix(e.Term, "=") {
		return
	}
	for offset, word := range words(text, e.End) {
		if joined := e.Term + word; sound(joined) {
			e.Better, e.End = joined, offset+len(word)
		}
		return
	}
}

// sound reports whether s is one term or several.
func sound(s string) bool {
	any := false
	for _, word := range words(s, 0) {
		if _, err := parseTerm(word); err != nil {
			return false
		}
		any = true
	}
	return any
}

// correct returns what was probably meant by a term that is none, "" if it does not
// know. Each step mends one usual mistake on top of those before.
func correct(word string) string {
	for _, mend := range []func(string) string{plainText, trimmed, asciiDomain, parted, renamed, addressed, measured, hosted} {
		if word = mend(word); sound(word) {
			return word
		}
	}
	return ""
}

// plainText undoes what word processors and web forms make of a record.
var plainText = strings.NewReplacer("\u2010", "-", "\u2011", "-", "\u2012", "-", "\u2013", "-", "\u2014", "-", "\u2212", "-",
	"\uff5e", "~", "\u02dc", "~", "\uff1a", ":", "\u00a0", " ", "\t", " ", "\r", " ", "\n", " ",
	"\u200b", "", "\ufeff", "", "\u201c", "", "\u201d", "", "\u2018", "", "\u2019", "", `"`, "", "'", "", `\`, "").Replace

// trimmed takes punctuation off the end.
func trimmed(word string) string { return strings.TrimRight(word, ".,;:") }

// asciiDomain writes U-labels as A-labels.
func asciiDomain(word string) string {
	if isASCII(word) {
		return word
	}
	name, value, ok := strings.Cut(word, ":")
	if ascii, err := idna.Lookup.ToASCII(value); ok && err == nil {
		return name + ":" + ascii
	}
	return word
}

// parted puts blanks for what else parts the terms.
func parted(word string) string {
	if !strings.ContainsAny(word, ",;") {
		return word
	}
	return strings.Join(strings.FieldsFunc(word, func(r rune) bool { return r == ',' || r == ';' }), " ")
}

// names are what mechanisms are called by mistake.
var names = map[string]string{
	"ipv4": "ip4:", "ip-4": "ip4:", "ip": "ip4:", "ipv6": "ip6:", "ip-6": "ip6:", "host": "a:", "aaaa": "a:",
	"includes": "include:", "inlcude": "include:", "incldue": "include:", "inclued": "include:", "incude": "include:", "inculde": "include:",
	"ip4": "ip4:", "ip6": "ip6:", "include": "include:", "a": "a:", "mx": "mx:", "exists": "exists:", "exist": "exists:",
	"redirect": "redirect=", "redir": "redirect=", "exp": "exp=",
}

// split parts a term into qualifier, name and value.
func split(word string) (qualifier, name, value string) {
	rest := strings.TrimLeft(word, "+-~?")
	qualifier = word[:min(len(word)-len(rest), 1)]
	end := strings.IndexAny(rest, ":=")
	if end < 0 {
		return qualifier, rest, ""
	}
	return qualifier, rest[:end], rest[end+1:]
}

// renamed gives a mechanism its right name, and cuts what follows "all".
func renamed(word string) string {
	qualifier, name, value := split(word)
	name = strings.ToLower(name)
	if rest, ok := strings.CutPrefix(name, "all"); ok && (rest == "" || !isAlnum(rest[0])) {
		return qualifier + "all"
	}
	right, ok := names[name]
	if !ok || value == "" {
		return word
	}
	if strings.HasSuffix(right, "=") {
		qualifier = ""
	}
	return qualifier + right + value
}

// addressed puts ip4 or ip6 before an address, whatever stands there.
func addressed(word string) string {
	if addr, _, _ := strings.Cut(word, "/"); isAddress(addr) {
		return kindOf(addr) + ":" + word
	}
	qualifier, _, value := split(word)
	if addr, _, _ := strings.Cut(value, "/"); isAddress(addr) {
		return qualifier + kindOf(addr) + ":" + value
	}
	return word
}

func isAddress(s string) bool {
	addr, err := netip.ParseAddr(s)
	return err == nil && addr.Zone() == ""
}

func kindOf(addr string) string {
	if strings.Contains(addr, ":") {
		return string(IP6)
	}
	return string(IP4)
}

// measured mends prefix lengths: zeros in front, a slash too many or too few, a port,
// octets that are left out before it.
func measured(word string) string {
	qualifier, name, value := split(word)
	if kind := Kind(strings.ToLower(name)); kind != IP4 && kind != IP6 {
		if i := strings.LastIndexByte(word, '/'); i > 0 && strings.Count(word, "/") == 2 && word[i-1] != '/' {
			return word[:i] + "/" + word[i:]
		}
		return word
	}
	addr, length, _ := strings.Cut(value, "/")
	if length = strings.TrimLeft(length, "/"); length != "" {
		length = "/" + cmp.Or(strings.TrimLeft(length, "0"), "0")
	}
	if host, port, ok := strings.Cut(addr, ":"); ok && isAddress(host) && strings.Trim(port, "0123456789") == "" {
		addr = host
	}
	for n := strings.Count(addr, "."); length != "" && strings.EqualFold(name, string(IP4)) && n < 3; n++ {
		addr += ".0"
	}
	return qualifier + name + ":" + addr + length
}

// hosted writes a: for a host name behind ip4 or ip6, and takes a prefix length off
// a domain that cannot have one.
func hosted(word string) string {
	qualifier, name, value := split(word)
	switch Kind(strings.ToLower(name)) {
	case IP4, IP6:
		return qualifier + "a:" + value
	case Include, Exists, PTR:
		domain, _, _ := strings.Cut(value, "/")
		return qualifier + name + ":" + domain
	case Redirect, Exp:
		domain, _, _ := strings.Cut(value, "/")
		return name + "=" + domain
	}
	return word
}

// merged is one record in place of several: all mechanisms, and the milder end.
func merged(records []string) string {
	terms := []string{Version}
	known := map[string]bool{}
	end := "-all"
	for _, text := range records {
		strict := false
		for _, word := range words(text, len(Version)) {
			if domain, ok := cutFold(word, "redirect="); ok {
				word = "include:" + domain
				strict = true
			}
			lower := strings.ToLower(word)
			if strings.TrimLeft(lower, "+-~?") == "all" {
				strict = lower == "-all"
			} else if !known[lower] {
				known[lower] = true
				terms = append(terms, word)
			}
		}
		if !strict {
			end = "~all"
		}
	}
	return strings.Join(append(terms, end), " ")
}

// cutFold is strings.CutPrefix whatever the case.
func cutFold(s, prefix string) (after string, ok bool) {
	if len(s) < len(prefix) || !strings.EqualFold(s[:len(prefix)], prefix) {
		return s, false
	}
	return s[len(prefix):], true
}
