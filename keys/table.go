package keys

import (
	"fmt"
	"strings"
	"sync/atomic"

	"github.com/postseal/postseal/config/dataset"
	"github.com/postseal/postseal/milter/dkim"
)

// ownDomain stands in the tables for the sender's domain.
const ownDomain = "%"

// keyRow is a row of KeyTable: NAME DOMAIN:SELECTOR:KEY.
type keyRow struct {
	name             string
	number           int // in the table
	domain, selector string
	path             string // of a key file
	template         bool   // "%" in path stands for the domain
	inline           string // the key itself, where path is empty
	bad              error  // why the row cannot be used
	held             bool   // see fileRef

	last *atomic.Pointer[reading]
}

// parseKeyRow takes a row's value apart. An error means that it lacks a part; it
// does not have the text of the key. The last part takes the rest, colons and all.
func parseKeyRow(name, value, base string) (keyRow, error) {
	domain, rest, _ := strings.Cut(value, ":")
	selector, key, _ := strings.Cut(rest, ":")
	k := keyRow{name: name, domain: strings.TrimSpace(domain), selector: strings.TrimSpace(selector)}
	key = strings.TrimSpace(key)
	if k.domain == "" || k.selector == "" || key == "" {
		return k, fmt.Errorf("key %q: the row is not complete: write NAME DOMAIN:SELECTOR:KEY, where KEY is the path of a private key", clip(name))
	}
	switch {
	case strings.HasPrefix(key, "/"):
		k.path, k.template = key, strings.Contains(key, ownDomain)
	case strings.HasPrefix(key, "./"), strings.HasPrefix(key, "../"):
		k.path = under(base, key)
	default:
		k.inline = key
	}
	return k, nil
}

// check says which part of the row cannot be used; nil if all can.
func (k *keyRow) check() error {
	if k.domain != ownDomain {
		if err := checkName(k.domain); err != nil {
			return fmt.Errorf("the signing domain is no domain name: %w", err)
		}
	}
	if err := checkName(k.selector); err != nil {
		return fmt.Errorf("the selector is no domain name: %w", err)
	}
	return nil
}

// checkName says why a name cannot be one in DNS, without its text if that may be
// a key's.
func checkName(name string) error {
	_, err := dkim.DomainName(name)
	if err == nil {
		return nil
	}
	if shown := masked(name); shown != name {
		return fmt.Errorf("%q may be a part of a private key", shown)
	}
	return err
}

// under is path, where it is relative from the folder base on. Symbolic links
// make a difference before "..", so that nothing is shortened.
func under(base, path string) string {
	if base == "" || strings.HasPrefix(path, "/") {
		return path
	}
	return strings.TrimRight(base, "/") + "/" + path
}

// perDomain reports whether each sender's domain has a file of its own.
func (k *keyRow) perDomain() bool { return k.template && k.domain == ownDomain }

// file is the path of the key for a signing domain, which dkim.DomainName has
// checked: it has no slash, no NUL and no "..".
func (k *keyRow) file(domain string) string {
	if k.template {
		return strings.ReplaceAll(k.path, ownDomain, domain)
	}
	return k.path
}

// signingRow is a row of SigningTable: PATTERN KEYNAME[:SIGNER].
type signingRow struct {
	dataset.Row
	keyName string // empty if there is none
	signer  string // for i=; may have "%"
	bad     error  // why the signer cannot be used
}

func newSigningRow(row dataset.Row) signingRow {
	name, signer, _ := strings.Cut(row.Value, ":")
	g := signingRow{Row: row, keyName: strings.TrimSpace(name), signer: strings.TrimSpace(signer)}
	switch {
	case g.signer == "":
	case !strings.Contains(g.signer, "@"):
		g.bad = fmt.Errorf("the signer %q has no @: write %q or a whole address", clip(g.signer), "@"+clip(g.signer))
	case strings.ContainsFunc(g.signer, func(r rune) bool { return r <= ' ' || r == 0x7f }):
		g.bad = fmt.Errorf("the signer %q has a blank or control character", clip(g.signer))
	}
	return g
}

// everyDomain reports whether a key of SigningTable is for whatever domain there
// is: "*", "*@*", "user@*".
func everyDomain(pattern string) bool {
	return strings.Trim(pattern[strings.LastIndexByte(pattern, '@')+1:], "*") == ""
}

// clip bounds a name from a table for messages: a row that lacks its name can
// begin with a key.
func clip(s string) string {
	const longest = 100
	if s = masked(s); len(s) <= longest {
		return s
	}
	return s[:20] + "…"
}

// masked is a name from a table, unless it may be a part of a private key that
// stands in the wrong place: so long a word of base64, in capital and small letters
// and digits, is in no name.
func masked(s string) string {
	const shortest = 40
	var upper, lower, digit bool
	for i, n := 0, 0; i < len(s); i++ {
		switch c := s[i]; {
		case 'A' <= c && c <= 'Z':
			upper = true
		case 'a' <= c && c <= 'z':
			lower = true
		case '0' <= c && c <= '9':
			digit = true
		case c != '+' && c != '/' && c != '=':
			n, upper, lower, digit = 0, false, false, false
			continue
		}
		if n++; n >= shortest && upper && lower && digit {
			return s[:min(20, i+1-n)] + "…"
		}
	}
	return s
}
