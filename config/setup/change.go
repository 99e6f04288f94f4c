package setup

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
)

// Change is one thing that a set-up does to the machine, known before it is done. Each
// kind has its type, in a file of its own, and stands in three lists: [kinds], the switch of
// [Summary], and what the tests of Journal.Undo do and take back. What is to be changed on
// which machine is decided elsewhere: by a [Request] for domains, a [Site] for files, an
// [MTA] and a [Service].
type Change interface {
	// Kind is its name in the journal and in JSON.
	Kind() string
	// Line says it in one line, for people.
	Line() string
	// Diff is what it does to files, as a unified diff; "" where there is nothing to
	// show, or nothing that may be shown.
	Diff() string
	// NeedsRoot reports whether it takes root, whoever owns the files.
	NeedsRoot() bool

	// do makes the change. It gives log what revert needs right before it begins,
	// and begins only if that is on the disk.
	do(ctx context.Context, s System, log func(Change) error) error
	// revert takes back what do has done, the whole or a part of it, and nothing that
	// others have done since. It can be called again.
	revert(ctx context.Context, s System) (Left, error)
}

// Left is what an undo has left as it is, such as a path, and why; the zero Left is
// nothing.
type Left struct{ What, Why string }

func (l Left) String() string { return l.What + ": " + l.Why }

// System is what changes use beside files.
type System struct {
	// Run runs a program and returns what it prints on both outputs. The error says
	// which program it was and quotes its last words, or wraps ErrNoProgram.
	Run func(ctx context.Context, argv ...string) (string, error)
}

// ErrNoProgram is the error of a program that the machine has not.
var ErrNoProgram = errors.New("there is no such program on this machine")

// kinds are an empty change of each kind.
func kinds() []Change {
	return []Change{&Folder{}, &File{}, &Rows{}, &PrivateKey{}, &Wiring{}, &Account{}, &Member{}, &Command{}}
}

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
	return encoded{c.Kind(), data}, err
}

func (e encoded) decode() (Change, error) {
	for _, c := range kinds() {
		if c.Kind() == e.Kind {
			return c, json.Unmarshal(e.Change, c)
		}
	}
	return nil, fmt.Errorf("unknown kind of change %q", e.Kind)
}
