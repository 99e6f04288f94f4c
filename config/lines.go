package config

import (
	"strconv"
	"strings"
)

// lines tells on which line of a TOML document a key stands: "socket", or
// "listener.0.mode" for a key of the first [[listener]].
type lines map[string]int

// at is the line of key or, when that is not known, of what key is a part of;
// zero when that is not known either.
func (l lines) at(key string) int {
	for {
		if line, ok := l[key]; ok {
			return line
		}
		dot := strings.LastIndexByte(key, '.')
		if dot < 0 {
			return 0
		}
		key = key[:dot]
	}
}

func (l lines) note(key string, line int) {
	if _, ok := l[key]; !ok {
		l[key] = line
	}
}

// findLines finds the keys of a document that a TOML parser has accepted; of
// any other it may find nonsense. The parser itself tells lines only of what
// it refuses.
func findLines(text string) lines {
	var (
		found  = make(lines)
		tables = make(map[string]int) // how many [[NAME]] there were
		s      = scanner{text: strings.TrimPrefix(text, "\ufeff"), line: 1}
		prefix string
	)
	for s.nextStatement() {
		line := s.line
		switch {
		case s.take("[["):
			name := s.dottedKey()
			prefix = name + "." + strconv.Itoa(tables[name]) + "."
			tables[name]++
			found.note(name, line)
			found.note(strings.TrimSuffix(prefix, "."), line)
		case s.take("["):
			name := s.dottedKey()
			prefix = name + "."
			found.note(name, line)
			noteParents(found, name, line)
		default:
			name := s.dottedKey()
			found.note(prefix+name, line)
			noteParents(found, prefix+name, line)
		}
		s.skipStatement()
	}
	return found
}

// TopLevelEnd is where the keys of a TOML document's top level end, as an offset: before
// its first table, or at its end. What comes there as a line is one more of them. The
// document is one that a parser has accepted.
func TopLevelEnd(text string) int {
	s := scanner{text: text}
	for s.nextStatement() {
		if s.text[s.pos] == '[' {
			return strings.LastIndexByte(s.text[:s.pos], '\n') + 1
		}
		s.skipStatement()
	}
	return len(text)
}

// noteParents gives "a" the line of "a.b" where it has none.
func noteParents(l lines, key string, line int) {
	if dot := strings.IndexByte(key, '.'); dot > 0 {
		l.note(key[:dot], line)
	}
}

// scanner walks over the statements of a TOML document.
type scanner struct {
	text string
	pos  int
	line int
}

// nextStatement goes to the next table header or key; false at the end.
func (s *scanner) nextStatement() bool {
	for s.pos < len(s.text) {
		switch s.text[s.pos] {
		case '\n':
			s.line++
			s.pos++
		case ' ', '\t', '\r':
			s.pos++
		case '#':
			s.skipComment()
		default:
			return true
		}
	}
	return false
}

func (s *scanner) take(prefix string) bool {
	if !strings.HasPrefix(s.text[s.pos:], prefix) {
		return false
	}
	s.pos += len(prefix)
	return true
}

// dottedKey reads a key such as a.b or "a" . 'b', its parts joined by dots.
func (s *scanner) dottedKey() string {
	var b strings.Builder
	for s.pos < len(s.text) {
		switch c := s.text[s.pos]; c {
		case '=', ']', '\n', '#':
			return b.String()
		case ' ', '\t', '\r':
			s.pos++
		case '"', '\'':
			start := s.pos
			s.skipString()
			quoted := s.text[start:s.pos]
			if part, err := strconv.Unquote(quoted); err == nil && c == '"' {
				b.WriteString(part)
			} else {
				b.WriteString(strings.Trim(quoted, string(c)))
			}
		default:
			b.WriteByte(c)
			s.pos++
		}
	}
	return b.String()
}

// skipStatement goes to the end of the line on which the value ends.
func (s *scanner) skipStatement() {
	depth := 0
	for s.pos < len(s.text) {
		switch s.text[s.pos] {
		case '"', '\'':
			s.skipString()
			continue
		case '#':
			s.skipComment()
			continue
		case '[', '{':
			depth++
		case ']', '}':
			depth--
		case '\n':
			if depth <= 0 {
				return
			}
			s.line++
		}
		s.pos++
	}
}

func (s *scanner) skipComment() {
	end := strings.IndexByte(s.text[s.pos:], '\n')
	if end < 0 {
		end = len(s.text) - s.pos
	}
	s.pos += end
}

// skipString goes behind the string that begins here, of one line or of many.
func (s *scanner) skipString() {
	quote := s.text[s.pos : s.pos+1]
	multi := s.take(strings.Repeat(quote, 3))
	if !multi {
		s.pos++
	}
	for s.pos < len(s.text) {
		switch {
		case s.text[s.pos] == '\\' && quote == `"`:
			s.pos++
			if s.pos < len(s.text) && s.text[s.pos] == '\n' {
				s.line++
			}
			s.pos++
		case multi && s.take(strings.Repeat(quote, 3)):
			// Up to two quotation marks may stand right before the end.
			for range 2 {
				s.take(quote)
			}
			return
		case !multi && (s.take(quote) || s.text[s.pos] == '\n'):
			return
		default:
			if s.text[s.pos] == '\n' {
				s.line++
			}
			s.pos++
		}
	}
	s.pos = len(s.text)
}
