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

// matchGlob reports whether a pattern whose only wildcard is "*", with at least
// one of them, covers all of s. Taking each part at its first place is enough, so
// there is no going back.
func matchGlob(pattern, s string) bool {
	part, rest, _ := strings.Cut(pattern, "*")
	s, ok := strings.CutPrefix(s, part)
	for ok {
		var more bool
		if part, rest, more = strings.Cut(rest, "*"); !more {
			return strings.HasSuffix(s, part)
		}
		_, s, ok = strings.Cut(s, part)
	}
	return false
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
