package rotation

import (
	"context"
	"crypto/rsa"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/postseal/postseal/config/dataset"
	"github.com/postseal/postseal/keys"
	"github.com/postseal/postseal/keys/ledger"
	"github.com/postseal/postseal/keys/published"
	"github.com/postseal/postseal/milter/dkim"
)

// ErrNothing says that a domain has no key that could be rotated; it is wrapped in why.
var ErrNothing = errors.New("there is nothing to rotate")

// Active lists the keys that sign, and that rotation can take the place of, with what
// the ledger has of them; Since is the time from which their age counts, zero where
// nothing tells. Several rows of key_table for one record are several keys.
func (r *Rotation) Active() ([]ledger.Key, error) {
	t, err := r.readTables()
	if err != nil {
		return nil, err
	}
	return r.active(t, ""), nil
}

// active is Active for one domain, "" for all.
func (r *Rotation) active(t *tables, domain string) []ledger.Key {
	var list []ledger.Key
	for _, e := range t.entries {
		if e.Err != nil || e.SenderDomain() || !t.signs[e.Name] {
			continue
		}
		name, err := published.RecordName(e.Selector, e.Domain)
		if err != nil {
			continue
		}
		k := ledger.Key{Name: e.Name, File: e.Path(), State: ledger.Active}
		k.Selector, k.Domain, _ = strings.Cut(name, "._domainkey.")
		if domain != "" && k.Domain != domain {
			continue
		}
		if known := r.Ledger.Find(k.Name); known != nil {
			k = *known
		} else if k.Since = k.Made(); k.Since.IsZero() && k.File != "" {
			if info, err := os.Stat(k.File); err == nil {
				k.Since = info.ModTime()
			}
		}
		list = append(list, k)
	}
	return list
}

// Begin plans a new key for each that signs for a domain, of one type where kind names
// it, and keeps the plan: Advance carries it out.
func (r *Rotation) Begin(ctx context.Context, domain, kind string) error {
	domain, err := dkim.DomainName(strings.TrimSuffix(domain, "."))
	if err != nil {
		return err
	}
	t, err := r.readTables()
	if err != nil {
		return err
	}
	folder, err := r.folder(domain)
	if err != nil {
		return err
	}
	planned := map[string]int{} // by record
	var old, fresh []ledger.Key
	for _, k := range r.active(t, domain) {
		if err := read(&k, t); err != nil {
			return err
		}
		if kind != "" && k.Type != kind {
			continue
		}
		k.Keep = r.Keep
		old = append(old, k)
		if at, ok := planned[k.RecordName()]; ok {
			fresh[at].Replaces = append(fresh[at].Replaces, k.Name)
			continue
		}
		n := ledger.Key{Domain: domain, Type: k.Type, State: ledger.Pending, Since: r.Now(), Keep: r.Keep, Replaces: []string{k.Name}}
		if n.Type == "rsa" {
			n.Bits = max(k.Bits, keys.DefaultRSABits)
		}
		if err := r.name(ctx, &n, folder, t, fresh); err != nil {
			return err
		}
		planned[k.RecordName()] = len(fresh)
		fresh = append(fresh, n)
	}
	if len(fresh) == 0 {
		return whyNothing(t, domain, kind)
	}
	for _, k := range append(old, fresh...) {
		r.Ledger.Put(k)
	}
	return r.Ledger.Save()
}

// folder is where new keys of a domain go: beside key_table.
func (r *Rotation) folder(domain string) (string, error) {
	path := r.KeyTable.File(r.Base)
	if path == "" {
		return "", fmt.Errorf("%w: key_table is no file that a row can be added to; it is %q", ErrNothing, r.KeyTable)
	}
	if path := r.SigningTable.File(r.Base); path == "" {
		return "", fmt.Errorf("%w: signing_table is no file that a row can be changed in; it is %q", ErrNothing, r.SigningTable)
	}
	path, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	dir := keys.Folder(path, domain)
	if i := strings.IndexAny(dir, "#%\n"); i >= 0 {
		return "", fmt.Errorf("the path %s cannot stand in a table: it has a %q", dir, dir[i])
	}
	return dir, nil
}

// credentials is where systemd puts what services are given.
const credentials = "/run/credentials/"

// read reads the public half of a key that signs.
func read(k *ledger.Key, t *tables) error {
	if strings.HasPrefix(k.File, credentials) {
		return fmt.Errorf("%w: the key %s comes from systemd as a credential, and nobody else can put another there; make one with genkey, and name it in the unit", ErrNothing, k.Name)
	}
	at := slices.IndexFunc(t.entries, func(e keys.Entry) bool { return e.Name == k.Name })
	private, err := t.entries[at].Private()
	if err != nil {
		return fmt.Errorf("the key %s cannot be read: %w", k.Name, err)
	}
	k.Record, k.Type, k.Bits = keys.RecordText(private.Public()), "ed25519", 0
	if pub, ok := private.Public().(*rsa.PublicKey); ok {
		k.Type, k.Bits = "rsa", pub.N.BitLen()
	}
	return nil
}

// mostOfOneDay bounds the selectors that are tried.
const mostOfOneDay = 100

// name finds a selector for a new key: the day, r or e, and for a further one a number.
func (r *Rotation) name(ctx context.Context, k *ledger.Key, folder string, t *tables, fresh []ledger.Key) error {
	first := r.Now().UTC().Format(ledger.Dated) + k.Type[:1]
	for i := 1; i <= mostOfOneDay; i++ {
		if k.Selector = first; i > 1 {
			k.Selector += strconv.Itoa(i)
		}
		k.Name, k.File = k.RecordName(), filepath.Join(folder, k.Selector+".private")
		free := !t.listed[k.Name] && r.Ledger.Find(k.Name) == nil &&
			!slices.ContainsFunc(fresh, func(o ledger.Key) bool { return o.Name == k.Name })
		for _, file := range []string{k.File, k.File + retiredSuffix} {
			_, err := os.Lstat(file)
			free = free && err != nil
		}
		if free && !r.DNS.Taken(ctx, k.RecordName()) {
			_, err := published.RecordName(k.Selector, k.Domain)
			return err
		}
	}
	return fmt.Errorf("the selectors %s to %s%d are taken", first, first, mostOfOneDay)
}

// whyNothing says why no key of a domain can be rotated.
func whyNothing(t *tables, domain, kind string) error {
	var unused []string
	for _, e := range t.entries {
		if d, err := dkim.DomainName(e.Domain); err == nil && d == domain && !t.signs[e.Name] {
			unused = append(unused, e.Name)
		}
	}
	each := slices.ContainsFunc(t.entries, func(e keys.Entry) bool { return e.SenderDomain() && t.signs[e.Name] }) ||
		slices.ContainsFunc(t.signing, func(row dataset.Row) bool { return signer(row) == "%" })
	switch {
	case kind != "" && len(unused) == 0:
		return fmt.Errorf("%w: no %s key signs as %s", ErrNothing, kind, domain)
	case len(unused) > 0:
		return fmt.Errorf("%w: no row of signing_table names a key of %s (key_table has %s)", ErrNothing, domain, strings.Join(unused, ", "))
	case each:
		return fmt.Errorf("%w: no key of key_table is for %s alone; rows with %% sign for each sender's own domain, and such keys cannot be rotated one by one: give the domain rows of its own (genkey -d %s --add)",
			ErrNothing, domain, domain)
	}
	return fmt.Errorf("%w: no key of key_table signs as %s; postseal rotate lists those that do", ErrNothing, domain)
}
