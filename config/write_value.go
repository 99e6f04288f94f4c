package config

import (
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/postseal/postseal/config/dataset"
)

// valueWidth is how long a line with a value may become before an array is
// broken into several.
const valueWidth = 100

// valueText is a setting's value in the form that the decoder takes. indent is
// how much stands before it on its line.
func valueText(value any, indent int) (string, error) {
	switch v := value.(type) {
	case dataset.Spec:
		return specText(v, indent)
	case Strings:
		if len(v) == 1 && v[0] != "" {
			return stringText(v[0])
		}
		return arrayText(v, indent)
	case Duration:
		if v%Duration(time.Second) == 0 {
			return strconv.FormatInt(int64(v/Duration(time.Second)), 10), nil
		}
		return stringText(v.String())
	case slog.Level:
		return stringText(strings.ToLower(v.String()))
	case fmt.Stringer: // Mode, Action, FileMode, Unpublished
		return stringText(v.String())
	case string:
		return stringText(v)
	case bool:
		return strconv.FormatBool(v), nil
	case int:
		return strconv.Itoa(v), nil
	case int64:
		return strconv.FormatInt(v, 10), nil
	}
	return `""`, fmt.Errorf("a %T has no form in TOML", value)
}

// specText is a data set: the string as it was written, or an array. One that
// was set and has no elements is an array too, because "" means not set.
func specText(s dataset.Spec, indent int) (string, error) {
	if s.IsSet() && strings.TrimSpace(s.Text) == "" {
		return arrayText(s.Items, indent)
	}
	return stringText(s.Text)
}

// arrayText is an array of strings, on several lines if it is long.
func arrayText(items []string, indent int) (string, error) {
	texts := make([]string, len(items))
	for i, item := range items {
		var err error
		if texts[i], err = stringText(item); err != nil {
			return "[]", err
		}
	}
	if line := "[" + strings.Join(texts, ", ") + "]"; indent+len(line) <= valueWidth {
		return line, nil
	}
	var b strings.Builder
	b.WriteByte('[')
	width := valueWidth // of the line so far: the first element begins a new one
	for _, text := range texts {
		if width+len(" ,")+len(text) > valueWidth {
			b.WriteString("\n ")
			width = len(" ")
		}
		b.WriteString(" " + text + ",")
		width += len(" ,") + len(text)
	}
	b.WriteString("\n]")
	return b.String(), nil
}

// stringText is a basic string of TOML. What cannot be seen is escaped.
func stringText(s string) (string, error) {
	if !utf8.ValidString(s) {
		return `""`, errors.New(strconv.Quote(s) + " is no UTF-8, which TOML is written in; rename what it names")
	}
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case r == '\t':
			b.WriteString(`\t`)
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\r':
			b.WriteString(`\r`)
		case unicode.IsPrint(r):
			b.WriteRune(r)
		case r > 0xffff:
			fmt.Fprintf(&b, `\U%08x`, r)
		default:
			fmt.Fprintf(&b, `\u%04x`, r)
		}
	}
	b.WriteByte('"')
	return b.String(), nil
}
