package keys

import (
	"errors"
	"fmt"
	"strings"
	"sync/atomic"

	"github.com/postseal/postseal/milter/dkim"
)

// ownDomain stands in the tables for the sender's domain.
const ownDomain = "%"

// keyRow is a row of KeyTable: NAME DOMAIN:SELECTOR:KEY.
type keyRow struct {
	name, where      string
	domain, selector string
	path             string // of a key file
	template         bool   // "%" in path stands for the domain
	inline           string // the key itself, where path is empty
	bad              error  // why the row cannot be used
	held             bool   // see fileRef

	last atomic.Pointer[reading]
}

// parseKeyRow reads a row's value. An error means that it lacks a part; a part
// that cannot be used is noted in the row. The text of the key is in neither.
// The last part takes the rest, colons and all.
func parseKeyRow(name, value, base string) (*keyRow, error) {
	parts := strings.SplitN(value, ":", 3)
	for i := range parts {
		parts[i] = strings.TrimSpace(parts[i])
	}
	if len(parts) < 3 || parts[0] == "" || parts[1] == "" || parts[2] == "" {
		return nil, fmt.Errorf("key %q: the row is not complete: write NAME DOMAIN:SELECTOR:KEY, where KEY is the path of a private key", clip(name))
	}
	k := &keyRow{name: name, domain: parts[0], selector: parts[1]}
	switch key := parts[2]; {
	case strings.HasPrefix(key, "/"):
		k.path, k.template = key, strings.Contains(key, ownDomain)
	case strings.HasPrefix(key, "./"), strings.HasPrefix(key, "../"):
		k.path = under(base, key)
	default:
		k.inline = key
	}
	if _, err := dkim.DomainName(k.selector); err != nil {
		k.bad = fmt.Errorf("the selector is no domain name: %w", err)
	}
	if k.domain != ownDomain {
		if _, err := dkim.DomainName(k.domain); err != nil {
			k.bad = fmt.Errorf("the signing domain is no domain name: %w", err)
		}
	}
	return k, nil
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

// signingRow is the value of a row of SigningTable: KEYNAME[:SIGNER].
type signingRow struct {
	where   string
	keyName string
	signer  string  // for i=; may have "%"
	key     *keyRow // nil where the name is "%"
	// everyDomain says that the row's pattern does not name a domain.
	everyDomain bool
	bad         error
}

func parseSigningRow(value string) (*signingRow, error) {
	name, signer, _ := strings.Cut(value, ":")
	g := &signingRow{keyName: strings.TrimSpace(name), signer: strings.TrimSpace(signer)}
	if g.keyName == "" {
		return nil, errors.New("the row names no key: write PATTERN KEYNAME, with KEYNAME from key_table")
	}
	switch {
	case g.signer == "":
	case !strings.Contains(g.signer, "@"):
		g.bad = fmt.Errorf("the signer %q has no @: write %q or a whole address", clip(g.signer), "@"+g.signer)
	case strings.ContainsFunc(g.signer, func(r rune) bool { return r <= ' ' || r == 0x7f }):
		g.bad = fmt.Errorf("the signer %q has a blank or control character", clip(g.signer))
	}
	return g, nil
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
	if len(s) <= longest {
		return s
	}
	return s[:20] + "…"
}
