package resolver

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/miekg/dns"
)

const (
	// MaxRecordsFile bounds what ParseRecords reads, in bytes.
	MaxRecordsFile = 16 << 20
	// maxRecordLine bounds one line of it: the largest TXT record, escaped.
	maxRecordLine = 256 << 10
)

// Records answers TXT questions from memory, in place of DNS. Names compare
// without regard to case and to the final dot. The zero value is empty and
// ready to use; after the last Add and Fail it is safe for concurrent use.
type Records struct {
	txt      map[string][]string
	failures map[string]error
}

// NewRecords returns Records that hold zone: TXT records by name. A name that
// DNS cannot hold is left out, since nobody can ask for it.
func NewRecords(zone map[string][]string) *Records {
	r := new(Records)
	for name, txt := range zone {
		_ = r.Add(name, txt...)
	}
	return r
}

// Add gives name further TXT records. The error says that DNS cannot hold name.
func (r *Records) Add(name string, txt ...string) error {
	key, ok := canonicalName(name)
	if !ok {
		return fmt.Errorf("%q is no name that DNS can hold", name)
	}
	if r.txt == nil {
		r.txt = make(map[string][]string)
	}
	r.txt[key] = append(r.txt[key], txt...)
	return nil
}

// Fail makes every question for name end with err, as a nameserver in trouble
// would.
func (r *Records) Fail(name string, err error) {
	key, _ := canonicalName(name)
	if r.failures == nil {
		r.failures = make(map[string]error)
	}
	r.failures[key] = err
}

// LookupTXT answers as Client.LookupTXT does, and never claims that an answer
// is authentic.
func (r *Records) LookupTXT(ctx context.Context, name string) (txt []string, authentic bool, err error) {
	key, ok := canonicalName(name)
	if !ok {
		return nil, false, nil
	}
	if err := ctx.Err(); err != nil {
		return nil, false, fmt.Errorf("TXT %s: not asked: %w", key, err)
	}
	if err := r.failures[key]; err != nil {
		return nil, false, fmt.Errorf("TXT %s: %w", key, err)
	}
	return slices.Clone(r.txt[key]), false, nil
}

// Answer makes Records the zone of an embedded server; see Serve.
func (r *Records) Answer(name string) Answer {
	key, _ := canonicalName(name)
	txt, ok := r.txt[key]
	switch {
	case r.failures[key] != nil:
		return Answer{Rcode: dns.RcodeServerFailure}
	case !ok:
		return Answer{Rcode: dns.RcodeNameError, TTL: time.Minute}
	}
	return Answer{TXT: txt, TTL: time.Minute}
}

// ParseRecords reads lines of a name, blanks, and a TXT value:
//
//	# the key of example.com
//	s1._domainkey.example.com  v=DKIM1; k=rsa; p=MIIB...
//	s2._domainkey.example.com. "v=DKIM1; k=ed25519; " "p=11qYAY..."
//
// A value that begins with a quotation mark is read as the strings of a zone
// file (RFC 1035 §5.1) and joined; any other is taken as it stands to the end of
// the line. Lines that begin with "#" and empty lines do not count. A name may
// stand on several lines: it then has several records. One with "=", as ATPS
// has (RFC 6541 §4.4), is never asked for and left out. The error names the line.
func ParseRecords(r io.Reader) (*Records, error) {
	limited := &io.LimitedReader{R: r, N: MaxRecordsFile + 1}
	scanner := bufio.NewScanner(limited)
	scanner.Buffer(nil, maxRecordLine)
	records := new(Records)
	line := 0
	for scanner.Scan() {
		line++
		text := strings.TrimSpace(scanner.Text())
		if text == "" || text[0] == '#' {
			continue
		}
		end := strings.IndexAny(text, " \t")
		if end < 0 {
			return nil, fmt.Errorf("line %d: %q has no value; write the name, a blank and the TXT value", line, text)
		}
		name, value := text[:end], strings.TrimLeft(text[end:], " \t")
		if value[0] == '"' {
			var err error
			if value, err = quotedStrings(value); err != nil {
				return nil, fmt.Errorf("line %d: %w", line, err)
			}
		}
		if strings.Contains(name, "=") {
			continue
		}
		if err := records.Add(name, value); err != nil {
			return nil, fmt.Errorf("line %d: %w", line, err)
		}
	}
	if err := scanner.Err(); err != nil {
		return nil, fmt.Errorf("line %d: %w", line+1, err)
	}
	if limited.N == 0 {
		return nil, fmt.Errorf("larger than %d bytes", MaxRecordsFile)
	}
	return records, nil
}

// quotedStrings joins the strings of `"a" "b"`.
func quotedStrings(s string) (string, error) {
	var b strings.Builder
	for s != "" {
		if s[0] != '"' {
			return "", fmt.Errorf("%q stands outside the quotation marks", s)
		}
		end := 1
		for end < len(s) && s[end] != '"' {
			if s[end] == '\\' {
				end++
			}
			end++
		}
		if end >= len(s) {
			return "", errors.New("a quotation mark is not closed")
		}
		unescape(&b, s[1:end])
		s = strings.TrimLeft(s[end+1:], " \t")
	}
	return b.String(), nil
}
