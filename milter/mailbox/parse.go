package mailbox

import (
	"errors"
	"fmt"
	"strings"
)

// ParseList reads the value of a From, Sender, Reply-To or List-Post field and
// gives its addresses in order: with or without display names and angle
// brackets, with comments, in groups, with routes (which vanish), as mailto:
// URIs (their ?query vanishes). Empty elements, an empty group, "<>", other
// URIs in angle brackets, and the "NO" of RFC 2369 §3.4 hold no address and are
// no error.
//
// An error that wraps ErrSyntax says that the value is broken in such a way
// that readers may differ on its addresses. Elements that are not broken are
// returned with it: the caller decides whether to go by them. A broken element
// gives no address. An error that wraps ErrNoDomain says that the value is not
// broken, and that some of its elements name no mailbox that the world knows:
// all readers agree on the addresses that are returned, if there are any. After
// MaxAddresses the rest is not read and the error wraps ErrTooMany.
func ParseList(value string) ([]Address, error) {
	p := &list{lexer: lexer{s: value}}
	if i := strings.IndexByte(value, 0); i >= 0 {
		p.err = syntaxError(i, "a NUL, where some readers stop")
	}
	p.next()
	if p.isNo() {
		return nil, nil
	}
	for p.tok.kind != end {
		if len(p.found) == MaxAddresses && p.tok.kind != ',' && p.tok.kind != ';' {
			return p.found, fmt.Errorf("%w: more than %d", ErrTooMany, MaxAddresses)
		}
		if err := p.element(); err != nil {
			if p.err == nil || errors.Is(p.err, ErrNoDomain) {
				p.err = err // what is broken says more
			}
			p.resume()
		}
	}
	return p.found, p.err
}

// list is ParseList under way.
type list struct {
	lexer
	found []Address
	group bool
	err   error // the first that wraps ErrSyntax, else one that wraps ErrNoDomain
}

// isNo tells whether the value is the word NO alone, and goes no further.
func (p *list) isNo() bool {
	ahead := p.lexer
	if ahead.tok.kind != atom || !strings.EqualFold(ahead.tok.text, "NO") {
		return false
	}
	ahead.next()
	return ahead.tok.kind == end
}

// resume goes to the next element after an error.
func (p *list) resume() {
	for p.tok.kind != ',' && p.tok.kind != ';' && p.tok.kind != end {
		p.next()
	}
}

// element reads one separator, or one mailbox up to its separator, or the
// beginning of a group.
func (p *list) element() error {
	switch p.tok.kind {
	case ';':
		// Outside of a group some programs write it for a comma.
		p.group = false
		p.next()
		return nil
	case ',':
		p.next()
		return nil
	case '<':
		return p.angle(nil)
	}
	// What stands here is a display name, the name of a group or an address:
	// only what follows can tell, and then it is read again.
	start := p.lexer
	words := true // nothing else so far
	for {
		switch p.tok.kind {
		case atom, quoted, literal, '.', '@':
			words = words && p.tok.isWord()
			p.next()
			continue
		case ':':
			return p.colon(start)
		case '<':
			return p.angle(&start)
		case ',', ';', end:
			if words {
				return noDomain(p.s[start.tok.at:p.tok.at])
			}
			return p.bare(&start)
		case broken:
			return syntaxError(p.tok.at, "%s", p.tok.text)
		}
		return syntaxError(p.tok.at, "unexpected %s", p.tok)
	}
}

// colon reads the colon behind the name of a group, or behind "mailto".
func (p *list) colon(name lexer) error {
	if name.tok.at == p.tok.at {
		return syntaxError(p.tok.at, "want the name of a group before %s", p.tok)
	}
	if strings.EqualFold(p.s[name.tok.at:p.i], "mailto:") && p.i < len(p.s) && isAtom(p.s[p.i]) {
		return p.mailto()
	}
	for ; name.tok.at < p.tok.at; name.next() {
		if name.tok.kind == '@' || name.tok.kind == literal {
			return syntaxError(name.tok.at, "unexpected %s in the name of a group", name.tok)
		}
	}
	if p.group {
		return syntaxError(p.tok.at, "a group within a group")
	}
	p.group = true
	p.next()
	return nil
}

// mailto reads the rest of a mailto: URI without angle brackets, at its colon.
func (p *list) mailto() error {
	n := strings.IndexAny(p.s[p.i:], " \t\r\n,;")
	if n < 0 {
		n = len(p.s) - p.i
	}
	uri := p.s[p.i : p.i+n]
	p.i += n
	p.next()
	if err := p.addURI(uri); err != nil {
		return err
	}
	return p.separator()
}

// addURI adds the address of a mailto: URI, given from after its colon.
func (p *list) addURI(uri string) error {
	addrSpec, _, _ := strings.Cut(uri, "?")
	a, err := Parse(addrSpec)
	if err != nil {
		return fmt.Errorf("mailto:%.60q: %w", uri, err)
	}
	p.found = append(p.found, a)
	return nil
}

// bare reads an element that has no angle brackets.
func (p *list) bare(start *lexer) error {
	a, err := readAddrSpec(start)
	if err != nil {
		return err
	}
	if start.tok.at != p.tok.at {
		return syntaxError(start.tok.at, "unexpected %s after the address %q", start.tok, a.Domain)
	}
	p.found = append(p.found, a)
	return nil
}

// angle reads "<" address ">" after the display name that begins at name; nil
// if there is none.
func (p *list) angle(name *lexer) error {
	open := p.tok.at
	if uri, ok := p.uri(); ok {
		if scheme, rest, _ := strings.Cut(uri, ":"); strings.EqualFold(scheme, "mailto") {
			if err := p.addURI(rest); err != nil {
				return err
			}
		}
		return p.separator()
	}
	p.next()
	if p.tok.kind == '>' {
		p.next()
		return p.separator()
	}
	if err := p.route(); err != nil {
		return err
	}
	if text, ok := p.local(); ok {
		if name != nil {
			if err := checkName(name, open, Address{}); err != nil {
				return err
			}
		}
		if err := p.separator(); err != nil {
			return err
		}
		return noDomain(text)
	}
	a, err := readAddrSpec(&p.lexer)
	if err != nil {
		return err
	}
	if p.tok.kind != '>' {
		return syntaxError(p.tok.at, "want %q after the address that begins at octet %d, found %s", ">", open, p.tok)
	}
	p.next()
	if name != nil {
		if err := checkName(name, open, a); err != nil {
			return err
		}
	}
	if err := p.separator(); err != nil {
		return err
	}
	p.found = append(p.found, a)
	return nil
}

// local reads words and ">", the name of somebody on the writer's own host, and
// leaves the token after it. ok is false, and nothing is read, if that is not
// what stands here.
func (p *list) local() (text string, ok bool) {
	ahead := p.lexer
	for ahead.tok.isWord() {
		ahead.next()
	}
	if ahead.tok.kind != '>' || ahead.tok.at == p.tok.at {
		return "", false
	}
	text = p.s[p.tok.at:ahead.tok.at]
	ahead.next()
	p.lexer = ahead
	return text, true
}

// noDomain wraps ErrNoDomain with the element at fault.
func noDomain(element string) error {
	return fmt.Errorf("%w: %.80q has no %q", ErrNoDomain, strings.TrimSpace(element), "@")
}

// maxURI is the length in octets of the longest URI that is known as one.
const maxURI = 2048

// uri reads "<" URI ">" and leaves the token after it. A URI begins with
// "mailto:" or with any scheme and "//". ok is false, and nothing is read, if
// that is not what stands here.
func (p *list) uri() (uri string, ok bool) {
	inside := p.s[p.i:min(len(p.s), p.i+maxURI)]
	closing := strings.IndexByte(inside, '>')
	if closing < 0 {
		return "", false
	}
	uri = strings.Trim(inside[:closing], " \t\r\n")
	scheme, rest, _ := strings.Cut(uri, ":")
	if !strings.EqualFold(scheme, "mailto") && (!isScheme(scheme) || !strings.HasPrefix(rest, "//")) {
		return "", false
	}
	p.i += closing + 1
	p.next()
	return uri, true
}

// isScheme tells whether s is a scheme of RFC 3986 §3.1.
func isScheme(s string) bool {
	for i := 0; i < len(s); i++ {
		c := s[i] | 0x20
		if (c < 'a' || c > 'z') && (i == 0 || strings.IndexByte("0123456789+-.", s[i]) < 0) {
			return false
		}
	}
	return s != ""
}

// route skips an obs-route, "@a,@b:" (RFC 5322 §4.4).
func (p *list) route() error {
	if p.tok.kind != '@' {
		return nil
	}
	for p.tok.kind != ':' {
		switch p.tok.kind {
		case '@', ',', '.', atom, literal:
			p.next()
		default:
			return syntaxError(p.tok.at, "unexpected %s in a route", p.tok)
		}
	}
	p.next()
	return nil
}

// checkName looks at a display name. An "@" outside of quotes is illegal there
// and an address of its own to some readers; many programs repeat the address
// as the name, and then all readers agree.
func checkName(name *lexer, open int, a Address) error {
	same := *name
	b, err := readAddrSpec(&same)
	if err == nil && same.tok.at == open && b == a {
		return nil
	}
	for ; name.tok.at < open; name.next() {
		if name.tok.kind == '@' {
			return syntaxError(name.tok.at, "an unquoted %q before the address", "@")
		}
	}
	return nil
}

// separator checks that an element ends here.
func (p *list) separator() error {
	switch p.tok.kind {
	case ',', ';', end:
		return nil
	case broken:
		return syntaxError(p.tok.at, "%s", p.tok.text)
	}
	return syntaxError(p.tok.at, "unexpected %s after an address", p.tok)
}
