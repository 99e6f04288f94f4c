package config

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"strconv"
	"strings"
	"time"
)

// Strings is a string or an array of strings. An empty string is no element.
type Strings []string

// UnmarshalTOML takes a string or an array of strings.
func (s *Strings) UnmarshalTOML(v any) error {
	switch v := v.(type) {
	case string:
		*s = nil
		if v != "" {
			*s = Strings{v}
		}
		return nil
	case []any:
		list := make(Strings, len(v))
		for i, e := range v {
			item, ok := e.(string)
			if !ok {
				return fmt.Errorf("element %d is %s; want a string in quotes", i+1, kindOf(e))
			}
			list[i] = item
		}
		*s = list
		return nil
	}
	return fmt.Errorf("want a string in quotes or an array of them, found %s", kindOf(v))
}

// Mode says which roles are active. The zero Mode is none: for a listener, the
// mode of all.
type Mode struct{ Sign, Verify bool }

// UnmarshalText takes "s", "v" or both letters.
func (m *Mode) UnmarshalText(text []byte) error {
	var mode Mode
	for _, c := range text {
		switch c {
		case 's':
			mode.Sign = true
		case 'v':
			mode.Verify = true
		default:
			return errMode(text)
		}
	}
	if mode == (Mode{}) {
		return errMode(text)
	}
	*m = mode
	return nil
}

func errMode(text []byte) error {
	return fmt.Errorf(`unknown mode %q; want "s" (sign), "v" (verify) or "sv" (both)`, text)
}

// String is the form that UnmarshalText takes.
func (m Mode) String() string {
	s := ""
	if m.Sign {
		s += "s"
	}
	if m.Verify {
		s += "v"
	}
	return s
}

// Action is what happens to a message.
type Action uint8

const (
	Accept     Action = iota
	Discard           // take it and throw it away
	Quarantine        // hold it for the postmaster
	Reject            // 5xx
	Tempfail          // 4xx: the client tries again
)

// String is the word in the configuration.
func (a Action) String() string {
	switch a {
	case Accept:
		return "accept"
	case Discard:
		return "discard"
	case Quarantine:
		return "quarantine"
	case Reject:
		return "reject"
	case Tempfail:
		return "tempfail"
	}
	return "action " + strconv.Itoa(int(a))
}

// UnmarshalText takes a word or its first letter, in either case.
func (a *Action) UnmarshalText(text []byte) error {
	for action := Accept; action <= Tempfail; action++ {
		word := action.String()
		if s := strings.ToLower(string(text)); s == word || s == word[:1] {
			*a = action
			return nil
		}
	}
	return fmt.Errorf("unknown action %q; want accept, discard, quarantine, reject or tempfail", text)
}

// Unpublished says what becomes of mail that a key should sign which DNS does not
// show.
type Unpublished uint8

const (
	SignUnpublished  Unpublished = iota // it is signed
	SkipUnpublished                     // the other keys sign it, if there are any
	DeferUnpublished                    // 4xx: the client tries again
)

var unpublishedWords = [...]string{"sign", "skip", "tempfail"}

// String is the word in the configuration.
func (u Unpublished) String() string {
	if int(u) < len(unpublishedWords) {
		return unpublishedWords[u]
	}
	return "unpublished keys " + strconv.Itoa(int(u))
}

// UnmarshalText takes a word, in either case.
func (u *Unpublished) UnmarshalText(text []byte) error {
	for i, word := range unpublishedWords {
		if strings.EqualFold(string(text), word) {
			*u = Unpublished(i)
			return nil
		}
	}
	return fmt.Errorf("unknown value %q; want sign, skip or tempfail", text)
}

// Duration is a length of time: whole seconds, or a string with units.
type Duration time.Duration

// Std is d as the standard library has it.
func (d Duration) Std() time.Duration { return time.Duration(d) }

// String is d in the form "1h30m0s".
func (d Duration) String() string { return d.Std().String() }

// UnmarshalTOML takes a whole number of seconds, or a string such as "90s",
// "5m" or "1h30m". A string without a unit counts seconds.
func (d *Duration) UnmarshalTOML(v any) error {
	switch v := v.(type) {
	case int64:
		return d.setSeconds(v)
	case string:
		if n, err := strconv.ParseInt(v, 10, 64); err == nil {
			return d.setSeconds(n)
		}
		parsed, err := time.ParseDuration(v)
		if err != nil {
			return fmt.Errorf(`%q is no time; want seconds such as 90, or a string such as "90s", "5m" or "72h"`, v)
		}
		*d = Duration(parsed)
		return nil
	}
	return fmt.Errorf(`want whole seconds or a string such as "5m", found %s`, kindOf(v))
}

func (d *Duration) setSeconds(n int64) error {
	const most = math.MaxInt64 / int64(time.Second)
	if n > most || n < -most {
		return fmt.Errorf("%d seconds are more than %d", n, most)
	}
	*d = Duration(time.Duration(n) * time.Second)
	return nil
}

// FileMode is a permission of three octal digits.
type FileMode fs.FileMode

// Mode is m as the standard library has it.
func (m FileMode) Mode() fs.FileMode { return fs.FileMode(m) }

// String is m in the form "0660".
func (m FileMode) String() string { return fmt.Sprintf("%04o", uint32(m)) }

var errFileMode = errors.New(`want a permission as an octal number in quotes, such as "0660"`)

// UnmarshalText takes octal digits, with or without 0 or 0o before them.
func (m *FileMode) UnmarshalText(text []byte) error {
	n, err := strconv.ParseUint(strings.TrimPrefix(string(text), "0o"), 8, 32)
	if err != nil || n > 0o777 {
		return fmt.Errorf("%w; found %q", errFileMode, text)
	}
	*m = FileMode(n)
	return nil
}
