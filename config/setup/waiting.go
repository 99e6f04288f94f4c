package setup

import (
	"crypto"
	"crypto/ed25519"
	"crypto/rsa"
	"path/filepath"
	"slices"
	"strings"

	"github.com/postseal/postseal/config/dataset"
	"github.com/postseal/postseal/keys"
)

// waitingKeys are the rows of key_table that no row of signing_table names, by their
// domain: those of a set-up that waits for DNS are among them.
func waitingKeys(table []keys.Entry, signing *dataset.Set) map[string][]keys.Entry {
	named := make(map[string]bool)
	for _, row := range signing.Rows() {
		name, _, _ := strings.Cut(row.Value, ":")
		named[strings.TrimSpace(name)] = true
	}
	waiting := make(map[string][]keys.Entry)
	for _, e := range table {
		if e.Err == nil && !named[e.Name] {
			waiting[e.Domain] = append(waiting[e.Domain], e)
		}
	}
	return waiting
}

// waitingKey is the last key of a kind that a set-up has made for the domain in dir, and
// that does not sign yet; nil if there is none.
func (p *planner) waitingKey(domain, dir, kind string) *Key {
	for _, e := range slices.Backward(p.waiting[domain]) {
		if filepath.Dir(e.Path()) != dir || p.begun[e.Path()] != nil { // that one is found by its path
			continue
		}
		private, err := e.Private()
		if err != nil || kindOf(private.Public()) != kind {
			continue
		}
		return &Key{Name: e.Name, Domain: domain, Selector: e.Selector, Path: e.Path(), kind: kind, public: private.Public()}
	}
	return nil
}

// Names are those of the records that the keys of a domain will have, unless they are
// taken.
func (r *Request) Names(domain string) []string {
	var names []string
	for _, kind := range keyKinds {
		names = append(names, r.Selector+kind.letter+"._domainkey."+domain)
	}
	return names
}

// kindOf is the type of a key as [keys.Generate] has it.
func kindOf(public crypto.PublicKey) string {
	switch public.(type) {
	case *rsa.PublicKey:
		return "rsa"
	case ed25519.PublicKey:
		return "ed25519"
	}
	return ""
}
