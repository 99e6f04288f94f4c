package authres

import (
	"io"
	"mime"
	"strings"
)

// maxClaim is the number of name characters, and of octets of encoded words,
// that are looked at to find out who a field claims to be from. A host name
// has 255 at most.
const maxClaim = 2048

// Claims tells whether the value of an Authentication-Results field could be
// taken for one made by id, by us or by any lenient reader; such a field must
// not stay in a message from outside (RFC 8601 §5). It errs on that side: the
// rest of the field may be broken, and id counts as claimed in any case of
// letters, quoted, with a final dot, with "/JOBID" behind it, and with folds,
// comments, control characters, 8-bit octets or encoded words around or
// inside it. A longer host name ("id.evil.example", "notid") is no claim.
//
// An id without a letter or digit is never claimed.
func Claims(value, id string) bool {
	return ClaimsAny(value, []string{id})
}

// ClaimsAny tells whether value claims any of ids. An id with a leading dot,
// ".example.com", stands for every host below example.com.
func ClaimsAny(value string, ids []string) bool {
	for _, id := range ids {
		if claims(value, id) {
			return true
		}
	}
	return false
}

func claims(value, id string) bool {
	want := wanted(id)
	if len(want.units) == 0 {
		return false
	}
	s := scanner{s: value, wide: want.wide}
	if want.in(s.scan()) {
		return true
	}
	if s.broken {
		// A comment that never ends may hide the id from us and not from others.
		return strings.Contains(strings.ToLower(value), want.text)
	}
	head := strings.TrimLeft(value[s.lead:], " \t\r\n")
	head = head[:min(len(head), maxClaim)]
	if !strings.Contains(head, "=?") {
		return false
	}
	// RFC 2047 gives encoded words no meaning here; some readers decode them.
	words := mime.WordDecoder{CharsetReader: func(_ string, r io.Reader) (io.Reader, error) { return r, nil }}
	decoded, err := words.DecodeHeader(head)
	if err != nil {
		return false
	}
	s = scanner{s: decoded, wide: want.wide, plain: true}
	return want.in(s.scan())
}

// unit is one character of a name with what separates it from the one before.
type unit struct {
	c     byte   // in lower case
	gap   string // what stands before it, mostly nothing, "." or "-"
	loose bool   // blanks, comments, quotes, controls or 8-bit octets are in gap
}

// name is the sequence of units that a value begins with.
type name struct {
	units []unit
	open  bool // more characters of the same name follow, not looked at
}

// target is the id that is looked for.
type target struct {
	units []unit
	text  string // the units as they are written
	wide  bool   // has 8-bit octets: they are characters of names then
	below bool   // began with a dot: any host below is meant
}

// wanted reads an id as the configuration has it and, but for what is not ASCII,
// as String would write it.
func wanted(id string) target {
	var b strings.Builder
	for _, r := range id {
		b.WriteRune(clean(r))
	}
	id = strings.TrimLeft(b.String(), " ")
	t := target{below: strings.HasPrefix(id, ".")}
	for i := 0; i < len(id); i++ {
		t.wide = t.wide || id[i] >= 0x80
	}
	s := scanner{s: id, wide: t.wide, plain: true}
	t.units = s.scan().units
	b.Reset()
	for i, u := range t.units {
		if i > 0 && strings.Contains(u.gap, " ") { // where readers end it
			t.units = t.units[:i]
			break
		}
		if i > 0 {
			b.WriteString(u.gap)
		}
		b.WriteByte(u.c)
	}
	t.text = b.String()
	return t
}

// in tells whether n is the target or, with a leading dot, below it.
func (t target) in(n name) bool {
	if !t.below {
		return t.at(n, 0)
	}
	for i := 1; i+len(t.units) <= len(n.units); i++ {
		if u := n.units[i]; (u.loose || strings.HasSuffix(u.gap, ".")) && t.at(n, i) {
			return true
		}
	}
	return false
}

// at tells whether the target's units stand at i and a name ends after them.
func (t target) at(n name, i int) bool {
	end := i + len(t.units)
	if end > len(n.units) {
		return false
	}
	for k, want := range t.units {
		u := n.units[i+k]
		if u.c != want.c || k > 0 && !u.loose && u.gap != want.gap {
			return false
		}
	}
	if end == len(n.units) {
		return !n.open
	}
	after := n.units[end]
	return after.loose || strings.Trim(after.gap, ".-") != ""
}

// scanner reads the name at the beginning of a value.
type scanner struct {
	s      string
	i      int
	wide   bool
	plain  bool // no quotes and no comments
	quoted bool
	lead   int  // where the last comment before the name ended
	broken bool // a comment before the name does not end
}

// scan reads units up to a ";" or "/" behind the first of them, or the end.
func (s *scanner) scan() name {
	var n name
	for {
		start := s.i
		loose, more := s.gap(len(n.units) == 0)
		if !more {
			return n
		}
		u := unit{c: lower(s.s[s.i]), gap: s.s[start:s.i], loose: loose}
		if len(n.units) == maxClaim {
			n.open = !loose && strings.Trim(u.gap, ".-") == ""
			return n
		}
		n.units = append(n.units, u)
		s.i++
	}
}

// gap goes to the next character of the name; more is false if there is none.
func (s *scanner) gap(first bool) (loose, more bool) {
	for s.i < len(s.s) && !s.isName(s.s[s.i]) {
		c := s.s[s.i]
		if (c == ';' || c == '/') && !first {
			return loose, false
		}
		loose = loose || c <= ' ' || c >= 0x7f || strings.IndexByte(`"\()`, c) >= 0
		switch {
		case s.plain:
		case c == '"':
			s.quoted = !s.quoted
		case c == '\\':
			if s.i+1 < len(s.s) && strings.IndexByte(`"\(`, s.s[s.i+1]) >= 0 {
				s.i++
			}
		case c == '(' && !s.quoted:
			if s.comment() {
				if first {
					s.lead = s.i
				}
				continue
			}
			s.plain = true // looking again at each "(" would take square time
			s.broken = first
		}
		s.i++
	}
	return loose, s.i < len(s.s)
}

// comment skips a comment and those inside it, or reports that it has no end.
func (s *scanner) comment() bool {
	depth := 0
	for i := s.i; i < len(s.s); i++ {
		switch s.s[i] {
		case '\\':
			i++
		case '(':
			depth++
		case ')':
			if depth--; depth == 0 {
				s.i = i + 1
				return true
			}
		}
	}
	return false
}

// isName tells whether c is a character of names that are looked for; anything
// else separates them.
func (s *scanner) isName(c byte) bool {
	return isKeyword(c) && c != '-' || c == '_' || s.wide && c >= 0x80
}

func lower(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		return c + 'a' - 'A'
	}
	return c
}
