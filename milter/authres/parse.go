package authres

import (
	"fmt"
	"strconv"
	"strings"
)

// Parse reads the value of an Authentication-Results field, folds included, by
// the grammar of RFC 8601 §2.2: white space and comments anywhere, quoted
// strings, versions, "none". Keywords come back in lower case; a fold or TAB
// inside quotes or a comment comes back as a blank.
//
// Beyond the grammar, an unquoted authserv-id may contain "/" and an unquoted
// value "/", "=", ":", "?", "," and brackets, for OpenDKIM and others write job
// ids, signature fragments and IPv6 addresses so.
//
// The error wraps ErrSyntax, with the offset of the octet in value, or
// ErrTooLarge; the Header is then empty.
func Parse(value string) (Header, error) {
	if len(value) > MaxField {
		return Header{}, fmt.Errorf("%w: %d octets, at most %d are read", ErrTooLarge, len(value), MaxField)
	}
	p := parser{s: value}
	h, err := p.header()
	if err != nil {
		return Header{}, err
	}
	return h, nil
}

// header reads authserv-id [version] ( no-result / 1*resinfo ).
func (p *parser) header() (h Header, err error) {
	if err = p.skip(); err != nil {
		return h, err
	}
	if h.AuthservID, err = p.value("/"); err != nil {
		return h, err
	}
	if err = p.skip(); err != nil {
		return h, err
	}
	if isDigit(p.peek()) {
		if h.Version, err = p.number(); err != nil {
			return h, err
		}
	}
	for first := true; ; first = false {
		if err = p.skip(); err != nil {
			return h, err
		}
		if !first && p.end() {
			return h, nil
		}
		if err = p.expect(';'); err != nil {
			return h, err
		}
		if err = p.skip(); err != nil {
			return h, err
		}
		if first {
			none, err := p.none()
			if none || err != nil {
				return h, err
			}
		}
		if len(h.Results) == MaxResults {
			return h, fmt.Errorf("%w: more than %d results", ErrTooLarge, MaxResults)
		}
		r, err := p.result()
		if err != nil {
			return h, err
		}
		h.Results = append(h.Results, r)
	}
}

// none reads no-result: the word "none" and nothing behind it. It goes back if
// that is not what stands there.
func (p *parser) none() (bool, error) {
	start := p.i
	word, err := p.keyword("method")
	if err != nil || word != "none" {
		p.i = start
		return false, nil
	}
	if err := p.skip(); err != nil {
		return false, err
	}
	if p.end() {
		return true, nil
	}
	p.i = start
	return false, nil
}

// result reads one resinfo after its ";".
func (p *parser) result() (r Result, err error) {
	if r.Method, err = p.keyword("method"); err != nil {
		return r, err
	}
	if err = p.skip(); err != nil {
		return r, err
	}
	if p.peek() == '/' {
		p.i++
		if err = p.skip(); err != nil {
			return r, err
		}
		if r.Version, err = p.number(); err != nil {
			return r, err
		}
	}
	if err = p.equals(); err != nil {
		return r, err
	}
	if r.Value, err = p.keyword("result"); err != nil {
		return r, err
	}
	p.comment, p.commented = "", false
	for {
		if err = p.skip(); err != nil {
			return r, err
		}
		if p.end() || p.peek() == ';' {
			r.Comment = p.comment
			return r, nil
		}
		if err = p.item(&r); err != nil {
			return r, err
		}
	}
}

// item reads reason=value or ptype.property=pvalue. A reason comes before all
// properties, once (RFC 8601 §2.2).
func (p *parser) item(r *Result) error {
	start := p.i
	ptype, err := p.keyword("property type")
	if err != nil {
		return err
	}
	if err := p.skip(); err != nil {
		return err
	}
	if p.peek() == '=' && ptype == "reason" && r.Reason == "" && r.Properties == nil {
		if err := p.equals(); err != nil {
			return err
		}
		r.Reason, err = p.value(lenient)
		return err
	}
	if p.peek() != '.' {
		p.i = start
		return p.fail("want reason= or ptype.property=, found %s", p.found())
	}
	p.i++
	if err := p.skip(); err != nil {
		return err
	}
	name, err := p.keyword("property")
	if err != nil {
		return err
	}
	if err := p.equals(); err != nil {
		return err
	}
	value, err := p.pvalue()
	if err != nil {
		return err
	}
	if len(r.Properties) == MaxProperties {
		return fmt.Errorf("%w: more than %d properties in a result", ErrTooLarge, MaxProperties)
	}
	r.Properties = append(r.Properties, Property{ptype, name, value})
	return nil
}

// lenient are the tspecials that an unquoted value may contain for our part.
const lenient = "/=:?,[]"

// pvalue reads a value or [ [ local-part ] "@" ] domain-name. A quoted local
// part keeps no quotes.
func (p *parser) pvalue() (string, error) {
	if p.peek() != '"' {
		return p.value(lenient + "@")
	}
	local, err := p.quoted()
	if err != nil || p.peek() != '@' {
		return local, err
	}
	p.i++
	domain, err := p.value("")
	return local + "@" + domain, err
}

// value reads a quoted string, or octets that are tokens, 8-bit (RFC 6532) or
// among extra.
func (p *parser) value(extra string) (string, error) {
	if p.peek() == '"' {
		return p.quoted()
	}
	start := p.i
	for !p.end() {
		c := p.s[p.i]
		if !isToken(c) && c < 0x80 && !strings.Contains(extra, string(rune(c))) {
			break
		}
		p.i++
	}
	if p.i == start {
		return "", p.fail("want a value, found %s", p.found())
	}
	return p.text(start)
}

// keyword reads a Keyword and gives it in lower case.
func (p *parser) keyword(what string) (string, error) {
	start := p.i
	for !p.end() && isKeyword(p.s[p.i]) {
		p.i++
	}
	word := p.s[start:p.i]
	if word == "" {
		return "", p.fail("want a %s, found %s", what, p.found())
	}
	if word[len(word)-1] == '-' {
		return "", p.fail("the %s ends with a hyphen", what)
	}
	return strings.ToLower(word), nil
}

// number reads 1*DIGIT, at most nine of them.
func (p *parser) number() (int, error) {
	start := p.i
	for isDigit(p.peek()) {
		p.i++
	}
	n, err := strconv.ParseInt(p.s[start:p.i], 10, 32)
	if err != nil || p.i-start > 9 {
		p.i = start
		return 0, p.fail("want a version number, found %s", p.found())
	}
	return int(n), nil
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }
