package zone

import (
	"crypto"
	"slices"
	"strings"

	"github.com/postseal/postseal/milter/dkim"
)

// State is how a record stands in DNS.
type State string

// The states of records.
const (
	// Published: it is there or, of a key's record, one with the same key.
	Published State = "published"
	// Missing: there is none of its kind.
	Missing State = "missing"
	// Different: there is another of its kind, or several.
	Different State = "different"
)

// Compare says how the record stands among the values of all TXT records at its name, and
// which change has it stand there alone of its kind: all records below _domainkey are of
// one kind, elsewhere those that begin with the same version (v=spf1, v=DMARC1). Records
// of other kinds stay.
func (r Record) Compare(standing []string) (State, Change) {
	c := Change{Name: r.Name, Before: standing, TTL: r.TTL}
	var kin []string
	for _, value := range standing {
		if r.kin(value) {
			kin = append(kin, value)
		} else {
			c.After = append(c.After, value)
		}
	}
	if len(kin) == 1 && r.same(kin[0]) {
		c.After = standing
		return Published, c
	}
	c.After = append(c.After, r.Text)
	if len(kin) == 0 {
		return Missing, c
	}
	return Different, c
}

// kin reports whether a value at the record's name is of its kind.
func (r Record) kin(value string) bool {
	return r.ofKey() || strings.EqualFold(version(value), version(r.Text))
}

func (r Record) ofKey() bool { return slices.Contains(strings.Split(r.Name, "."), "_domainkey") }

// version is how a value begins, up to the first blank or semicolon.
func version(value string) string {
	word, _, _ := strings.Cut(strings.TrimSpace(value), ";")
	word, _, _ = strings.Cut(word, " ")
	return strings.TrimSpace(word)
}

// same reports whether a value says what the record says. Other tags beside the same key
// are a person's own.
func (r Record) same(value string) bool {
	if value == r.Text || !r.ofKey() {
		return value == r.Text
	}
	theirs, err := dkim.ParseKeyRecord(value)
	if err != nil || theirs.Revoked {
		return false
	}
	ours, err := dkim.ParseKeyRecord(r.Text)
	if err != nil || ours.Revoked {
		return false
	}
	key, ok := ours.Public.(interface{ Equal(crypto.PublicKey) bool })
	return ok && key.Equal(theirs.Public)
}
