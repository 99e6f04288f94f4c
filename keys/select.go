package keys

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/net/idna"

	"github.com/postseal/postseal/config/dataset"
	"github.com/postseal/postseal/milter/dkim"
)

// Errors of Select. They mean that a row is for the sender and that the mail
// cannot be signed as the row says: it should be deferred, not sent unsigned.
var (
	// ErrSender is the error of a sender whose domain cannot stand for "%".
	ErrSender = errors.New("the sender's domain cannot be used")
	// ErrUnknownKey is the error of a row with the key name "%" where KeyTable
	// has no row for the sender's domain, and, with Options.SkipBadRows, of a row
	// that names a missing key or none. A *KeyError has the name.
	ErrUnknownKey = errors.New("signing table references unknown key")
)

// Select returns what to sign mail of this sender with, in the order of the
// rows; nothing if no row matches. It reads no file. The domain is looked up
// as it is, in its A-label form and in its U-label form. An error is ErrSender or ErrUnknownKey.
func (s *Store) Select(a Address) ([]Request, error) {
	requests, err := s.selectRows(a, s.multiple)
	if err != nil {
		return nil, err
	}
	return requests, nil
}

// Candidates is Select for those who may pass rows over: the requests of every row
// that matches, whether MultipleSignatures takes them all or not. Beside an error,
// which is that of a row, are the requests of the rows before it.
func (s *Store) Candidates(a Address) ([]Request, error) { return s.selectRows(a, true) }

func (s *Store) selectRows(a Address, all bool) ([]Request, error) {
	if a.Domain == "" || s.signing == nil && s.domains == nil {
		return nil, nil
	}
	if len(a.Local) > maxText || len(a.Domain) > maxText {
		return nil, fmt.Errorf("%w: the address has %d octets", ErrSender, len(a.Local)+1+len(a.Domain))
	}
	f := newSender(a)
	if s.domains != nil {
		return s.selectDomain(f)
	}
	var requests []Request
	seen := map[identity]bool{}
	for _, row := range s.match(f, all) {
		r, err := s.request(row, f)
		var keyErr *KeyError
		switch {
		case errors.As(err, &keyErr): // names the row itself
			return requests, err
		case err != nil:
			return requests, fmt.Errorf("%s: %w", s.signing.Where(row.Row), err)
		}
		// The same signature twice helps nobody.
		id := identity{r.key.number, r.Domain, r.AUID}
		if seen[id] {
			continue
		}
		seen[id] = true
		requests = append(requests, r)
	}
	return requests, nil
}

// Names reports whether the tables speak of the sender's domain, and not only of
// every domain there is: by a row of SigningTable for fewer than all domains,
// by a key of that name, or by a key that signs as the domain or one above it.
func (s *Store) Names(a Address) bool {
	if a.Domain == "" || len(a.Local) > maxText || len(a.Domain) > maxText {
		return false
	}
	f := newSender(a)
	if s.domains != nil {
		entry, ok := s.listedDomain(f)
		return ok && entry != allDomains
	}
	if s.signing == nil {
		return false
	}
	for _, row := range s.match(f, s.multiple) {
		key, _, err := s.keyFor(row, f)
		switch {
		case err != nil:
		case !everyDomain(row.Key), row.keyName == ownDomain:
			return true
		case key.bad == nil && key.domain != ownDomain && f.err == nil && signerInside(f.ascii, key.domain):
			return true
		}
	}
	return false
}

type identity struct {
	key          int
	domain, auid string
}

// sender is an address in the forms that are looked up.
type sender struct {
	local string
	forms []string // the domain in lower case, then its A-label and U-label forms where they differ
	ascii string   // the A-label form, empty with err
	err   error
}

func newSender(a Address) sender {
	f := sender{local: a.Local, forms: []string{lowerASCII(a.Domain)}}
	f.ascii, f.err = dkim.DomainName(a.Domain)
	if f.err != nil {
		f.err = fmt.Errorf("%w: %w", ErrSender, f.err)
		return f
	}
	if f.ascii != f.forms[0] {
		f.forms = append(f.forms, f.ascii)
	}
	if !strings.Contains(f.ascii, "xn--") {
		return f
	}
	if u, err := idna.Lookup.ToUnicode(f.ascii); err == nil && !slices.Contains(f.forms, u) {
		f.forms = append(f.forms, u)
	}
	return f
}

// match returns the rows of SigningTable for a sender: the first, or all.
func (s *Store) match(f sender, all bool) []signingRow {
	var hits []dataset.Row
	if s.signing.Kind() == "refile" {
		for _, domain := range f.forms {
			address := f.local + "@" + domain
			if all {
				hits = append(hits, s.signing.All(address)...)
			} else if row, ok := s.signing.Get(address); ok {
				hits = append(hits, row)
			}
		}
		slices.SortStableFunc(hits, func(a, b dataset.Row) int { return a.Line - b.Line })
	} else {
		for _, key := range f.queries() {
			if row, ok := s.signing.Get(key); ok {
				hits = append(hits, row)
			}
			if len(hits) > 0 && !all {
				break
			}
		}
	}
	if len(hits) > 1 && !all {
		hits = hits[:1]
	}
	rows := make([]signingRow, 0, len(hits))
	for _, hit := range hits {
		if !slices.ContainsFunc(rows, func(r signingRow) bool { return r.Line == hit.Line }) {
			rows = append(rows, newSigningRow(hit))
		}
	}
	return rows
}

// queries are what a table without patterns is asked for, in order: user@host,
// host, user@.parent and .parent from the nearest parent up, user@*, *. Where
// the domain has several forms they take turns.
func (f sender) queries() []string {
	lists := make([][]string, len(f.forms))
	longest := 0
	for i, domain := range f.forms {
		lists[i] = append(lists[i], f.local+"@"+domain, domain)
		for rest := domain; ; {
			dot := strings.IndexByte(rest, '.')
			if dot < 0 {
				break
			}
			lists[i] = append(lists[i], f.local+"@"+rest[dot:], rest[dot:])
			rest = rest[dot+1:]
		}
		longest = max(longest, len(lists[i]))
	}
	var queries []string
	for i := range longest {
		for _, list := range lists {
			if i < len(list) {
				queries = append(queries, list[i])
			}
		}
	}
	return append(queries, f.local+"@*", "*")
}

// request makes of a row what it means for a sender.
func (s *Store) request(row signingRow, f sender) (Request, error) {
	where := s.signing.Where(row.Row)
	key, name, err := s.keyFor(row, f)
	if err != nil {
		return Request{}, &KeyError{Name: name, Where: where, Err: err}
	}
	if f.err != nil && (key.domain == ownDomain || strings.Contains(row.signer, ownDomain)) {
		return Request{}, f.err
	}
	r := Request{KeyName: masked(name), Row: where, Domain: key.domain, Selector: key.selector, key: key, store: s}
	if r.Domain == ownDomain {
		r.Domain = f.ascii
	}
	r.bad = row.bad
	if row.signer != "" && row.bad == nil {
		r.AUID = strings.ReplaceAll(row.signer, ownDomain, f.ascii)
		if !signerInside(r.AUID, r.Domain) {
			r.Note = fmt.Sprintf("i=%q is left out: it is not inside d=%s", clip(r.AUID), r.Domain)
			r.AUID = ""
		}
	}
	return r, nil
}

// keyFor finds the row of KeyTable that a row means for a sender, and what it is
// called.
func (s *Store) keyFor(row signingRow, f sender) (key *keyRow, name string, err error) {
	i, err := s.keyOf(row)
	switch {
	case err != nil:
		return nil, row.keyName, unknownKey(err)
	case i >= 0:
		return s.keyRow(i), row.keyName, nil
	}
	for _, name := range f.forms {
		if i := s.keyTable.Find(name); i >= 0 {
			return s.keyRow(i), name, nil
		}
	}
	return nil, f.forms[0], fmt.Errorf("%w: add a row for it to %s", ErrUnknownKey, s.keyTable.Source())
}

// signerInside reports whether the domain of a signer is d= or below it, which
// i= must be (RFC 6376 §3.5).
func signerInside(signer, domain string) bool {
	host, err1 := dkim.DomainName(signer[strings.LastIndexByte(signer, '@')+1:])
	parent, err2 := dkim.DomainName(domain)
	return err1 == nil && err2 == nil && dkim.Within(host, parent)
}
