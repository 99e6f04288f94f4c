package setup

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
)

// Change is one thing that a set-up does to the machine, known before it is done:
// a [*Folder], [*File], [*Rows], [*PrivateKey], [*Wiring], [*Account], [*Member] or
// [*Command].
type Change interface {
	// Line says it in one line, for people.
	Line() string
	// Diff is what it does to files, as a unified diff; "" where there is nothing to
	// show, or nothing that may be shown.
	Diff() string
	// NeedsRoot reports whether it takes root, whoever owns the files.
	NeedsRoot() bool

	kind() string
	// do makes the change. It gives log what revert needs right before it begins,
	// and begins only if that is on the disk.
	do(ctx context.Context, s System, log func(Change) error) error
	// revert takes back what do has done, the whole or a part of it, and nothing that
	// others have done since. It can be called again.
	revert(ctx context.Context, s System) (Left, error)
}

// Left says what an undo has left as it is, and why; "" is nothing.
type Left string

// System is what changes use beside files.
type System struct {
	// Run runs a program and returns what it prints on both outputs. The error says
	// which program it was and quotes its last words.
	Run func(ctx context.Context, argv ...string) (string, error)
}

// KindOf names the kind of a change: folder, file, rows, key, wiring, account, member or
// command.
func KindOf(c Change) string { return c.kind() }

// encoded is a change in the journal.
type encoded struct {
	Kind   string          `json:"kind"`
	Change json.RawMessage `json:"change"`
}

func encode(c Change) (encoded, error) {
	data, err := json.Marshal(c)
	if bytes.Contains(data, []byte(`\ufffd`)) {
		err = errors.New("a name that is not UTF-8 cannot be noted in the journal")
	}
	return encoded{c.kind(), data}, err
}

func (e encoded) decode() (Change, error) {
	for _, c := range []Change{&Folder{}, &File{}, &Rows{}, &PrivateKey{}, &Wiring{}, &Account{}, &Member{}, &Command{}} {
		if c.kind() == e.Kind {
			return c, json.Unmarshal(e.Change, c)
		}
	}
	return nil, fmt.Errorf("unknown kind of change %q", e.Kind)
}
