package keys

import (
	"fmt"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/postseal/postseal/milter/dkim"
)

// Sample is a sender whose mail a key signs, found by working back from the tables.
type Sample struct {
	// KeyName is the key's name in KeyTable, Row the place of the row that names
	// it, if one does.
	KeyName, Row string
	// Sender is the address; its domain has A-labels. It is empty with Why.
	Sender Address
	// Why says why no sender was found.
	Why string
}

// sampleLocal is the local part of a sample where the tables leave it open, and
// sampleLabel the host below a domain.
const (
	sampleLocal = "postseal-ping"
	sampleLabel = "postseal-ping"
	// sampleDomain is one where they leave that open, too (RFC 2606 §3).
	sampleDomain = "example.com"
)

// mostFailures is after how many rows without a sample no more are looked for: each
// costs several look-ups, and a table may have a hundred thousand rows behind one
// that takes all mail.
const mostFailures = 1000

// Samples finds a sender for each key, in the order of SigningTable, and for each
// domain of a key that signs for the sender's own; last come the keys that no row
// names. It asks the tables as mail would, so that a row which another one keeps mail
// from has no sample. It reads no key.
func (s *Store) Samples() iter.Seq[Sample] {
	return func(yield func(Sample) bool) {
		switch {
		case s.domains != nil:
			s.domainSamples(yield)
		case s.signing != nil:
			t := tableSamples{
				Store: s, found: make([]bool, len(s.states)), own: map[string]bool{}, failed: map[int]Sample{}, yield: yield,
			}
			for _, row := range s.signing.Rows() {
				if t.failures == mostFailures || !t.row(newSigningRow(row)) {
					return
				}
			}
			t.rest()
		}
	}
}

// domainSamples are those of Domain: each entry is one.
func (s *Store) domainSamples(yield func(Sample) bool) {
	for _, row := range s.domains.Rows() {
		sample := Sample{KeyName: s.domainKey.name, Row: "domain", Why: fmt.Sprintf("no address was found that %q of domain is for", clip(row.Key))}
		for _, a := range sendersOf("*@"+row.Key, sampleDomain) {
			if requests, err := s.Select(a); err == nil && len(requests) > 0 {
				sample.Sender, sample.Why = a, ""
				break
			}
		}
		if !yield(sample) {
			return
		}
	}
}

// tableSamples goes through SigningTable once.
type tableSamples struct {
	*Store
	found  []bool          // keys with a sample, by row of KeyTable
	own    map[string]bool // and, of those for the sender's domain, the domains by name of the key
	failed map[int]Sample  // keys that only had rows without one, by row of KeyTable
	yield  func(Sample) bool
	// failures counts rows without a sample.
	failures int
}

// row finds samples for a row. It returns false when nobody wants more.
func (t *tableSamples) row(row signingRow) bool {
	i, err := t.keyOf(row)
	switch {
	case err != nil:
		return true // Disabled has it
	case i >= 0:
		return t.of(row, i)
	}
	// The key is called as the sender's domain is.
	for i, key := range t.keyTable.Rows() {
		if !t.found[i] && !t.forDomain(row, i, key.Key) {
			return false
		}
	}
	return true
}

// forDomain is of for a row whose key is called domain.
func (t *tableSamples) forDomain(row signingRow, i int, domain string) bool {
	if _, err := dkim.DomainName(domain); err != nil {
		return true
	}
	return t.try(row, i, t.keyRow(i), sendersOf(row.Key, domain))
}

// of finds a sample for a row that names the key at i.
func (t *tableSamples) of(row signingRow, i int) bool {
	if t.found[i] && !strings.HasPrefix(t.keyTable.Rows()[i].Value, ownDomain) {
		return true // of a key for many domains, most rows of a large table end here
	}
	k := t.keyRow(i)
	if k.bad != nil {
		return true // Disabled has it
	}
	domain := k.domain
	if domain == ownDomain {
		domain = sampleDomain
	}
	senders := sendersOf(row.Key, domain)
	if k.perDomain() {
		senders = t.withFile(k, row)
	}
	return t.try(row, i, k, senders)
}

// try yields the first of some senders whose mail the row at hand signs.
func (t *tableSamples) try(row signingRow, i int, k *keyRow, senders []Address) bool {
	where := t.signing.Where(row.Row)
	sample := Sample{KeyName: masked(k.name), Row: where}
	for _, a := range senders {
		requests, err := t.Select(a)
		if err != nil {
			continue
		}
		for _, r := range requests {
			if r.Row != where || r.key.number != i {
				continue
			}
			if k.domain == ownDomain {
				if t.own[k.name+" "+r.Domain] {
					return true
				}
				t.own[k.name+" "+r.Domain] = true
			}
			t.found[i] = true
			sample.Sender = a
			return t.yield(sample)
		}
	}
	t.failures++
	if _, told := t.failed[i]; !t.found[i] && !told {
		sample.Why = fmt.Sprintf("no address was found that the row %s is for and none before it", where)
		if k.perDomain() {
			sample.Why = fmt.Sprintf("no domain that the row %s is for was found to have a key file %s", where, k.path)
		}
		t.failed[i] = sample
	}
	return true
}

// rest yields the keys without a sample.
func (t *tableSamples) rest() {
	for i := range t.found {
		if t.found[i] {
			continue
		}
		sample, ok := t.failed[i]
		if !ok {
			k := t.keyRow(i)
			if k.bad != nil {
				continue // Disabled has it
			}
			sample = Sample{KeyName: masked(k.name), Why: "no row of signing_table names it"}
		}
		if !t.yield(sample) {
			return
		}
	}
}

// withFile are senders of domains that have a key file.
func (t *tableSamples) withFile(k *keyRow, row signingRow) []Address {
	senders := sendersOf(row.Key, sampleDomain)
	for _, domain := range k.domainsWithFile() {
		senders = append(senders, sendersOf(row.Key, domain)...)
	}
	return slices.DeleteFunc(senders, func(a Address) bool {
		_, err := os.Stat(k.file(a.Domain))
		return err != nil
	})
}

// domainsWithFile are some of the names that stand in its folder in place of the
// first "%" of a key's path.
func (k *keyRow) domainsWithFile() (domains []string) {
	before, after, _ := strings.Cut(k.path, ownDomain)
	folder, prefix := filepath.Split(before)
	suffix, _, _ := strings.Cut(after, "/")
	suffix, _, again := strings.Cut(suffix, ownDomain)
	f, err := os.Open(folder)
	if err != nil || again {
		return nil
	}
	defer f.Close()
	names, _ := f.Readdirnames(mostFailures) // what was read until an error is as good
	slices.Sort(names)
	for _, name := range names {
		name, begins := strings.CutPrefix(name, prefix)
		name, ends := strings.CutSuffix(name, suffix)
		if domain, err := dkim.DomainName(name); begins && ends && err == nil && len(domains) < mostAlike {
			domains = append(domains, domain)
		}
	}
	return domains
}

// sendersOf are addresses that a key of SigningTable may be for, the likeliest
// first. Where the key leaves the domain open it is domain.
func sendersOf(pattern, domain string) (senders []Address) {
	add := func(local, host string) {
		host = strings.ReplaceAll(host, "*", sampleLabel)
		if strings.HasPrefix(host, ".") {
			host = sampleLabel + host
		}
		host, err := dkim.DomainName(host)
		a := Address{Local: strings.ReplaceAll(local, "*", sampleLocal), Domain: host}
		if err == nil && a.Local != "" && !slices.Contains(senders, a) {
			senders = append(senders, a)
		}
	}
	local, host, both := strings.Cut(pattern, "@")
	switch {
	case strings.Trim(pattern, "*") == "":
		add(sampleLocal, domain)
	case !both && strings.HasPrefix(pattern, "*"): // of a refile: "*example.com"
		add(sampleLocal, strings.TrimLeft(pattern, "*"))
		add(sampleLocal, pattern)
	case !both: // of other tables: "example.com" and ".example.com"
		add(sampleLocal, pattern)
	case strings.Trim(host, "*") == "":
		add(local, domain)
	default:
		add(local, host)
	}
	// What is left are patterns with alternatives and the like: they may be for these.
	add(sampleLocal, domain)
	add(sampleLocal, "."+domain)
	if both && !strings.ContainsAny(local, `()[]|?{}^$\`) {
		add(local, domain)
	}
	return senders
}
