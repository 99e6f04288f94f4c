package keys

import (
	"crypto"
	"crypto/ed25519"
	"crypto/rsa"
)

// State is what is known of a key.
type State string

// The states of a key.
const (
	// StateReady: read and proven.
	StateReady State = "ready"
	// StateUnread: will be read when it first signs.
	StateUnread State = "unread"
	// StateStale: the file is bad now; the key that it had before signs.
	StateStale State = "stale"
	// StateDisabled: cannot sign; mail that it should sign is deferred.
	StateDisabled State = "disabled"
)

// KeyInfo is a row of KeyTable for status pages.
type KeyInfo struct {
	Name     string `json:"name"`
	Where    string `json:"where"`
	Domain   string `json:"domain"` // "%" where it is the sender's
	Selector string `json:"selector"`
	// Path is empty for a key that stands in the table.
	Path  string `json:"file,omitempty"`
	State State  `json:"state"`
	// Algorithm is "rsa" or "ed25519". It, Bits and Public are those of the key
	// that signs, in StateReady and StateStale.
	Algorithm string           `json:"algorithm,omitempty"`
	Bits      int              `json:"bits,omitempty"`
	Public    crypto.PublicKey `json:"-"`
	// Error is the reason of StateStale and StateDisabled.
	Error string `json:"error,omitempty"`
}

// reading is the outcome of the last use of a row's key.
type reading struct {
	public crypto.PublicKey // nil without a key
	state  State
	err    error
}

// record keeps the outcome of a use.
func (k *keyRow) record(key crypto.Signer, stale, err error) {
	now := reading{state: StateReady, err: stale}
	switch {
	case err != nil:
		now.state, now.err = StateDisabled, err
	case stale != nil:
		now.state = StateStale
	}
	if key != nil {
		now.public = key.Public()
	}
	k.last.Store(&now)
}

// kindOf names the type of a key and its size in bits.
func kindOf(pub crypto.PublicKey) (string, int) {
	switch pub := pub.(type) {
	case *rsa.PublicKey:
		return kindRSA, pub.N.BitLen()
	case ed25519.PublicKey:
		return kindEd25519, 8 * len(pub)
	}
	return "", 0
}

// Keys lists every row of KeyTable, in its order, as last seen.
func (s *Store) Keys() []KeyInfo {
	infos := make([]KeyInfo, len(s.ordered))
	for i, k := range s.ordered {
		infos[i] = KeyInfo{Name: k.name, Where: k.where, Domain: k.domain, Selector: k.selector, Path: k.path, State: StateUnread}
		last := k.last.Load()
		if last == nil {
			continue
		}
		infos[i].State, infos[i].Public = last.state, last.public
		infos[i].Algorithm, infos[i].Bits = kindOf(last.public)
		if last.err != nil {
			infos[i].Error = last.err.Error()
		}
	}
	return infos
}

// Disabled lists, as *KeyError, the rows of both tables that cannot sign as
// things stand. Mail that they are for is deferred.
func (s *Store) Disabled() []error {
	var disabled []error
	for _, k := range s.ordered {
		if last := k.last.Load(); last != nil && last.state == StateDisabled {
			path := k.path
			if k.bad == nil && k.domain != ownDomain {
				path = k.file(k.domain)
			}
			disabled = append(disabled, &KeyError{Name: k.name, Where: k.where, Path: path, Err: s.hint(last.err)})
		}
	}
	for _, g := range s.disabled {
		disabled = append(disabled, &KeyError{Name: g.keyName, Where: g.where, Err: g.bad})
	}
	return disabled
}
