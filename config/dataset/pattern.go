package dataset

import (
	"errors"
	"fmt"
	"regexp"
	"regexp/syntax"
	"strings"
)

// metacharacters are those of a POSIX extended regular expression that
// OpenDKIM leaves alive in a refile: it escapes only "." and "+", and makes
// ".*" of "*".
const metacharacters = `()[]|?{}^$\`

// glob is a pattern whose only wildcard is "*".
type glob struct {
	prefix, suffix string
	middle         []string // what stands between two "*", in order
}

// newGlob takes a pattern with at least one "*".
func newGlob(pattern string) glob {
	parts := strings.Split(pattern, "*")
	g := glob{prefix: parts[0], suffix: parts[len(parts)-1]}
	for _, part := range parts[1 : len(parts)-1] {
		if part != "" {
			g.middle = append(g.middle, part)
		}
	}
	return g
}

// match reports whether the glob covers all of s. Taking each middle part at
// its first place is enough, so there is no going back.
func (g glob) match(s string) bool {
	if len(s) < len(g.prefix)+len(g.suffix) || !strings.HasPrefix(s, g.prefix) || !strings.HasSuffix(s, g.suffix) {
		return false
	}
	s = s[len(g.prefix) : len(s)-len(g.suffix)]
	for _, part := range g.middle {
		i := strings.Index(s, part)
		if i < 0 {
			return false
		}
		s = s[i+len(part):]
	}
	return true
}

// expression is a pattern with metacharacters of a regular expression.
type expression struct{ re *regexp.Regexp }

var toERE = strings.NewReplacer(".", `\.`, "+", `\+`, "*", ".*")

// compile turns a refile's pattern into an expression for the whole key. Go's
// engine runs in linear time. OpenDKIM puts its anchors around the bare text,
// so that in "a|b" each binds one side only; here both bind both.
func compile(pattern string, fold bool) (expression, error) {
	if strings.Contains(pattern, "(?") {
		return expression{}, fmt.Errorf("pattern %q: nothing to repeat before the ? in (?", pattern)
	}
	text := bytesAsRunes(toERE.Replace(pattern))
	if _, err := regexp.Compile(text); err != nil {
		return expression{}, patternError(pattern, err)
	}
	flags := "(?s)"
	if fold {
		flags = "(?is)"
	}
	re, err := regexp.Compile(flags + "^(?:" + text + ")$")
	if err != nil {
		return expression{}, patternError(pattern, err)
	}
	return expression{re}, nil
}

func patternError(pattern string, err error) error {
	text := "bad expression"
	if detail := (*syntax.Error)(nil); errors.As(err, &detail) {
		text = detail.Code.String()
	}
	return fmt.Errorf("pattern %q: %s; only * is a wildcard here, the characters %s belong to regular expressions", pattern, text, metacharacters)
}

func (e expression) match(subject string) bool { return e.re.MatchString(subject) }

// privateUse is where bytes above 0x7F go for the regular expression engine,
// which thinks in UTF-8: each byte is one character there, and has no case.
const privateUse = 0xE000

func bytesAsRunes(s string) string {
	for i := 0; i < len(s); i++ {
		if s[i] < 0x80 {
			continue
		}
		var b strings.Builder
		b.Grow(3 * len(s))
		for i := 0; i < len(s); i++ {
			if s[i] < 0x80 {
				b.WriteByte(s[i])
			} else {
				b.WriteRune(privateUse + rune(s[i]))
			}
		}
		return b.String()
	}
	return s
}
