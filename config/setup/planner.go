package setup

import (
	"crypto"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/postseal/postseal/config/dataset"
	"github.com/postseal/postseal/keys"
)

// planner is the work on one Request.
type planner struct {
	*Request
	plan             *Plan
	keyPath, signing string // the tables' files
	entries          map[string]keys.Entry
	store            *keys.Store // nil where there are no rows yet
	rows             bool        // signing_table has some
	patterns         bool        // its keys are patterns
	multiple         bool
	begun            map[string]*PrivateKey  // by path
	waiting          map[string][]keys.Entry // see waitingKeys
}

// read reads the tables that stand.
func (p *planner) read() (err error) {
	c := p.Site.Config
	if p.keyPath, p.signing, err = p.Site.tables(); err != nil {
		return err
	}
	if i := strings.IndexFunc(p.keyPath, func(r rune) bool {
		return r == '#' || r == '%' || r == ':' || unicode.IsSpace(r) || !unicode.IsPrint(r) || r == utf8.RuneError
	}); i >= 0 {
		return fmt.Errorf("the path %q cannot stand in a row of key_table; move the tables to a folder with a plain name", p.keyPath)
	}
	p.multiple = c.MultipleSignatures
	p.patterns = strings.HasPrefix(c.SigningTable.Text, "refile")
	if p.Site.New && (!exists(p.keyPath) || !exists(p.signing)) {
		return p.alone()
	}
	list, err := keys.ReadTable(c.KeyTable, c.BaseDirectory)
	if err != nil {
		return fmt.Errorf("key_table: %w", err)
	}
	p.entries = make(map[string]keys.Entry, len(list))
	for _, e := range list {
		p.entries[e.Name] = e
	}
	set, err := dataset.Open(c.SigningTable, dataset.Options{Base: c.BaseDirectory})
	if err != nil {
		return fmt.Errorf("signing_table: %w", err)
	}
	p.rows, p.patterns = len(set.Rows()) > 0, !set.Walkable()
	p.waiting = waitingKeys(list, set)
	p.store, err = keys.Load(keys.Options{
		KeyTable: c.KeyTable, SigningTable: c.SigningTable, MultipleSignatures: c.MultipleSignatures,
		SkipBadRows: true, Base: c.BaseDirectory, Later: true,
	}, keys.NewCache(0, func(string, string, crypto.Signer) error { return nil }, slog.New(slog.DiscardHandler)))
	return err
}

// alone wants a table that stands without the other, and without a configuration, to be
// empty.
func (p *planner) alone() error {
	c := p.Site.Config
	for _, spec := range []dataset.Spec{c.KeyTable, c.SigningTable} {
		path := spec.File(c.BaseDirectory)
		if !exists(path) {
			continue
		}
		set, err := dataset.Open(spec, dataset.Options{Base: c.BaseDirectory})
		if err != nil {
			return err
		}
		if len(set.Rows()) > 0 {
			return fmt.Errorf("%s has rows, but there is no configuration and no other table; move it away", path)
		}
	}
	return nil
}

// exists reports whether there is something at path, as far as can be seen.
func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

// domain plans the keys of one.
func (p *planner) domain(name string) (*Domain, error) {
	d := &Domain{Name: name}
	if p.standing(d) {
		return d, nil
	}
	dir := keys.Folder(p.keyPath, name)
	p.plan.folder(filepath.Dir(dir), 0o700, p.Site.Owner)
	p.plan.folder(dir, 0o700, p.Site.Owner)
	for _, kind := range keyKinds {
		k := p.key(name, dir, kind.letter, kind.kind)
		k.SigningRow = Sender(p.patterns, name) + " " + k.Name
		d.Keys = append(d.Keys, k)
	}
	return d, nil
}

// Sender is the key of a row of signing_table that is for mail of a domain; patterns:
// the table is a refile.
func Sender(patterns bool, domain string) string {
	if patterns {
		return "*@" + domain
	}
	return domain
}

// standing finds the keys that sign a domain's mail already, in its own name, or would
// if their rows came first.
func (p *planner) standing(d *Domain) bool {
	if p.store == nil {
		return false
	}
	requests, err := p.store.Candidates(keys.Address{Local: "postmaster", Domain: d.Name})
	own := slices.DeleteFunc(slices.Clone(requests), func(r keys.Request) bool { return r.Domain != d.Name })
	if !p.multiple && len(requests) > 0 && requests[0].Domain != d.Name {
		d.Advice = append(d.Advice, fmt.Sprintf("the row %s comes first and has mail of %s signed by %s: move it to the end of signing_table", requests[0].Row, d.Name, requests[0].Domain))
	}
	if len(own) == 0 {
		if err != nil {
			d.Advice = append(d.Advice, fmt.Sprintf("mail of %s is signed by a row that cannot be used: %v", d.Name, err))
		}
		return err != nil
	}
	if !p.multiple {
		own = own[:1]
	}
	for _, r := range own {
		d.Keys = append(d.Keys, p.standingKey(r))
	}
	return true
}

// standingKey is the key of a row that stands.
func (p *planner) standingKey(r keys.Request) *Key {
	k := &Key{Name: r.KeyName, Domain: r.Domain, Selector: r.Selector}
	private, err := r.Signer()
	if e, ok := p.entries[r.KeyName]; ok && !e.SenderDomain() {
		// Whoever may read it: this process is not the daemon.
		k.Path = e.Path()
		private, err = e.Private()
	}
	if k.Err = err; err == nil {
		k.public = private.Public()
	}
	return k
}

// key plans a key, or takes the one that a set-up has made which came to no end, or waits.
func (p *planner) key(domain, dir, letter, kind string) *Key {
	if k := p.waitingKey(domain, dir, kind); k != nil {
		return k
	}
	for n := 1; ; n++ {
		selector := p.Selector + letter
		if n > 1 {
			selector += strconv.Itoa(n)
		}
		k := &Key{Name: selector + "._domainkey." + domain, Domain: domain, Selector: selector, kind: kind, Path: filepath.Join(dir, selector+".private")}
		if b := p.begun[k.Path]; b != nil {
			private, err := keys.ReadPrivate(k.Path)
			if err == nil && keys.RecordText(private.Public()) == b.Record {
				k.public = private.Public()
				return k
			}
		}
		if _, taken := p.entries[k.Name]; taken || exists(k.Path) || p.Taken != nil && p.Taken(k.Name) {
			continue
		}
		k.made = &PrivateKey{Path: k.Path, Owner: p.Site.Owner, Type: kind}
		if kind == "rsa" {
			k.made.Bits = keys.DefaultRSABits
		}
		return k
	}
}

// several sees to it that both keys of each domain sign: with the setting, which may be
// added to a file whose tables are empty. Elsewhere the RSA key signs alone, since rows
// that stand would sign more than they do.
func (p *planner) several(domains []*Domain) error {
	if p.multiple || !slices.ContainsFunc(domains, func(d *Domain) bool { return len(d.Keys) > 0 && d.Keys[0].SigningRow != "" }) {
		return nil
	}
	if !p.rows {
		f, err := p.Site.switchOn()
		if err != nil {
			return err
		}
		if f != nil {
			p.plan.Add(f)
			return nil
		}
	}
	for _, d := range domains {
		for _, k := range d.Keys {
			if k.SigningRow != "" && k.kind == "ed25519" {
				d.Advice = append(d.Advice, fmt.Sprintf("only the RSA key signs, because multiple_signatures is off; to sign with both, write %q into %s and add this row to %s: %s",
					p.Site.multipleName(), p.Site.Path, p.signing, k.SigningRow))
				k.SigningRow = ""
			}
		}
	}
	return nil
}
