package keys

import (
	"crypto"
	"errors"
	"fmt"
	"io/fs"
)

// Request is one signature that a sender's mail should carry.
type Request struct {
	// KeyName is the key's name in KeyTable, Row the place of the row that
	// asks for it ("/etc/postseal/signing.table:3").
	KeyName, Row string
	// Domain is d=, Selector s=; AUID is i=, empty for none.
	Domain, Selector, AUID string
	// Note says what is not as the row has it, for the log.
	Note string

	key   *keyRow
	store *Store
	bad   error
}

// Signer returns the private key, read and proven. A key file that changed in
// place is read again; if what it has now is bad, the key from before stays.
// The error is a *KeyError: the mail should be deferred.
func (r Request) Signer() (crypto.Signer, error) {
	if r.bad != nil {
		return nil, &KeyError{Name: r.KeyName, Where: r.Row, Err: r.bad}
	}
	k := r.key
	if k.bad != nil {
		return nil, &KeyError{Name: r.KeyName, Where: r.store.where(k), Path: k.path, Err: k.bad}
	}
	domain := k.domain
	if domain == ownDomain {
		domain = r.Domain
	}
	src := r.store.source(k, domain)
	key, stale, err := r.store.signer(src, r.Domain, r.Selector, false)
	if !k.perDomain() {
		r.store.record(k, key, stale, err)
	}
	if err != nil {
		return nil, &KeyError{Name: r.KeyName, Where: r.store.where(k), Path: src.path, Err: r.store.hint(err)}
	}
	return key, nil
}

// hint adds to an error of the file system what to do about it.
func (s *Store) hint(err error) error {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("%w: put the key there, or correct the row", err)
	case errors.Is(err, fs.ErrPermission):
		var denied *fs.PathError
		if s.outside != nil && errors.As(err, &denied) {
			if why := s.outside(denied.Path); why != nil {
				return fmt.Errorf("%w: %w", err, why)
			}
		}
		return fmt.Errorf("%w: the user %s must be able to read it", err, systemAccounts().userName(s.policy.uid))
	}
	return err
}

// KeyError is the error of a key, or of a row that leads to one. It never has
// the text of a key.
type KeyError struct {
	// Name is the key's name in KeyTable.
	Name string
	// Where is the row at fault ("/etc/postseal/key.table:7").
	Where string
	// Path is the key's file; empty for a key that stands in the table.
	Path string
	// Err is the cause.
	Err error
}

func (e *KeyError) Error() string {
	text := fmt.Sprintf("%s: key %q: ", e.Where, clip(e.Name))
	// Errors of the file system and of CheckSafe name the path themselves.
	var unsafe *UnsafeError
	var path *fs.PathError
	if e.Path != "" && !errors.As(e.Err, &unsafe) && !errors.As(e.Err, &path) {
		text += e.Path + ": "
	}
	return text + e.Err.Error()
}

// Brief is Error for the log line of each message: of an unsafe file it gives
// the reason, and leaves the remedy to the line that the file gets once.
func (e *KeyError) Brief() string {
	var unsafe *UnsafeError
	if errors.As(e.Err, &unsafe) {
		return fmt.Sprintf("%s: key %q: %s", e.Where, clip(e.Name), unsafe.Brief())
	}
	return e.Error()
}

func (e *KeyError) Unwrap() error { return e.Err }
