package rotation

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/postseal/postseal/config/dataset"
	"github.com/postseal/postseal/config/folder"
	"github.com/postseal/postseal/config/table"
	"github.com/postseal/postseal/keys"
	"github.com/postseal/postseal/keys/ledger"
)

// tables are the names in both tables.
type tables struct {
	entries []keys.Entry
	// listed are the names of the rows of key_table, signs those that rows of
	// signing_table have.
	listed, signs map[string]bool
	signing       []dataset.Row
}

func (r *Rotation) readTables() (*tables, error) {
	entries, err := keys.ReadTable(r.KeyTable, r.Base)
	if err != nil {
		return nil, fmt.Errorf("key_table: %w", err)
	}
	signing, err := dataset.Open(r.SigningTable, dataset.Options{Base: r.Base})
	if err != nil {
		return nil, fmt.Errorf("signing_table: %w", err)
	}
	t := &tables{entries: entries, listed: map[string]bool{}, signs: map[string]bool{}, signing: signing.Rows()}
	for _, e := range entries {
		t.listed[e.Name] = true
	}
	for _, row := range t.signing {
		t.signs[signer(row)] = true
	}
	return t, nil
}

// signer is the name of the key in a row of signing_table.
func signer(row dataset.Row) string {
	name, _, _ := strings.Cut(row.Value, ":")
	return strings.TrimSpace(name)
}

// openKeyTable opens key_table to change it.
func (r *Rotation) openKeyTable() (*table.File, error) {
	return table.Open("key_table", r.KeyTable, r.Base)
}

// make makes the private key, unless its file is there, and its row in key_table. The
// file is the owner's before the row says where it is.
func (r *Rotation) make(k *ledger.Key) error {
	if err := folder.Private(filepath.Dir(k.File), r.Owner); err != nil {
		return err
	}
	private, err := keys.ReadPrivate(k.File)
	var path *fs.PathError
	if err != nil && !errors.As(err, &path) && k.Record == "" { // the beginning of one that a crash left
		if err := folder.Remove(k.File); err != nil {
			return err
		}
		err = fs.ErrNotExist
	}
	if errors.Is(err, fs.ErrNotExist) {
		if private, err = keys.Generate(k.Type, k.Bits); err == nil {
			err = keys.WritePrivateFor(k.File, private, r.Owner, -1)
		}
	}
	if err != nil {
		return err
	}
	table, err := r.openKeyTable()
	if err != nil {
		return err
	}
	defer table.Close()
	if err := table.Add(k.Name, fmt.Sprintf("%s:%s:%s", k.Domain, k.Selector, k.File)); err != nil {
		return err
	}
	k.Record = keys.RecordText(private.Public())
	return nil
}

// switchTo has the rows that name the keys whose place k takes name k, and the daemon
// read them; note is what a person has to do beside that.
func (r *Rotation) switchTo(ctx context.Context, k ledger.Key) (note string, err error) {
	private, err := keys.ReadPrivate(k.File)
	if err != nil {
		return "", err
	}
	if !has(k, keys.RecordText(private.Public())) {
		return "", fmt.Errorf("%s is not the key whose record is in DNS: put that back, or take the rotation back with --abort", k.File)
	}
	if r.Daemon != nil {
		if err := r.Daemon.Ready(ctx, k.Name); err != nil {
			return "", err
		}
	}
	table, err := table.Open("signing_table", r.SigningTable, r.Base)
	if err != nil {
		return "", err
	}
	defer table.Close()
	names := map[string]string{}
	for _, old := range k.Replaces {
		names[old] = k.Name
	}
	if _, err := table.Replace(names); err != nil {
		return "", err
	}
	now, err := r.readTables()
	if err != nil {
		return "", err
	}
	if !now.signs[k.Name] {
		return "", fmt.Errorf("no row of %s names the key %s any more, whose place this one takes: add a row that names %s, or take the rotation back with --abort",
			table.Path(), strings.Join(k.Replaces, " or "), k.Name)
	}
	if r.Daemon == nil {
		return "", nil
	}
	return r.Daemon.Reload(ctx)
}

// retiredSuffix is behind the name of a private key's file that is put away.
const retiredSuffix = ".retired"

// remove takes a key out of key_table, and gives its file another name beside the old
// one: nothing can sign with it by accident, and who needs it all the same has it still.
// A file that other rows name stays, and one that cannot be moved does no harm: note
// says so.
func (r *Rotation) remove(ctx context.Context, k ledger.Key) (note string, err error) {
	table, err := r.openKeyTable()
	if err != nil {
		return "", err
	}
	_, err = table.Remove(k.Name)
	table.Close()
	if err != nil {
		return "", err
	}
	if r.Daemon != nil {
		if _, err := r.Daemon.Reload(ctx); err != nil {
			return "", err
		}
	}
	if k.File == "" {
		return "", nil
	}
	now, err := r.readTables()
	if err != nil {
		return "", err
	}
	for _, e := range now.entries {
		if e.Path() == k.File {
			return fmt.Sprintf("%s stays where it is: the key %s has it, too", k.File, e.Name), nil
		}
	}
	away := k.File + retiredSuffix
	if _, err := os.Lstat(away); err == nil {
		return fmt.Sprintf("%s stays where it is: there is a %s already", k.File, filepath.Base(away)), nil
	}
	switch err := os.Rename(k.File, away); {
	case errors.Is(err, fs.ErrNotExist):
		return "", nil
	case err != nil:
		return fmt.Sprintf("%s stays where it is, and can be deleted: %v", k.File, err), nil
	}
	return "", nil
}
