package postfix

import (
	"errors"
	"strings"
)

// maxOutput bounds what is read of postconf's output: some 900 parameters have 50 KB.
const maxOutput = 8 << 20

var errOutput = errors.New("postconf prints more than 8 MiB: this is no configuration of Postfix")

// parameter is a line "name = value" of postconf's.
type parameter struct{ name, value string }

// parseParameters reads lines "name = value". Names have neither blanks nor "=".
// Lines of another form are passed over.
func parseParameters(output string) ([]parameter, error) {
	if len(output) > maxOutput {
		return nil, errOutput
	}
	var list []parameter
	for line := range strings.Lines(output) {
		name, value, ok := strings.Cut(strings.TrimSuffix(line, "\n"), " =")
		if !ok || name == "" || strings.ContainsAny(name, " \t=") {
			continue
		}
		list = append(list, parameter{name, strings.TrimPrefix(value, " ")})
	}
	return list, nil
}

// words divides a list of Postfix's at blanks and commas.
func words(s string) []string {
	return strings.FieldsFunc(s, func(r rune) bool { return strings.ContainsRune(blanks+",", r) })
}

// blanks are what Postfix takes for blanks.
const blanks = " \t\r\n"
