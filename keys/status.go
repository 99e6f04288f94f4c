package keys

import (
	"crypto"
	"crypto/ed25519"
	"crypto/rsa"
	"iter"
	"slices"
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
	Domain   string `json:"domain"` // "%" where it is the sender's, whatever that is
	Selector string `json:"selector"`
	// Path is empty for a key that stands in the table.
	Path  string `json:"file,omitempty"`
	State State  `json:"state"`
	// Algorithm is "rsa" or "ed25519". It, Bits and Public are those of the key
	// that signs, in StateReady and StateStale; Public is left out where keys are
	// read at first use.
	Algorithm string           `json:"algorithm,omitempty"`
	Bits      int              `json:"bits,omitempty"`
	Public    crypto.PublicKey `json:"-"`
	// Error is the reason of StateStale and StateDisabled.
	Error string `json:"error,omitempty"`
	// Unused: no row of SigningTable names it.
	Unused bool `json:"unused,omitempty"`
	// Rotation is the state that rotation has it in, where it has: for who knows.
	Rotation string `json:"rotation,omitempty"`
	// Published is what DNS says of it, published, missing or different, and Finding
	// why, in a sentence: for who has asked.
	Published string `json:"published,omitempty"`
	Finding   string `json:"finding,omitempty"`
}

// reading is the outcome of the last use of a row's key.
type reading struct {
	state     State
	algorithm string
	bits      int
	public    crypto.PublicKey // nil without a key, and where keys are many
	err       error
}

// record keeps the outcome of a use. Nothing of the private key is kept: it would
// stay in memory after the cache has let go of it.
func (s *Store) record(k *keyRow, key crypto.Signer, stale, err error) {
	now := reading{state: StateReady, err: stale}
	switch {
	case err != nil:
		now.state, now.err = StateDisabled, err
	case stale != nil:
		now.state = StateStale
	}
	if key != nil {
		now.public = key.Public()
		if pub, ok := now.public.(*rsa.PublicKey); ok { // it may lie within the private key
			now.public = &rsa.PublicKey{N: pub.N, E: pub.E}
		}
		now.algorithm, now.bits = kindOf(now.public)
	}
	if s.many {
		now.public = nil
	}
	k.last.Store(&now)
}

// state is what is known of a row's key.
func (k *keyRow) state() reading {
	if k.bad != nil {
		return reading{state: StateDisabled, err: k.bad}
	}
	if last := k.last.Load(); last != nil {
		return *last
	}
	return reading{state: StateUnread}
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

// Len is the number of rows of KeyTable. KeyFile counts as one for each domain that
// is listed for it.
func (s *Store) Len() int {
	if s.domainKey != nil {
		return max(1, len(s.listed))
	}
	return len(s.states)
}

// Keys lists every row of KeyTable, in its order, as last seen.
func (s *Store) Keys() []KeyInfo {
	infos := make([]KeyInfo, 0, s.Len())
	for i := range s.Len() {
		infos = append(infos, s.info(i))
	}
	return infos
}

// info is row i, of Len.
func (s *Store) info(i int) KeyInfo {
	k := s.domainKey
	if k == nil {
		k = s.keyRow(i)
	}
	last := k.state()
	info := KeyInfo{
		Name: masked(k.name), Where: s.where(k), Domain: masked(k.domain), Selector: masked(k.selector), Path: k.path,
		State: last.state, Algorithm: last.algorithm, Bits: last.bits, Public: last.public,
	}
	info.Unused = s.named != nil && !s.named[i]
	if k == s.domainKey && len(s.listed) > 0 {
		info.Domain = masked(s.listed[i])
	}
	if last.err != nil {
		info.Error = last.err.Error()
	}
	return info
}

// States counts the rows of KeyTable by state, as last seen. Every state is in it.
func (s *Store) States() map[State]int {
	var ready, unread, stale, disabled int
	for _, state := range s.rowStates() {
		switch state {
		case StateReady:
			ready++
		case StateUnread:
			unread++
		case StateStale:
			stale++
		default:
			disabled++
		}
	}
	return map[State]int{StateReady: ready, StateUnread: unread, StateStale: stale, StateDisabled: disabled}
}

// First lists at most so many rows of KeyTable, as last seen: those that cannot
// sign, then those with a bad file, then the others, each in the order of the table.
// Only these are taken apart.
func (s *Store) First(most int) []KeyInfo {
	var disabled, stale, others []int
	for i, state := range s.rowStates() {
		list := &others
		switch state {
		case StateDisabled:
			list = &disabled
		case StateStale:
			list = &stale
		}
		if len(*list) < most {
			*list = append(*list, i)
		}
	}
	first := slices.Concat(disabled, stale, others)
	infos := make([]KeyInfo, 0, most)
	for _, i := range first[:min(len(first), most)] {
		infos = append(infos, s.info(i))
	}
	return infos
}

// rowStates are the states of the rows of KeyTable, by row.
func (s *Store) rowStates() iter.Seq2[int, State] {
	return func(yield func(int, State) bool) {
		for i := range s.Len() {
			state, last := StateUnread, (*reading)(nil)
			if s.domainKey != nil {
				last = s.domainKey.last.Load()
			} else {
				last = s.states[i].Load()
			}
			if last != nil {
				state = last.state
			}
			if !yield(i, state) {
				return
			}
		}
	}
}

// Files are the paths of key files as KeyTable has them, in its order; "%" stands
// for a domain.
func (s *Store) Files() iter.Seq[string] {
	return func(yield func(string) bool) {
		for k := range s.keyRows() {
			if k.path != "" && !yield(k.path) {
				return
			}
		}
	}
}

// Disabled lists, as *KeyError, the rows of both tables that cannot sign as
// things stand. Mail that they are for is deferred.
func (s *Store) Disabled() []error {
	var disabled []error
	for k := range s.disabledKeys() {
		path := k.path
		if k.bad == nil && k.domain != ownDomain {
			path = k.file(k.domain)
		}
		disabled = append(disabled, &KeyError{Name: k.name, Where: s.where(k), Path: path, Err: s.hint(k.state().err)})
	}
	for _, row := range s.disabled {
		g := newSigningRow(row)
		_, err := s.keyOf(g)
		if err != nil {
			err = unknownKey(err)
		} else {
			err = g.bad
		}
		disabled = append(disabled, &KeyError{Name: g.keyName, Where: s.signing.Where(row), Err: err})
	}
	return disabled
}

// disabledKeys are the rows of KeyTable that cannot sign; only they are taken apart.
func (s *Store) disabledKeys() iter.Seq[*keyRow] {
	return func(yield func(*keyRow) bool) {
		if s.domainKey != nil && s.domainKey.state().state == StateDisabled && !yield(s.domainKey) {
			return
		}
		for i := range s.states {
			if last := s.states[i].Load(); last != nil && last.state == StateDisabled && !yield(s.keyRow(i)) {
				return
			}
		}
	}
}
