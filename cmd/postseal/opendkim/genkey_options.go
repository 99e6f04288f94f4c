package opendkim

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// settingKind says what follows an option on the command line.
type settingKind byte

const (
	isFlag    settingKind = iota // nothing; its name after "no" switches it off
	isCounter                    // nothing; each time counts
	isNumber
	isText
)

// setting is an option of opendkim-genkey under all its names.
type setting struct {
	names []string // the first is its own
	kind  settingKind
	set   func(value string, on bool) // value of a number or text; on of a flag
}

// longOptions reads a command line as Perl's Getopt::Long does with its
// "bundling": letters behind one "-" are options each and their case counts;
// names behind "--" may be cut short as long as one option remains, and their
// case does not count. Operands may stand between; "--" ends the options. Unlike
// there, "+" begins an operand.
type longOptions struct {
	settings []setting
	// complain gets a line for each mistake. Reading goes on after it.
	complain func(line string)
	ok       bool
}

// target is what a name leads to.
type target struct {
	*setting
	off bool // by its name with "no" before it
}

// targets are all the names there are, in their own letter case.
func (l *longOptions) targets() map[string]target {
	all := map[string]target{}
	for i := range l.settings {
		s := &l.settings[i]
		for _, name := range s.names {
			all[name] = target{s, false}
			if s.kind == isFlag {
				all["no"+name], all["no-"+name] = target{s, true}, target{s, true}
			}
		}
	}
	return all
}

// read applies the options of args and reports whether all of them were right.
func (l *longOptions) read(args []string) bool {
	l.ok = true
	all := l.targets()
	for len(args) > 0 {
		word := args[0]
		args = args[1:]
		switch {
		case word == "--":
			return l.ok
		case strings.HasPrefix(word, "--"):
			args = l.long(all, word[2:], args)
		case len(word) > 1 && word[0] == '-':
			args = l.short(all, word[1:], args)
		}
	}
	return l.ok
}

func (l *longOptions) wrong(format string, args ...any) {
	l.ok = false
	l.complain(fmt.Sprintf(format, args...))
}

// long reads an option with two dashes and returns what is left of rest.
func (l *longOptions) long(all map[string]target, word string, rest []string) []string {
	name, value, assigned := word, "", false
	// A name has a letter at least, so that "--=x" is an option called "=x".
	if i := strings.IndexByte(word[1:], '='); i >= 0 {
		name, value, assigned = word[:i+1], word[i+2:], true
	}
	name = strings.ToLower(name)
	found, full, ok := l.complete(all, name)
	if !ok {
		return rest
	}
	if found.kind == isFlag || found.kind == isCounter {
		if assigned {
			l.wrong("Option %s does not take an argument", full)
		} else {
			found.set("", !found.off)
		}
		return rest
	}
	switch {
	case assigned && value == "", !assigned && len(rest) == 0:
		l.wrong("Option %s requires an argument", full)
		return rest
	case !assigned:
		value, rest = rest[0], rest[1:]
	}
	l.assign(found, full, value)
	return rest
}

// complete finds the option that name, in small letters, is or begins.
func (l *longOptions) complete(all map[string]target, name string) (found target, full string, ok bool) {
	if found, ok = all[name]; ok {
		return found, name, true
	}
	var hits []string
	same := true
	for candidate := range all {
		if strings.HasPrefix(candidate, name) {
			hits = append(hits, candidate)
		}
	}
	slices.Sort(hits)
	for _, hit := range hits {
		same = same && all[hit] == all[hits[0]]
	}
	switch {
	case len(hits) == 0:
		l.wrong("Unknown option: %s", name)
	case !same:
		l.wrong("Option %s is ambiguous (%s)", name, strings.Join(hits, ", "))
	default:
		return all[hits[0]], hits[0], true
	}
	return target{}, "", false
}

var wholeNumber = regexp.MustCompile(`^[-+]?_*[0-9][0-9_]*`)

// short reads letters behind one dash and returns what is left of rest.
func (l *longOptions) short(all map[string]target, letters string, rest []string) []string {
	for letters != "" {
		name := letters[:1]
		letters = letters[1:]
		found, ok := all[name]
		switch {
		case !ok:
			l.wrong("Unknown option: %s", name)
			continue
		case found.kind == isFlag || found.kind == isCounter:
			found.set("", true)
			continue
		}
		value, attached := letters, letters != ""
		if !attached {
			if len(rest) == 0 {
				l.wrong("Option %s requires an argument", name)
				return rest
			}
			value, rest = rest[0], rest[1:]
		}
		letters = ""
		if attached && found.kind == isNumber {
			// What follows the digits are letters again, and all of it if there are none.
			if digits := wholeNumber.FindString(value); digits != "" {
				value, letters = digits, value[len(digits):]
			} else {
				letters = value
			}
		}
		l.assign(found, name, value)
	}
	return rest
}

// assign gives an option its value.
func (l *longOptions) assign(found target, name, value string) {
	if found.kind == isNumber {
		digits := strings.ReplaceAll(value, "_", "")
		n, err := strconv.Atoi(digits)
		if err != nil || wholeNumber.FindString(value) != value {
			l.wrong("Value \"%s\" invalid for option %s (number expected)", value, name)
			return
		}
		value = strconv.Itoa(n)
	}
	found.set(value, true)
}
