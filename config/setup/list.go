package setup

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/postseal/postseal/milter/dkim"
)

const (
	// maxList bounds a list of domains, in bytes: a million of them.
	maxList = 64 << 20
	// maxBad is how many bad lines are told.
	maxBad = 50
)

// ParseDomains reads a list of domains: one on a line, in A-labels or U-labels, a final
// dot or not, and returns them in A-labels and in their order. Empty lines, and what
// follows a "#", do not count. again tells of lines with a domain that stands above them,
// the error of every line that is no domain, with its number.
func ParseDomains(r io.Reader) (domains, again []string, err error) {
	text, err := io.ReadAll(io.LimitReader(r, maxList+1))
	switch {
	case err != nil:
		return nil, nil, err
	case len(text) > maxList:
		return nil, nil, fmt.Errorf("longer than %d bytes", maxList)
	}
	var bad []error
	lines := make(map[string]int)
	n := 0
	for line := range strings.Lines(strings.TrimPrefix(string(text), "\xef\xbb\xbf")) {
		n++
		word, _, _ := strings.Cut(line, "#")
		word = strings.TrimSpace(word)
		if word == "" {
			continue
		}
		name, err := dkim.DomainName(strings.TrimSuffix(word, "."))
		switch {
		case err != nil:
			bad = append(bad, fmt.Errorf("line %d: %w", n, err))
		case !strings.Contains(name, "."):
			bad = append(bad, fmt.Errorf("line %d: %q is no domain that mail comes from; write one such as example.com", n, name))
		case lines[name] > 0:
			again = append(again, fmt.Sprintf("line %d: %s stands in line %d already", n, name, lines[name]))
		default:
			lines[name] = n
			domains = append(domains, name)
		}
	}
	if more := len(bad) - maxBad; more > 0 {
		bad = append(bad[:maxBad], fmt.Errorf("and %d more lines", more))
	}
	if len(bad) > 0 {
		return nil, again, errors.Join(bad...)
	}
	if len(domains) == 0 {
		return nil, nil, errors.New("there is no domain in it; write one on each line")
	}
	return domains, again, nil
}
