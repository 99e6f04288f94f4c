package rewrite

import (
	"errors"
	"fmt"
	"regexp"
	"regexp/syntax"
	"strings"
)

// expression is a POSIX basic regular expression (IEEE 1003.1 §9.3) with the
// extensions of the GNU C library: \+ \? \| \w \W \s \S \b \B \` and \'.
// It thinks in bytes, as that library does in the C locale, takes the longest of
// the leftmost matches, and needs time in proportion to the text for one match.
type expression struct {
	re *regexp.Regexp
	// unbounded: a match may be of any length, so that each of many may look at
	// the text to its end.
	unbounded bool
}

// compile reads a pattern. What Go's engine cannot do in linear time, or not at
// all, is an error: back-references, \< and \>, and more than 255 repetitions.
func compile(pattern string) (expression, error) {
	t := translator{rest: []rune(asRunes(pattern))}
	if err := t.alternatives(0); err != nil {
		return expression{}, err
	}
	re, err := regexp.Compile("(?s:" + t.out.String() + ")")
	if err != nil {
		text := "cannot be used"
		if detail := (*syntax.Error)(nil); errors.As(err, &detail) {
			text = detail.Code.String()
		}
		return expression{}, errors.New(text)
	}
	re.Longest()
	return expression{re, t.unbounded}, nil
}

// translator writes a basic regular expression as Go has it.
type translator struct {
	rest      []rune
	out       strings.Builder
	unbounded bool // something may be repeated without end
}

func (t *translator) peek(s string) bool {
	for i, c := range []rune(s) {
		if i >= len(t.rest) || t.rest[i] != c {
			return false
		}
	}
	return true
}

func (t *translator) take(s string) bool {
	if !t.peek(s) {
		return false
	}
	t.rest = t.rest[len([]rune(s)):]
	return true
}

// maxDepth bounds groups within groups.
const maxDepth = 50

// alternatives reads what stands between two parentheses, or everything.
func (t *translator) alternatives(depth int) error {
	if depth > maxDepth {
		return errors.New(`too many \( within each other`)
	}
	for {
		if err := t.branch(depth); err != nil {
			return err
		}
		if !t.take(`\|`) {
			return nil
		}
		t.out.WriteByte('|')
	}
}

// branch reads one alternative. At its beginning, or behind the anchor there,
// what repeats elsewhere is itself; "^" and "$" are anchors at its two ends alone.
func (t *translator) branch(depth int) error {
	if t.take("^") {
		t.out.WriteString(`\A`)
	}
	for first := true; len(t.rest) > 0; first = false {
		if t.peek(`\|`) || depth > 0 && t.peek(`\)`) {
			return nil
		}
		start := t.out.Len()
		repeatable, err := t.atom(depth, first)
		if err != nil {
			return err
		}
		if repeatable {
			if err := t.repetitions(start); err != nil {
				return err
			}
		}
	}
	return nil
}

// atom reads one character, set or group. It reports whether it can be repeated.
func (t *translator) atom(depth int, first bool) (repeatable bool, err error) {
	switch {
	case t.take(`\(`):
		t.out.WriteString("(?:")
		if err := t.alternatives(depth + 1); err != nil {
			return false, err
		}
		if !t.take(`\)`) {
			return false, errors.New(`a \( has no \)`)
		}
		t.out.WriteByte(')')
		return true, nil
	case t.take("["):
		return true, t.set()
	case t.take("."):
		t.out.WriteByte('.')
		return true, nil
	case t.take("$"):
		if len(t.rest) == 0 || t.peek(`\|`) || t.peek(`\)`) {
			t.out.WriteString(`\z`)
			return false, nil
		}
		t.literal('$')
		return true, nil
	case t.peek("*") && !first:
		return false, errors.New("a * has nothing to repeat")
	case first && (t.peek(`\+`) || t.peek(`\?`)):
		t.rest = t.rest[1:]
	case t.take(`\`):
		return t.escape()
	}
	c := t.rest[0]
	t.rest = t.rest[1:]
	t.literal(c)
	return true, nil
}

// escape reads what stands after a backslash.
func (t *translator) escape() (repeatable bool, err error) {
	if len(t.rest) == 0 {
		return false, errors.New(`a \ stands at the end`)
	}
	c := t.rest[0]
	t.rest = t.rest[1:]
	switch c {
	case ')':
		return false, errors.New(`a \) has no \(`)
	case '{', '+', '?':
		return false, fmt.Errorf(`a \%c has nothing to repeat`, c)
	case '<', '>':
		return false, fmt.Errorf(`\%c is not supported; write \b`, c)
	case '1', '2', '3', '4', '5', '6', '7', '8', '9':
		return false, fmt.Errorf(`the back-reference \%c is not supported; write out what it stands for`, c)
	case '`':
		t.out.WriteString(`\A`)
		return false, nil
	case '\'':
		t.out.WriteString(`\z`)
		return false, nil
	case 'b', 'B':
		t.out.WriteString(`\` + string(c))
		return false, nil
	case 'w', 'W':
		t.out.WriteString(`\` + string(c))
		return true, nil
	case 's':
		t.out.WriteString(`[[:space:]]`)
		return true, nil
	case 'S':
		t.out.WriteString(`[^[:space:]]`)
		return true, nil
	}
	t.literal(c)
	return true, nil
}

// repetitions reads what says how often an atom comes, whose translation begins
// at start. One may follow another, but for "*" and \{.
func (t *translator) repetitions(start int) error {
	for again := false; ; again = true {
		if again && (t.peek("*") || t.peek(`\{`)) {
			return errors.New(`a * or \{ has nothing to repeat`)
		}
		end := t.out.Len()
		switch {
		case t.take("*"):
			t.unbounded = true
			t.out.WriteByte('*')
		case t.take(`\+`):
			t.unbounded = true
			t.out.WriteByte('+')
		case t.take(`\?`):
			t.out.WriteByte('?')
		case t.take(`\{`):
			if err := t.interval(); err != nil {
				return err
			}
		default:
			return nil
		}
		if text := t.out.String(); again {
			t.out.Reset()
			t.out.WriteString(text[:start] + "(?:" + text[start:end] + ")" + text[end:])
		}
	}
}

// maxRepeats is the greatest number of an interval that POSIX asks for.
const maxRepeats = 255

// interval reads the rest of \{m\}, \{m,\}, \{,n\} and \{m,n\}.
func (t *translator) interval() error {
	least, some := t.number()
	most, open := least, false
	if t.take(",") {
		var bounded bool
		most, bounded = t.number()
		open = !bounded
	} else if !some {
		return errors.New(`a \{ has no number`)
	}
	switch {
	case !t.take(`\}`):
		return errors.New(`a \{ has no \}`)
	case least > maxRepeats || most > maxRepeats:
		return fmt.Errorf(`a \{ repeats more than %d times`, maxRepeats)
	case open:
		t.unbounded = true
		fmt.Fprintf(&t.out, "{%d,}", least)
	case most < least:
		return errors.New(`the numbers of a \{ are in the wrong order`)
	default:
		fmt.Fprintf(&t.out, "{%d,%d}", least, most)
	}
	return nil
}

func (t *translator) number() (n int, ok bool) {
	for len(t.rest) > 0 && '0' <= t.rest[0] && t.rest[0] <= '9' {
		n, ok = min(10*n+int(t.rest[0]-'0'), 10*maxRepeats), true
		t.rest = t.rest[1:]
	}
	return n, ok
}

func (t *translator) literal(c rune) { t.out.WriteString(regexp.QuoteMeta(string(c))) }
