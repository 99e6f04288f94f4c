package opendkim

import (
	"fmt"
	"strings"
)

// option is a flag of a command line with its value, "" for one that takes none.
type option struct {
	letter byte
	value  string
}

// getopt reads a command line by the rules of getopt(3): flags of one letter,
// several behind one "-", a value attached to its flag or in the next word, and
// flags also after operands; "--" ends them. letters are those of the command,
// each followed by ":" where it takes a value. The error has getopt's words.
func getopt(args []string, letters string) (found []option, operands []string, err error) {
	for len(args) > 0 {
		word := args[0]
		args = args[1:]
		switch {
		case word == "--":
			return found, append(operands, args...), nil
		case len(word) < 2 || word[0] != '-':
			operands = append(operands, word)
			continue
		}
		for i := 1; i < len(word); i++ {
			at := -1
			if word[i] != ':' {
				at = strings.IndexByte(letters, word[i])
			}
			if at < 0 {
				return found, nil, fmt.Errorf("invalid option -- '%c'", word[i])
			}
			o := option{letter: word[i]}
			if strings.HasPrefix(letters[at+1:], ":") {
				switch {
				case i+1 < len(word):
					o.value = word[i+1:]
				case len(args) > 0:
					o.value, args = args[0], args[1:]
				default:
					return found, nil, fmt.Errorf("option requires an argument -- '%c'", word[i])
				}
				i = len(word)
			}
			found = append(found, o)
		}
	}
	return found, operands, nil
}
