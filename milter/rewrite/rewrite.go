// Package rewrite says what an MTA further on will make of header fields, so
// that they can be signed as they will arrive: OpenDKIM's ReplaceRules.
package rewrite

import (
	"errors"
	"fmt"
	"strings"
)

// Limits of a file of rules.
const (
	maxRules = 1000
	maxLine  = 4096 // octets
)

// Limits of applying rules. A value that a rule still changes after maxPasses
// has no end, nor has a header that grows by more octets than maxGrowth, or in
// which patterns of unbounded length may look at more octets than maxWork: that
// takes about a second.
const (
	maxPasses = 20
	maxGrowth = 64 << 10
	maxWork   = 64 << 20
)

// ErrEndless is the error of a value that a rule would change for ever, or
// nearly so.
var ErrEndless = errors.New("the replacement comes to no end")

// Rules are what is replaced, and by what. They never change and are safe for
// concurrent use.
type Rules struct {
	rules []rule
	notes []string
}

type rule struct {
	line int
	expression
	text string // as asRunes has it
	once bool   // its text matches its own pattern
}

// Parse reads rules, one a line: a POSIX basic regular expression, a TAB, and
// the text to put in place of what it matches. Where a line has several TABs the
// last divides it. "#" begins a comment wherever it stands; blanks are kept.
// Nothing in the text is special. The error joins what is wrong, each with its
// line.
func Parse(data string) (*Rules, error) {
	r := new(Rules)
	var problems []error
	number := 0
	for line := range strings.Lines(data) {
		number++
		line, _, _ = strings.Cut(strings.TrimRight(line, "\r\n"), "#")
		if strings.Trim(line, " \t") == "" {
			continue
		}
		if len(r.rules) == maxRules {
			problems = append(problems, fmt.Errorf("line %d: there are more than %d rules", number, maxRules))
			break
		}
		rule, err := parseRule(line)
		if err != nil {
			problems = append(problems, fmt.Errorf("line %d: %w", number, err))
			continue
		}
		rule.line = number
		if rule.once {
			r.notes = append(r.notes, fmt.Sprintf("line %d: the pattern matches what it is replaced by; it is replaced once", number))
		}
		r.rules = append(r.rules, rule)
	}
	if err := errors.Join(problems...); err != nil {
		return nil, err
	}
	return r, nil
}

func parseRule(line string) (rule, error) {
	switch {
	case len(line) > maxLine:
		return rule{}, fmt.Errorf("it is longer than %d octets", maxLine)
	case strings.IndexByte(line, 0) >= 0:
		return rule{}, errors.New("it has a NUL byte")
	}
	tab := strings.LastIndexByte(line, '\t')
	if tab < 0 {
		return rule{}, errors.New("it has no TAB: write a pattern, a TAB, and the text to put in its place")
	}
	pattern, text := line[:tab], line[tab+1:]
	if pattern == "" {
		return rule{}, errors.New("no pattern stands before the TAB")
	}
	e, err := compile(pattern)
	if err != nil {
		return rule{}, fmt.Errorf("pattern %q: %w", pattern, err)
	}
	text = asRunes(text)
	return rule{expression: e, text: text, once: e.re.MatchString(text) || e.re.MatchString("")}, nil
}

// Notes are remarks on rules that do less than they say, each with its line.
func (r *Rules) Notes() []string { return r.notes }

// Header is the work on one header, whose fields share the limits.
type Header struct {
	rules  *Rules
	growth int // octets by which values may still grow
	work   int // octets that patterns of unbounded length may still look at
}

// Header begins the work on a header.
func (r *Rules) Header() *Header { return &Header{r, maxGrowth, maxWork} }

// Apply applies the rules to the value of a header field, the last rule first,
// each until it matches no more. Folds are a line feed to the patterns, and
// come out as CRLF. Where a rule has no end Apply returns the value as it was, and an
// error that wraps ErrEndless and names the rule's line.
func (h *Header) Apply(value string) (string, error) {
	text := asRunes(strings.ReplaceAll(value, "\r\n", "\n"))
	size, changed := len(text), false
	for i := len(h.rules.rules) - 1; i >= 0; i-- {
		rule := &h.rules.rules[i]
		next, ok := h.apply(rule, text, size+h.growth)
		if !ok {
			return value, fmt.Errorf("%w (line %d)", ErrEndless, rule.line)
		}
		changed = changed || next != text
		text = next
	}
	if !changed {
		return value, nil
	}
	h.growth -= max(0, len(text)-size)
	return strings.ReplaceAll(asBytes(text), "\n", "\r\n"), nil
}

// apply is one rule, whose result may have most octets. It reports false if it
// comes to no end.
func (h *Header) apply(r *rule, text string, most int) (result string, ok bool) {
	for range maxPasses {
		at, ok := h.find(r, text)
		if !ok {
			return text, false
		}
		if len(at) == 0 {
			return text, true
		}
		size := len(text) + len(at)*len(r.text)
		for _, match := range at {
			size -= match[1] - match[0]
		}
		if size > most {
			return text, false
		}
		var b strings.Builder
		b.Grow(size)
		end := 0
		for _, match := range at {
			b.WriteString(text[end:match[0]])
			b.WriteString(r.text)
			end = match[1]
		}
		b.WriteString(text[end:])
		text = b.String()
		if r.once {
			return text, true
		}
	}
	return text, !r.re.MatchString(text)
}

// find returns every match, or false where that may be too much work.
func (h *Header) find(r *rule, text string) (at [][]int, ok bool) {
	if !r.unbounded {
		return r.re.FindAllStringIndex(text, -1), true
	}
	most := 1 + max(0, h.work)/(len(text)+1)
	at = r.re.FindAllStringIndex(text, most)
	for _, match := range at {
		h.work -= len(text) - match[0]
	}
	return at, len(at) < most && h.work > 0
}
