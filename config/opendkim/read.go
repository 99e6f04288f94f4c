package opendkim

import (
	"errors"
	"fmt"
	"math"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/postseal/postseal/config"
	"github.com/postseal/postseal/config/dataset"
)

// Limits of a configuration, far above what there is, so that a wrong path
// cannot fill the memory.
const (
	maxLine     = 64 << 10
	maxDepth    = 5 // OpenDKIM's own
	maxIncludes = 100
	maxSettings = 100_000
	maxProblems = 100 // that lines are read on after
)

const byteOrderMark = "\ufeff"

// blanks are those of isspace() in the C locale.
const blanks = " \t\n\v\f\r"

// place is where a setting stands. Line 0 is no line of a file: "command line".
type place struct {
	file string
	line int
}

func (p place) String() string {
	if p.line == 0 {
		return p.file
	}
	return p.file + ":" + strconv.Itoa(p.line)
}

// setting is one line NAME VALUE whose value is written as its kind wants it.
type setting struct {
	parameter
	value  string
	place  place
	yes    bool // of a boolean
	number int  // of an integer: the low 32 bits, as OpenDKIM has it
	// wrapped: the integer is larger than that.
	wrapped bool
}

// splitLine cuts a line at "#" and at CR, and splits it into its first word and
// the rest. False means that nothing is left.
func splitLine(line string) (name, value string, ok bool) {
	if end := strings.IndexAny(line, "#\r\n"); end >= 0 {
		line = line[:end]
	}
	line, _ = dataset.PlainBlanks(line)
	line = strings.Trim(line, blanks)
	end := strings.IndexAny(line, blanks)
	if end < 0 {
		return line, "", line != ""
	}
	return line[:end], strings.TrimLeft(line[end:], blanks), true
}

// read takes the settings of a file; from is the line that includes it.
func (r *reading) read(path, from string, depth int) {
	data, err := dataset.ReadFile(path, config.MaxFile)
	if err != nil {
		text := SystemText(err)
		if from != "" {
			text += "; included at " + from
		}
		r.errorAt(place{file: path}, "error reading configuration file", text)
		return
	}
	if full, err := filepath.Abs(path); err == nil {
		r.sources = append(r.sources, full)
	}
	var (
		number int
		blank  []int // lines with blanks of web pages
	)
	for line := range strings.Lines(strings.TrimPrefix(string(data), byteOrderMark)) {
		number++
		here := place{path, number}
		switch {
		case len(r.problems) == maxProblems:
			r.errorAt(here, "error reading configuration file", "too many errors; what follows is not looked at")
			return
		case len(r.problems) > maxProblems:
			return
		case len(line) > maxLine:
			r.errorAt(here, "illegal value", fmt.Sprintf("the line is longer than %d bytes", maxLine))
			continue
		case strings.IndexByte(line, 0) >= 0:
			r.errorAt(here, "illegal value", "the line has a NUL byte; is this the right file?")
			return
		case len(r.settings) >= maxSettings:
			r.errorAt(here, "error reading configuration file", fmt.Sprintf("more than %d settings", maxSettings))
			return
		}
		code, _, _ := strings.Cut(line, "#")
		if _, found := dataset.PlainBlanks(code); found {
			blank = append(blank, number)
		}
		if name, value, ok := splitLine(line); ok {
			r.line(here, name, value, depth)
		}
	}
	if blank != nil {
		r.notices = append(r.notices, config.Problem{Where: path, Text: dataset.BlankLines(blank)})
	}
}

// line takes one setting.
func (r *reading) line(here place, name, value string, depth int) {
	p, ok := r.names[strings.ToLower(name)]
	switch {
	case !ok:
		r.unknown(here, name)
		return
	case value == "":
		r.suspect[strings.ToLower(name)] = true
		r.errorAt(here, "required value missing", p.name+" "+p.kind.want())
		return
	}
	s, detail := newSetting(p, value, here)
	if detail != "" {
		r.suspect[strings.ToLower(name)] = true
		r.errorAt(here, "illegal value", p.name+": "+detail)
		return
	}
	if p.name != "Include" {
		r.add(s)
		return
	}
	r.includes++
	switch {
	case depth == maxDepth:
		r.errorAt(here, "nesting too deep", fmt.Sprintf("Include goes %d levels deep at most", maxDepth))
	case r.includes > maxIncludes:
		r.errorAt(here, "error reading configuration file", fmt.Sprintf("more than %d times Include", maxIncludes))
	default:
		r.read(value, here.String(), depth+1)
	}
}

// unknown tells of a name that is none.
func (r *reading) unknown(here place, name string) {
	text := strconv.Quote(name)
	if near := config.Nearest(name, r.spellings); near != "" {
		r.suspect[strings.ToLower(near)] = true
		text += "; did you mean " + near + "?"
	}
	r.errorAt(here, "unrecognized parameter", text)
}

// newSetting reads a value by its kind; detail says what is wrong with it.
func newSetting(p parameter, value string, here place) (s setting, detail string) {
	s = setting{parameter: p, value: value, place: here}
	switch p.kind {
	case boolean:
		switch value[0] | 0x20 {
		case 't', 'y', '1' | 0x20:
			s.yes = true
		case 'f', 'n', '0' | 0x20:
		default:
			return s, strconv.Quote(value) + "; it " + p.kind.want()
		}
	case integer:
		n, ok := cInteger(value)
		if !ok {
			return s, strconv.Quote(value) + "; it " + p.kind.want()
		}
		s.number, s.wrapped = int(int32(n)), n != int64(int32(n))
	}
	return s, ""
}

// want says how a value is written.
func (k kind) want() string {
	switch k {
	case boolean:
		return "wants yes or no"
	case integer:
		return "wants a whole number without a unit: 16, 0x10 or, with a leading 0, octal 020"
	}
	return "wants a value"
}

// cInteger reads a number as strtol(3) with base 0 does.
func cInteger(value string) (n int64, ok bool) {
	digits, negative := value, false
	switch value[0] {
	case '-':
		digits, negative = value[1:], true
	case '+':
		digits = value[1:]
	}
	base := 10
	switch {
	case len(digits) > 1 && digits[0] == '0' && digits[1]|0x20 == 'x':
		digits, base = digits[2:], 16
	case len(digits) > 1 && digits[0] == '0':
		digits, base = digits[1:], 8
	}
	if digits == "" || digits[0] == '+' || digits[0] == '-' {
		return 0, false
	}
	u, err := strconv.ParseUint(digits, base, 63)
	switch {
	case errors.Is(err, strconv.ErrRange) && negative:
		return math.MinInt64, true
	case errors.Is(err, strconv.ErrRange):
		return math.MaxInt64, true
	case err != nil:
		return 0, false
	case negative:
		return -int64(u), true
	}
	return int64(u), true
}

// printed is the value as `opendkim -e` prints it.
func (s setting) printed() string {
	switch s.kind {
	case boolean:
		if s.yes {
			return "True"
		}
		return "False"
	case integer:
		return strconv.Itoa(s.number)
	}
	return s.value
}
