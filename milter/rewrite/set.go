package rewrite

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// classes are the names between [: and :].
var classes = []string{"alnum", "alpha", "blank", "cntrl", "digit", "graph", "lower", "print", "punct", "space", "upper", "xdigit"}

// set reads a bracket expression behind its "[" (IEEE 1003.1 §9.3.5). A
// backslash is itself in it.
func (t *translator) set() error {
	t.out.WriteByte('[')
	if t.take("^") {
		t.out.WriteByte('^')
	}
	for first := true; first || !t.take("]"); first = false {
		if err := t.member(); err != nil {
			return err
		}
	}
	t.out.WriteByte(']')
	return nil
}

// member reads a class, a character, or a range of them.
func (t *translator) member() error {
	if t.take("[:") {
		name, err := t.until(":]")
		if err != nil {
			return err
		}
		if !slices.Contains(classes, name) {
			return fmt.Errorf("there is no class [:%s:]; there are %s", name, strings.Join(classes, ", "))
		}
		t.out.WriteString("[:" + name + ":]")
		return nil
	}
	from, err := t.character()
	if err != nil {
		return err
	}
	to := from
	if len(t.rest) > 1 && t.rest[0] == '-' && t.rest[1] != ']' {
		t.rest = t.rest[1:]
		if to, err = t.character(); err != nil {
			return err
		}
		if to < from {
			return fmt.Errorf("the range %c-%c is in the wrong order", shown(from), shown(to))
		}
		if len(t.rest) > 1 && t.rest[0] == '-' && t.rest[1] != ']' {
			return fmt.Errorf("a range follows the range %c-%c without a first character", shown(from), shown(to))
		}
	}
	fmt.Fprintf(&t.out, `\x{%x}-\x{%x}`, from, to)
	return nil
}

// character reads a character, as such or between [. and .] or [= and =].
func (t *translator) character() (rune, error) {
	for _, mark := range []string{".", "="} {
		if !t.take("[" + mark) {
			continue
		}
		name, err := t.until(mark + "]")
		if err != nil {
			return 0, err
		}
		if c := []rune(name); len(c) == 1 {
			return c[0], nil
		}
		return 0, fmt.Errorf("[%s%s%s] is more than one character", mark, name, mark)
	}
	if len(t.rest) == 0 {
		return 0, errors.New("a [ has no ]")
	}
	c := t.rest[0]
	t.rest = t.rest[1:]
	return c, nil
}

// until takes everything up to end, and end.
func (t *translator) until(end string) (string, error) {
	for i := range t.rest {
		at := translator{rest: t.rest[i:]}
		if at.take(end) {
			text := string(t.rest[:i])
			t.rest = at.rest
			return text, nil
		}
	}
	return "", fmt.Errorf("a [%c has no %s", end[0], end)
}

// privateUse is where bytes above 0x7F go for the engine, which thinks in
// UTF-8: each byte is one character there, and has no case.
const privateUse = 0xE000

func asRunes(s string) string {
	if isASCII(s) {
		return s
	}
	var b strings.Builder
	b.Grow(3 * len(s))
	for i := range len(s) {
		if c := rune(s[i]); c < 0x80 {
			b.WriteByte(s[i])
		} else {
			b.WriteRune(privateUse + c)
		}
	}
	return b.String()
}

// asBytes undoes asRunes.
func asBytes(s string) string {
	if isASCII(s) {
		return s
	}
	b := make([]byte, 0, len(s))
	for _, c := range s {
		if c >= privateUse {
			c -= privateUse
		}
		b = append(b, byte(c))
	}
	return string(b)
}

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= 0x80 {
			return false
		}
	}
	return true
}

// shown is a character for messages.
func shown(c rune) rune {
	if c >= privateUse {
		return '?'
	}
	return c
}
