package setup

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/postseal/postseal/config/folder"
	"github.com/postseal/postseal/keys"
)

// PrivateKey is a key to be made, with mode 0600. The folder is there by then.
type PrivateKey struct {
	Path  string `json:"path"`
	Owner Owner  `json:"owner"`
	// Type and Bits are for [keys.Generate].
	Type string `json:"type"`
	Bits int    `json:"bits,omitempty"`
	// Record is the public half, as [keys.RecordText] has it; do fills it in.
	Record string `json:"record,omitempty"`
}

func (k *PrivateKey) Line() string {
	return fmt.Sprintf("a new private key (%s) in %s, mode 0600%s", kindName(k.Type, k.Bits), k.Path, ownedBy(k.Owner))
}

func (k *PrivateKey) Diff() string    { return "" }
func (k *PrivateKey) NeedsRoot() bool { return k.Owner != Owner{} }
func (k *PrivateKey) Kind() string    { return "key" }

func (k *PrivateKey) do(_ context.Context, _ System, log func(Change) error) error {
	key, err := keys.Generate(k.Type, k.Bits)
	if err != nil {
		return err
	}
	k.Record = keys.RecordText(key.Public())
	uid, gid, err := k.Owner.numbers()
	if err != nil {
		return err
	}
	if err := log(k); err != nil {
		return err
	}
	return keys.WritePrivateFor(k.Path, key, uid, gid)
}

// whole reports whether all of it is done: the file has that key, and is its owner's.
func (k *PrivateKey) whole() bool {
	key, err := keys.ReadPrivate(k.Path)
	return err == nil && keys.RecordText(key.Public()) == k.Record && k.Owner.has(k.Path)
}

// revert removes the file if it has that key, or the beginning of one that a crash
// left.
func (k *PrivateKey) revert(context.Context, System) (Left, error) {
	key, err := keys.ReadPrivate(k.Path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return Left{}, nil
	case err == nil && keys.RecordText(key.Public()) != k.Record:
		return Left{k.Path, "it is another key now"}, nil
	}
	return Left{}, folder.Remove(k.Path)
}

// kindName says what kind of key it is.
func kindName(kind string, bits int) string {
	if kind == "ed25519" {
		return "Ed25519"
	}
	return fmt.Sprintf("RSA, %d bits", bits)
}
