package setup

import (
	"crypto"
	"fmt"

	"github.com/postseal/postseal/keys"
)

// Request asks for domains to be signed.
type Request struct {
	Site *Site
	// Domains are in A-labels, each once.
	Domains []string
	// Selector is what the selectors of new keys begin with: a date.
	Selector string
	// Taken, if not nil, reports whether DNS has something under the name of a key's
	// record already: another host's key, then.
	Taken func(name string) bool
	// Begun are the changes of a set-up of the same domains that did not come to its
	// end: its keys are used.
	Begun []Change
	// SignLater leaves out the rows of signing_table, which [Request.Sign] plans: mail
	// is not signed before.
	SignLater bool
}

// Domain is what becomes of one.
type Domain struct {
	Name string
	// Keys are those that sign its mail or, where they are new, will.
	Keys []*Key
	// Advice says, in the terms of postseal.toml, what is left for a person to do.
	Advice []string
}

// Key is a key of a domain.
type Key struct {
	// Name is its name in key_table, Domain and Selector are those of its record.
	Name, Domain, Selector string
	// Path is its file, "" where it is in none.
	Path string
	// Err says why the key of a row that stands cannot be read.
	Err error
	// SigningRow is the row that has it sign, "" where it is not to, or does already.
	SigningRow string

	kind   string // of those that a set-up makes
	public crypto.PublicKey
	made   *PrivateKey
}

// New reports whether the set-up makes it.
func (k *Key) New() bool { return k.made != nil }

// Public is the public half; that of a new key is not known here, and nil.
func (k *Key) Public() crypto.PublicKey { return k.public }

// Record is the text of its record, as [keys.RecordText] has it; that of a new key is
// known once it is made, and "" before.
func (k *Key) Record() string {
	if k.made != nil {
		return k.made.Record
	}
	if k.public == nil {
		return ""
	}
	return keys.RecordText(k.public)
}

// keyKinds are the keys that a domain gets, in the order of their rows: an RSA key comes
// first, which everybody verifies.
var keyKinds = []struct{ letter, kind string }{{"r", "rsa"}, {"e", "ed25519"}}

// Plan adds to plan what gives each domain its keys and rows. All new rows of a table
// are one change, however many the domains are. A domain whose mail is signed already
// in its own name is left as it is.
func (r *Request) Plan(plan *Plan) ([]*Domain, error) {
	p := &planner{Request: r, plan: plan, begun: make(map[string]*PrivateKey)}
	for _, c := range r.Begun {
		if k, ok := c.(*PrivateKey); ok {
			p.begun[k.Path] = k
		}
	}
	if err := p.read(); err != nil {
		return nil, err
	}
	var domains []*Domain
	added := &Rows{Path: p.keyPath}
	for _, name := range r.Domains {
		d, err := p.domain(name)
		if err != nil {
			return nil, err
		}
		domains = append(domains, d)
	}
	for _, d := range domains { // behind all folders, so that they are made side by side
		for _, k := range d.Keys {
			if k.made != nil {
				plan.Add(k.made)
			}
		}
	}
	if err := p.several(domains); err != nil {
		return nil, err
	}
	for _, d := range domains {
		for _, k := range d.Keys {
			if _, there := p.entries[k.Name]; !there {
				added.Rows = append(added.Rows, fmt.Sprintf("%s %s:%s:%s", k.Name, k.Domain, k.Selector, k.Path))
			}
		}
	}
	plan.rows(added)
	if !r.SignLater {
		r.Sign(plan, domains)
	}
	return domains, nil
}

// Sign adds to plan the rows of signing_table that have the keys of domains sign.
func (r *Request) Sign(plan *Plan, domains []*Domain) {
	_, signing, err := r.Site.tables()
	if err != nil {
		return // Plan has said so
	}
	added := &Rows{Path: signing}
	for _, d := range domains {
		for _, k := range d.Keys {
			if k.SigningRow != "" {
				added.Rows = append(added.Rows, k.SigningRow)
			}
		}
	}
	plan.rows(added)
}
