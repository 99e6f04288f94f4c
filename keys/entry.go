package keys

import (
	"crypto"
	"errors"
	"fmt"
	"os"

	"github.com/postseal/postseal/config/dataset"
	"golang.org/x/sys/unix"
)

// Entry is a row of KeyTable, for programs that go through a whole table rather
// than sign with it.
type Entry struct {
	// Name is the key's name, Where the place of the row.
	Name, Where string
	// Domain is the signing domain, "%" for the sender's; Selector is s=.
	Domain, Selector string
	// Err says why the row cannot be used. Where it lacks a part, Domain and
	// Selector are empty.
	Err error

	row *keyRow
}

// ReadTable reads a KeyTable of any type and returns its rows in order, no
// private key yet. Relative paths start at the folder base, or where that is
// empty at the working directory. The error is that of the table as a whole.
func ReadTable(table dataset.Spec, base string) ([]Entry, error) {
	set, err := dataset.Open(table, dataset.Options{Base: base, ExactCase: true})
	if err != nil {
		return nil, err
	}
	entries := make([]Entry, 0, len(set.Rows()))
	for _, row := range set.Rows() {
		e := Entry{Name: row.Key, Where: set.Where(row)}
		k, err := parseKeyRow(row.Key, row.Value, base)
		if err != nil {
			e.Err = err
		} else {
			e.Domain, e.Selector, e.Err, e.row = k.domain, k.selector, k.check(), &k
		}
		entries = append(entries, e)
	}
	return entries, nil
}

// SenderDomain reports whether the row signs for each sender's own domain.
func (e Entry) SenderDomain() bool { return e.Domain == ownDomain }

// Path is the key's file, with the domain in place of "%"; empty for a key that
// stands in the table, and for the rows of each sender's own domain that have
// a file for each.
func (e Entry) Path() string {
	if e.row == nil || e.row.perDomain() {
		return ""
	}
	return e.row.file(e.Domain)
}

// Private reads the private key. Its file's safety is not judged.
func (e Entry) Private() (crypto.Signer, error) {
	switch path := e.Path(); {
	case e.Err != nil:
		return nil, e.Err
	case path != "":
		return ReadPrivate(path)
	case e.row.perDomain():
		return nil, errors.New("each sender's domain has a key file of its own")
	}
	return ParsePrivate([]byte(e.row.inline))
}

// ReadPrivate reads the private key in a file of at most 64 KiB. Its safety is
// not judged.
func ReadPrivate(path string) (crypto.Signer, error) {
	found, err := readKeyFile(path, policy{uid: os.Getuid()})
	if err != nil {
		return nil, err
	}
	defer clear(found.data)
	key, err := ParsePrivate(found.data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return key, nil
}

// ReadSecret reads a file of at most 64 KiB with another secret, such as a name server
// has. Nobody but its owner and root may be able to read or write it: otherwise the error
// is an *UnsafeError. Its folders do not count.
func ReadSecret(path string) ([]byte, error) {
	var st unix.Stat_t
	if err := stat(path, &st); err != nil {
		return nil, err
	}
	owner := int(st.Uid)
	if err := systemWalk(owner).file(path, &st); err != nil {
		return nil, err
	}
	found, err := readKeyFile(path, policy{uid: owner})
	if err != nil {
		return nil, err
	}
	return found.data, nil
}
